"""The vault: every write goes through here, inside a flow step's transaction."""

from collections.abc import Callable, Iterable
from sqlite3 import Connection

from app.storage.statements import creation
from app.vault.moves import move_states
from app.vault.reader import NotHeld, VaultReader
from app.vault.restored import who_may_lack
from app.vault.statements import (
    ADD_HOLDER,
    ADD_SEEN,
    ADD_TX,
    DROP_HOLDERS,
    DROP_TX,
    GET_TX,
    HAS_COME,
    NOT_ASIDE,
    SET_RECORDED,
    SET_SIGNATURES,
)
from app.vault.subject import FORMER, Holders, Step, Subjects
from app.vault.tables import VAULT_TABLES, Status
from flows.flow import FlowRefused
from flows.notices import Letter
from flows.services import Held, Recorded, Taken
from states.crypto.keys import Key
from states.crypto.policy import is_satisfied, keys_of
from states.crypto.signatures import Signer, TransactionSignature, sign_transaction
from states.encoding import encode
from states.identity import Party
from states.ledger import LedgerTransaction
from states.signed import (
    PROVEN_TRANSACTION,
    SIGNED_TRANSACTION,
    ProvenTransaction,
    SignedTransaction,
)
from states.state import StateRef, TransactionId, TransactionState
from states.tearoff import Tearoff, open_tearoff
from states.verifier import CheckedTransaction, UnresolvedInput, VerifiedTransaction, Verifier

DRAFTS_REMEMBERED = 1_024  # by this process, so that a held transaction is not checked twice


class NotConcerned(FlowRefused):
    """Somebody brought a transaction that does not concern this node, or not him."""

    def __init__(self) -> None:
        super().__init__(
            "not-concerned", "this transaction does not concern this node and its bringer"
        )


PartyOfKey = Callable[[Key], Party | None]
"""The member that an identity key signs for: the network map read backwards."""


class Vault(VaultReader):
    """A node's transactions and states. One connection, one writer: the flow engine's."""

    def __init__(
        self,
        me: Party,
        identity: Signer,
        verifier: Verifier,
        party_of: PartyOfKey,
    ) -> None:
        super().__init__()
        self.me = me
        self.verifier = verifier
        self.subjects = Subjects((), {})
        self._identity = identity
        self._party_of = party_of
        self._drafts: dict[TransactionId, CheckedTransaction] = {}

    def adopt(self, subjects: Subjects) -> None:
        """Let these subjects keep what they keep beside the ledger; they stand on this vault, so they come after it."""
        self.subjects = subjects

    @staticmethod
    def create(db: Connection) -> None:
        """Create the vault's tables if they are not there."""
        for statement in creation(*VAULT_TABLES):
            db.execute(statement)

    def see(self, step: Step, ref: StateRef, state: TransactionState) -> None:
        """Keep a state of a verified transaction that this node does not record: it may be offered to it next."""
        step.unit.execute(ADD_SEEN, {"tx": ref.tx, "idx": ref.index, "state": encode(state)})
        step.unit.execute(HAS_COME, {"what": ref.tx})

    # -- holding -----------------------------------------------------------------------------------

    def check(self, step: Step, signed: SignedTransaction, *, held: bool) -> CheckedTransaction:
        """Verify all but receipt and completeness of signatures, and what only this node can check."""
        checked = self.verifier.check(
            signed, lambda ref: self.state(step.unit, ref), held=held, partly=True
        )
        self.subjects.of(checked.ledger).accept(step, checked)
        return checked

    def hold(self, step: Step, tearoff: Tearoff, signers: Iterable[Signer]) -> Held:
        """Sign what this node built, check it as if a stranger had brought it, and hold it durably.

        `signers` are the authorities beside the node's own identity key, which signs where a command asks for it.
        """
        checked = self.check(step, SignedTransaction(tearoff, ()), held=True)
        return self._sign_and_hold(step, checked, tuple(signers))

    def hold_proposal(
        self, step: Step, peer: Party, data: bytes, purpose: str, context: bytes
    ) -> Held:
        """Judge a peer's proposal, sign it and hold it. Raises a LedgerError where it is not as asked."""
        signed = SIGNED_TRANSACTION.decode(data)
        checked = self.check(step, signed, held=False)
        if step.unit.execute(GET_TX, {"tx": checked.ledger.id}).fetchone() is not None:
            raise FlowRefused("proposed-before", "this transaction is held here already")
        subject = self.subjects.of(checked.ledger)
        judge = self.subjects.judges.get(purpose)
        if subject.contract.name != purpose or judge is None:
            raise FlowRefused("other-subject", f"a proposal of {purpose} was expected")
        keys = frozenset(signature.key for signature in signed.signatures)
        if not any(self._party_of(key) == peer for key in keys):
            raise FlowRefused("not-signed", "the proposer signs first")
        shown = judge(step, checked, peer, context)
        if shown is not signed.tearoff:
            checked = self.check(step, SignedTransaction(shown, signed.signatures), held=False)
        return self._sign_and_hold(step, checked)

    def add_signatures(
        self, step: Step, peer: Party, tx: TransactionId, more: tuple[TransactionSignature, ...]
    ) -> Held:
        """Add a peer's signatures to a held transaction; raises InvalidSignature, NotHeld."""
        del peer  # whoever brings them, they verify or they do not
        held = self.stored(step.unit, tx)
        if held.receipt is not None:
            raise NotHeld("the transaction is recorded already")
        signed_by = held.signatures
        known = {signature.key for signature in signed_by}
        every = signed_by + tuple(s for s in more if s.key not in known)
        tearoff = held.filtered.tearoff
        draft = self._draft(step, tx, tearoff)
        if draft is None:
            checked = self.check(step, SignedTransaction(tearoff, every), held=False)
        else:
            checked = self.verifier.with_signatures(draft, every)
        self._remember(checked)
        step.unit.execute(SET_SIGNATURES, {"id": tx, "signatures": encode(every)})
        return self._held(checked.ledger, every)

    def own_signatures(self, db: Connection, tx: bytes) -> tuple[TransactionSignature, ...]:
        return self.stored(db, tx).signatures

    def drop(self, step: Step, tx: bytes) -> None:
        """Forget a held transaction. Nothing happens to a recorded one."""
        for statement in (DROP_HOLDERS, DROP_TX):
            step.unit.execute(statement, {"tx": tx})

    def _sign_and_hold(
        self, step: Step, checked: CheckedTransaction, signers: tuple[Signer, ...] = ()
    ) -> Held:
        ledger = checked.ledger
        wanted = {key for policy in ledger.signer_policies() for key in keys_of(policy)}
        signed_by = {signature.key for signature in checked.signatures}
        mine = list[TransactionSignature]()
        for signer in (self._identity, *signers):
            if signer.key in wanted and signer.key not in signed_by:
                signed_by.add(signer.key)
                mine.append(sign_transaction(signer, ledger.parameters.network, ledger.id))
        checked = self.verifier.signed_here(checked, tuple(mine))
        filtered, signatures = checked.filtered, checked.signatures
        self._opened.remember(self._add_row(step, ledger, filtered.tearoff, signatures), filtered)
        self._add_holders(step, ledger)
        self._remember(checked)
        return self._held(ledger, signatures)

    def _remember(self, checked: CheckedTransaction) -> None:
        """Keep what was checked until it is recorded. After a restart it is checked again."""
        if len(self._drafts) >= DRAFTS_REMEMBERED:
            del self._drafts[next(iter(self._drafts))]
        self._drafts[checked.ledger.id] = checked

    def _draft(self, step: Step, tx: bytes, tearoff: Tearoff) -> CheckedTransaction | None:
        """Return what this process has checked of a held transaction, with every input still resolved."""
        draft = self._drafts.get(TransactionId(tx))
        if draft is None or (
            draft.filtered.tearoff is not tearoff and draft.filtered.tearoff != tearoff
        ):
            return None
        resolved = all(item.held is not None for item in draft.ledger.inputs)
        self.subjects.of(draft.ledger).accept(
            step, draft
        )  # what only this node can check may have changed
        return draft if resolved else None

    def _held(
        self, ledger: LedgerTransaction, signatures: tuple[TransactionSignature, ...]
    ) -> Held:
        signed_by = frozenset(signature.key for signature in signatures)
        others = {
            party
            for policy in ledger.signer_policies()
            if not is_satisfied(policy, signed_by)
            for key in keys_of(policy)
            if (party := self._party_of(key)) is not None
        }
        return Held(ledger.id, ledger.window.until_time, tuple(sorted(others)))

    def _add_row(
        self,
        step: Step,
        ledger: LedgerTransaction,
        tearoff: Tearoff,
        signatures: tuple[TransactionSignature, ...],
    ) -> bytes:
        """Add a transaction as held; return the bytes that are stored of its tear-off."""
        stored = encode(tearoff)
        row = {
            "tx": ledger.id,
            "status": int(Status.HELD),
            "tearoff": stored,
            "signatures": encode(signatures),
            "receipt": None,
            "until": ledger.window.until_time,
            "seq": None,
            "at": None,
            "log_index": None,
            "erased": 0,
        }
        step.unit.execute(ADD_TX, row)
        return stored

    def _add_holders(self, step: Step, ledger: LedgerTransaction) -> None:
        holders = self.subjects.of(ledger).holders(step, ledger)
        if self.me not in holders:
            raise NotConcerned
        step.unit.executemany(
            ADD_HOLDER,
            [
                {"tx": ledger.id, "party": party, "roles": ",".join(sorted(roles))}
                for party, roles in holders.items()
            ],
        )

    # -- recording ---------------------------------------------------------------------------------

    def record(self, step: Step, tx: TransactionId, receipt: str) -> Recorded:
        """Check the receipt of a held transaction and record it; it is not recorded twice.

        It is to be delivered also if it was recorded already: a restored node may have had it back from one holder
        before it had brought it to the others.
        """
        held = self.stored(step.unit, tx)
        if held.receipt is not None:
            return self._recorded(step, tx)
        tearoff, signatures = held.filtered.tearoff, held.signatures
        draft = self._draft(step, tx, tearoff)
        holders = self.holders_of(step.unit, tx)
        if draft is not None and draft.signatures == signatures:
            letters = self._settle(step, self.verifier.prove(draft, receipt), holders)
        else:
            letters = self._record(step, ProvenTransaction(tearoff, signatures, receipt))
        self._drafts.pop(tx, None)
        return self._recorded(step, tx, letters)

    def take(self, step: Step, peer: Party, parts: Iterable[bytes]) -> Taken:
        """Record transactions that `peer` brought, in order, all or none.

        Raises a LedgerError for one that is refused; answers what is missing where inputs are not held here.
        """
        letters: tuple[Letter, ...] = ()
        owed: list[Recorded] = []
        step.unit.execute("SAVEPOINT take")
        try:
            for part in parts:
                found = self._take_one(step, (peer,), PROVEN_TRANSACTION.decode(part))
                if found is not None:
                    tx, more = found
                    letters += more
                    lacking = who_may_lack(step.unit, tx, self.me, from_before=True)
                    owed += [Recorded(tx, lacking)] if lacking else []
        except UnresolvedInput as missing:
            step.unit.execute("ROLLBACK TO take")
            return Taken(missing=(missing.ref,))
        finally:
            step.unit.execute("RELEASE take")
        return Taken(letters=letters, recorded=tuple(owed))

    def remember(self, step: Step, peers: tuple[Party, ...], part: bytes) -> Recorded | None:
        """Record one transaction that `peers` brought back to this restored node; None if it is there already.

        Raises a LedgerError, UnresolvedInput among them, for one that is refused.
        """
        found = self._take_one(step, peers, PROVEN_TRANSACTION.decode(part))
        return None if found is None else self._recorded(step, *found)

    def _recorded(
        self, step: Step, tx: TransactionId, letters: tuple[Letter, ...] = ()
    ) -> Recorded:
        others = tuple(sorted(self.holders_of(step.unit, tx).keys() - {self.me}))
        return Recorded(tx, others, letters, who_may_lack(step.unit, tx, self.me))

    def _take_one(
        self, step: Step, peers: tuple[Party, ...], proven: ProvenTransaction
    ) -> tuple[TransactionId, tuple[Letter, ...]] | None:
        """Record one transaction; return what it is and the notices owed, None if it is there already."""
        tx = open_tearoff(proven.tearoff).id
        row = step.unit.execute(GET_TX, {"tx": tx}).fetchone()
        if row is not None and row[0] == Status.RECORDED:
            return None
        if (
            row is not None
        ):  # held here as a signer: perhaps with a component of its own that the bringer never saw
            held = self.stored(step.unit, tx).filtered.tearoff
            proven = ProvenTransaction(held, proven.signatures, proven.receipt)
        try:
            letters = self._record(step, proven, first_seen=row is None)
        except UnresolvedInput:
            # What waits for an earlier state must at least be notarised: anybody can name a state that nobody has.
            self.verifier.verify(proven, lambda ref: self.state(step.unit, ref), held=False)
            raise
        if not any(self.is_holder(step.unit, peer, tx) for peer in peers):
            raise NotConcerned
        return tx, letters

    def _record(
        self, step: Step, proven: ProvenTransaction, *, first_seen: bool = False
    ) -> tuple[Letter, ...]:
        verified = self.verifier.verify(proven, lambda ref: self.state(step.unit, ref), held=True)
        if first_seen:
            shown = self.subjects.revealed(step, verified.checked)
            if shown is not proven.tearoff:
                proven = ProvenTransaction(shown, proven.signatures, proven.receipt)
                return self._record(step, proven, first_seen=True)
        ledger = verified.checked.ledger
        self.subjects.of(ledger).accept(step, verified.checked)
        if first_seen:
            self._add_row(step, ledger, proven.tearoff, proven.signatures)
            self._add_holders(step, ledger)
        return self._settle(step, verified, self.holders_of(step.unit, ledger.id))

    def _settle(
        self, step: Step, verified: VerifiedTransaction, holders: Holders
    ) -> tuple[Letter, ...]:
        """Give a verified transaction its number, move its states, let its subject keep what it keeps."""
        ledger, proven = verified.checked.ledger, verified.proven
        seq = self.last_seq(step.unit) + 1
        row = {
            "id": ledger.id,
            "tearoff": encode(proven.tearoff),
            "signatures": encode(proven.signatures),
            "receipt": proven.receipt,
            "seq": seq,
            "at": verified.receipt.entry.at,
            "log_index": verified.receipt.index,
        }
        step.unit.execute(SET_RECORDED, row)
        step.unit.execute(NOT_ASIDE, {"id": ledger.id})
        step.unit.execute(HAS_COME, {"what": ledger.id})
        followed = bool(holders[self.me] - FORMER)
        move_states(step.unit, verified, seq, followed=followed)
        if not followed:  # an erasure of what it has passed on is checked against it
            for index, output in ledger.outputs.items():
                self.see(step, StateRef(ledger.id, index), output.state)
        return self.subjects.of(ledger).record(step, verified, seq)
