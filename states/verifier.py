"""Decides whether a transaction may be believed: the numbered list of specification §7."""

from collections.abc import Callable, Iterable

import msgspec

from states.checkpoint import (
    ForkedLog,
    RolledBack,
    VerifiedCheckpoint,
    require_no_contradiction,
)
from states.command import COMMAND
from states.contract import Contracts, UnknownContract, tag_of
from states.crypto.did import key_of
from states.crypto.policy import is_satisfied, keys_of
from states.crypto.signatures import TransactionSignature, verify_signature
from states.encoding import Codec
from states.errors import InvalidProof, InvalidSignature, LedgerError, MalformedBytes, OverLimit
from states.groups import Group
from states.identity import Party, PartyField
from states.ledger import (
    Data,
    LedgerCommand,
    LedgerSeal,
    LedgerTransaction,
    Resolved,
    StateAndData,
)
from states.lock import LOCK
from states.parameters import Directory, NetworkParameters, ParametersHistory
from states.receipt import ReceiptVerifier, VerifiedReceipt
from states.sealed import SEALED
from states.signed import ProvenTransaction, SignedTransaction
from states.sizes import Bytes32
from states.state import STATE_REF, TRANSACTION_STATE, StateRef, TransactionState
from states.tearoff import FilteredTransaction, open_tearoff
from states.timewindow import TimeWindow, WindowRefused

Resolve = Callable[[StateRef], TransactionState | None]
"""What a verifier holds of a state that a transaction consumes or refers to."""

ALWAYS_COMPLETE = (
    Group.INPUTS,
    Group.REFERENCES,
    Group.COMMANDS,
    Group.NOTARY,
    Group.WINDOW,
    Group.PARAMETERS,
)

NOTARY = Codec(PartyField, "notary", 256)
WINDOW = Codec(TimeWindow, "time-window", 64)
HASH = Codec(Bytes32, "hash", 64)


def read_notary(component: bytes) -> Party:
    """Read a notary's name strictly (§1.5); raises MalformedBytes."""
    party = NOTARY.decode(component)
    key_of(party)
    return party


class IncompleteTransaction(LedgerError):
    """A tear-off hides what a verifier must see."""


class UnresolvedInput(LedgerError):
    """A transaction consumes a state that this holder has not got."""

    def __init__(self, ref: StateRef) -> None:
        super().__init__(f"state {ref.tx.hex()[:16]}:{ref.index} is not held here")
        self.ref = ref


class DistrustedNotary(LedgerError):
    """The notary's log contradicts itself, or is not proven to be the one that it showed: its receipts say nothing."""

    def __init__(self, notary: Party) -> None:
        super().__init__(f"nothing that {notary} says is believed: its log is not what it showed")
        self.notary = notary


class WrongNotary(LedgerError):
    """A transaction mixes notaries, or names one that the network has not got."""


class CheckedTransaction(msgspec.Struct, frozen=True):
    """Proof, carried as a type, that steps 1 to 9 accepted this transaction; it has no receipt yet."""

    filtered: FilteredTransaction
    ledger: LedgerTransaction
    signatures: tuple[TransactionSignature, ...]


class VerifiedTransaction(msgspec.Struct, frozen=True):
    """Proof, carried as a type, that all steps accepted this transaction, its receipt included."""

    checked: CheckedTransaction
    proven: ProvenTransaction
    receipt: VerifiedReceipt


class Verifier:
    """The ledger's rules for one network, then every contract's.

    It holds no history: `resolve` gives what the caller holds of consumed and referred states. Whoever records a
    transaction asks for `held=True`: then every input must be resolved, so that no clause about it is left out.
    """

    def __init__(
        self, parameters: ParametersHistory, contracts: Contracts, directory: Directory
    ) -> None:
        self.parameters = parameters
        self.contracts = contracts
        self.directory = directory
        self._receipts: dict[bytes, ReceiptVerifier] = {}
        self.seen: dict[Party, VerifiedCheckpoint] = {}
        """The largest checkpoint that a verified receipt has shown, by notary."""
        self.distrusted: set[Party] = set()
        """Notaries that broke their promise, or whose log is not proven: no word of theirs counts."""
        self.broken: dict[Party, ForkedLog | RolledBack] = {}
        """What convicted a notary here: two of its own notes, for whoever keeps them beyond this process."""

    def verify(
        self, proven: ProvenTransaction, resolve: Resolve, *, held: bool
    ) -> VerifiedTransaction:
        """Check a notarised transaction. Raises a LedgerError that names what is wrong."""
        signed = SignedTransaction(proven.tearoff, proven.signatures)
        checked = self.check(signed, resolve, held=held)
        receipt = self.check_receipt(checked, proven.receipt)  # §7.10
        return VerifiedTransaction(checked, proven, receipt)

    def check(
        self, signed: SignedTransaction, resolve: Resolve, *, held: bool, partly: bool = False
    ) -> CheckedTransaction:
        """Check all but the receipt; with `partly`, signatures may still be missing, none may be wrong."""
        filtered = open_tearoff(signed.tearoff)  # §7.1
        for group in ALWAYS_COMPLETE:  # §7.2
            if not filtered.is_complete(group):
                raise IncompleteTransaction(f"group {group.name.lower()} is not all shown")
        ledger = self._read(filtered, resolve)  # §7.3, §7.4
        self._check_notary(ledger)  # §7.5
        self._check_contracts_allowed(ledger)  # §7.6
        self._check_locks(ledger)  # §7.7
        if held:
            for item in ledger.inputs:
                if item.held is None:
                    raise UnresolvedInput(item.ref)
        self._run_contracts(ledger)  # §7.8
        self._check_signatures(ledger, signed.signatures, partly=partly)  # §7.9
        return CheckedTransaction(filtered, ledger, signed.signatures)

    def with_signatures(
        self, checked: CheckedTransaction, signatures: tuple[TransactionSignature, ...]
    ) -> CheckedTransaction:
        """Return a checked transaction with these signatures instead, some of which may still be missing.

        All else is about bytes that do not change: it is not checked again, nor are signatures that it had.
        """
        self._check_signatures(checked.ledger, signatures, partly=True, known=checked.signatures)
        return CheckedTransaction(checked.filtered, checked.ledger, signatures)

    def signed_here(
        self, checked: CheckedTransaction, signatures: tuple[TransactionSignature, ...]
    ) -> CheckedTransaction:
        """Return a checked transaction with signatures that this node's own keys have just made in addition."""
        return CheckedTransaction(checked.filtered, checked.ledger, checked.signatures + signatures)

    def prove(self, checked: CheckedTransaction, receipt: str) -> VerifiedTransaction:
        """Complete steps 9 and 10 for a transaction that this process has checked, every input resolved.

        Its signatures have been verified, or were made here (`signed_here`): what is left is whether all are there.
        """
        for item in checked.ledger.inputs:
            if item.held is None:
                raise UnresolvedInput(item.ref)
        known = checked.signatures
        self._check_signatures(checked.ledger, known, partly=False, known=known)
        tearoff = checked.filtered.tearoff
        verified = self.check_receipt(checked, receipt)
        proven = ProvenTransaction(tearoff, checked.signatures, receipt)
        return VerifiedTransaction(checked, proven, verified)

    def check_receipt(self, checked: CheckedTransaction, text: str) -> VerifiedReceipt:
        """§7.10: the notary's log holds this transaction, inside its window."""
        ledger = checked.ledger
        self.require_trusted(ledger.notary)
        receipt = self.receipts_of(ledger.notary, ledger.parameters).verify(ledger.id, text)
        self._see(ledger.notary, receipt.checkpoint)
        if receipt.entry.at not in ledger.window:
            raise InvalidProof("receipt", "committed outside the time-window")
        if len(receipt.entry.nullifiers) != ledger.count(Group.INPUTS):
            raise InvalidProof("receipt", "not one nullifier for each input")
        return receipt

    def require_trusted(self, notary: Party) -> None:
        """Raise DistrustedNotary where nothing that this notary says is believed any more."""
        if notary in self.distrusted:
            raise DistrustedNotary(notary)

    def _see(self, notary: Party, offered: VerifiedCheckpoint) -> None:
        """Keep the largest checkpoint that a receipt has shown, for whoever watches the log.

        Two that cannot both be true convict it: the notary is not believed from here on.
        """
        known = self.seen.get(notary)
        if known is not None and known.checkpoint.origin == offered.checkpoint.origin:
            try:
                require_no_contradiction(known, offered)
            except (ForkedLog, RolledBack) as broken:
                self.distrusted.add(notary)
                self.broken[notary] = broken
                raise
            if known.checkpoint.size >= offered.checkpoint.size:
                return
        self.seen[notary] = offered

    def receipts_of(self, notary: Party, parameters: NetworkParameters) -> ReceiptVerifier:
        """Return the verifier of a notary's receipts; raises WrongNotary."""
        info = parameters.notary(notary)
        if info is None:
            raise WrongNotary(f"{notary} is no notary of this network")
        known = self._receipts.get(info.log_key)
        if known is None:
            known = ReceiptVerifier(info.log_keys)
            self._receipts[info.log_key] = known
        return known

    # -- the steps ---------------------------------------------------------------------------------

    def _read(self, filtered: FilteredTransaction, resolve: Resolve) -> LedgerTransaction:
        """§7.3 every shown component decodes strictly; §7.4 parameters and window fit."""
        single = {
            group: filtered.component(group, 0)
            for group in (Group.NOTARY, Group.WINDOW, Group.PARAMETERS)
        }
        window = WINDOW.decode(single[Group.WINDOW] or b"")
        named = HASH.decode(single[Group.PARAMETERS] or b"")
        parameters = self.parameters.by_id(named)
        in_force, _ = self.parameters.in_force(window.from_time)
        if named != in_force:
            raise WindowRefused("the parameters named are not in force when the window opens")
        if window.length_ms > parameters.limits.window_ms:
            raise OverLimit("time-window in ms", window.length_ms, parameters.limits.window_ms)
        inputs = self._resolved(filtered, Group.INPUTS, resolve)
        references = self._resolved(filtered, Group.REFERENCES, resolve)
        if len({item.ref for item in (*inputs, *references)}) != len(inputs) + len(references):
            raise MalformedBytes("inputs and references", "a state is named twice")
        return LedgerTransaction(
            id=filtered.id,
            notary=read_notary(single[Group.NOTARY] or b""),
            window=window,
            parameters=parameters,
            counts=filtered.counts,
            inputs=inputs,
            references=references,
            outputs={i: self._state(c) for i, c in filtered.components(Group.OUTPUTS)},
            commands=tuple(self._command(c) for _, c in filtered.components(Group.COMMANDS)),
            sealed=tuple(
                self._seal(filtered.counts, i, c) for i, c in filtered.components(Group.SEALED)
            ),
            attachments=tuple(HASH.decode(c) for _, c in filtered.components(Group.ATTACHMENTS)),
            directory=self.directory,
            locks={i: LOCK.decode(c) for i, c in filtered.components(Group.LOCKS)},
        )

    def _resolved(
        self, filtered: FilteredTransaction, group: Group, resolve: Resolve
    ) -> tuple[Resolved, ...]:
        refs = [STATE_REF.decode(component) for _, component in filtered.components(group)]
        return tuple(
            Resolved(ref, None if held is None else StateAndData(held, self._data(held)))
            for ref, held in ((ref, resolve(ref)) for ref in refs)
        )

    def _state(self, component: bytes) -> StateAndData:
        state = TRANSACTION_STATE.decode(component)
        return StateAndData(state, self._data(state))

    def _data(self, state: TransactionState) -> Data:
        contract = self.contracts.named(state.contract)
        data = self.contracts.states.decode(state.data)
        if tag_of(type(data)) != contract.name:
            raise MalformedBytes("state", f"contract {contract.name} over another subject's data")
        return data

    def _command(self, component: bytes) -> LedgerCommand:
        command = COMMAND.decode(component)
        return LedgerCommand(self.contracts.commands.decode(command.data), command.signers)

    def _seal(self, counts: tuple[int, ...], index: int, component: bytes) -> LedgerSeal:
        sealed = SEALED.decode(component)
        about = sealed.about
        if about.group >= len(Group) or about.index >= counts[about.group]:
            raise MalformedBytes("sealed component", "about a component that is not there")
        return LedgerSeal(index, sealed, self.contracts.seals.decode(sealed.data))

    def _check_notary(self, ledger: LedgerTransaction) -> None:
        """§7.5: one notary, of this network, for the transaction and all that it consumes or refers to."""
        if ledger.parameters.notary(ledger.notary) is None:
            raise WrongNotary(f"{ledger.notary} is no notary of this network")
        for item in (*ledger.inputs, *ledger.references):
            if item.held is not None and item.held.state.notary != ledger.notary:
                raise WrongNotary("an input or reference is with another notary")

    def _check_contracts_allowed(self, ledger: LedgerTransaction) -> None:
        """§7.6: the network allows each contract, by corpus hash, when the window opens."""
        at = ledger.window.from_time
        for name in self._involved(ledger):
            contract = self.contracts.named(name)
            if not ledger.parameters.allows(contract.name, contract.corpus, at):
                raise UnknownContract(name, "the network does not allow it at that time")

    def _check_locks(self, ledger: LedgerTransaction) -> None:
        """§7.7: each shown output shows its lock, and no label is there twice."""
        locks = ledger.locks
        for index in ledger.outputs:
            if index not in locks:
                raise IncompleteTransaction(f"output {index} is shown without its lock")
        if len({lock.label for lock in locks.values()}) != len(locks):
            raise MalformedBytes("locks", "a label is there twice")

    def _run_contracts(self, ledger: LedgerTransaction) -> None:
        """§7.8: every contract of a command or a shown or resolved state accepts, or one refuses."""
        for name in self._involved(ledger):
            self.contracts.named(name).verify(ledger)

    def _involved(self, ledger: LedgerTransaction) -> list[str]:
        """The contracts of all commands and of all shown or resolved states, in order."""
        of_commands = {self.contracts.of_command(c.data).name for c in ledger.commands}
        return sorted(of_commands | _contract_names(ledger))

    def _check_signatures(
        self,
        ledger: LedgerTransaction,
        signatures: tuple[TransactionSignature, ...],
        *,
        partly: bool,
        known: tuple[TransactionSignature, ...] = (),
    ) -> None:
        """§7.9: every policy of the commands is satisfied, by the required signatures and no others.

        Those that are `known` have been verified over this very transaction.
        """
        policies = ledger.signer_policies()
        wanted = frozenset().union(*(keys_of(policy) for policy in policies))
        keys = [signature.key for signature in signatures]
        if len(set(keys)) != len(keys):
            raise InvalidSignature("transaction", "one key signed twice")
        for signature in signatures:
            if signature.key not in wanted:
                raise InvalidSignature("transaction", "signed by a key that no command asks for")
            if signature not in known:
                verify_signature(
                    signature, ledger.parameters.network, ledger.id, ledger.parameters.relying
                )
        signed = frozenset(keys)
        if not partly and not all(is_satisfied(policy, signed) for policy in policies):
            raise InvalidSignature("transaction", "a required signature is missing")


def _contract_names(ledger: LedgerTransaction) -> set[str]:
    held: Iterable[StateAndData] = (item.held for item in ledger.inputs if item.held is not None)
    return {each.state.contract for each in (*ledger.outputs.values(), *held)}
