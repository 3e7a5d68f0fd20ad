"""Transactions under test: immutable, one good one a subject, each test changes one thing.

Every check builds real bytes (components, nonces, leaves, signatures) and runs the whole verifier, never a contract
alone. What was checked can be recorded: the corpora under tests/vectors/contracts are these very checks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec
import pytest

from states.builder import BuiltTransaction, OpenSeal, TransactionDraft, build
from states.command import command
from states.contract import Contract, tag_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.hashes import tagged_hash
from states.crypto.keys import Key
from states.crypto.policy import One, Policy, keys_of
from states.crypto.signatures import TransactionSignature, sign_transaction
from states.encoding import encode
from states.errors import LedgerError, Rule, RuleBroken
from states.groups import Group
from states.identity import Party
from states.ledger import Data
from states.lock import SpendLock, lock_salt, lock_seed, make_lock
from states.parameters import ParametersHistory
from states.sealed import Sealed
from states.signed import SignedTransaction
from states.state import StateRef, TransactionId, TransactionState
from states.subjects.shape import SealPlace
from states.subjects.terms import Opening
from states.timewindow import TimeWindow
from states.verifier import CheckedTransaction, Verifier
from tests.contracts.cast import (
    CONTRACTS,
    DIRECTORY,
    MINUTE,
    NOTARY,
    NOW,
    PARAMETERS,
    PARAMETERS_ID,
    SIGNERS,
    seeded,
)

WINDOW = TimeWindow(NOW, NOW + 10 * MINUTE)

VERIFIER = Verifier(ParametersHistory([(PARAMETERS_ID, PARAMETERS)]), CONTRACTS, DIRECTORY)


@dataclass(frozen=True)
class Checked:
    """A check as it was made: what a corpus keeps of it."""

    contract: str
    transaction: SignedTransaction
    states: tuple[tuple[StateRef, TransactionState], ...]
    held: bool
    error: str | None
    rule: str | None


_recorders: list[list[Checked]] = []


@contextmanager
def recording() -> Iterator[list[Checked]]:
    """Give the checks that are made inside."""
    found: list[Checked] = []
    _recorders.append(found)
    try:
        yield found
    finally:
        _recorders.remove(found)


def lock_policy(output: int) -> Policy:
    return One(Ed25519Signer(lock_seed(seeded("lock secret"), _label(output))).key)


def _label(output: int) -> bytes:
    return seeded("label", output)[:16]


def lock(output: int) -> SpendLock:
    salt = lock_salt(seeded("lock secret"), _label(output))
    return make_lock(_label(output), salt, lock_policy(output))


def opening(output: int) -> Opening:
    """The opening of the lock that every draft has at this output."""
    return Opening.of(output, lock_salt(seeded("lock secret"), _label(output)), lock_policy(output))


def state(data: Data, notary: Party = NOTARY) -> TransactionState:
    return TransactionState(tag_of(type(data)), notary, encode(data))


def ref_to(data: Data) -> StateRef:
    """Where a state came from, for tests that begin with it."""
    return StateRef(TransactionId(tagged_hash("test-state", encode(data))), 0)


@dataclass(frozen=True)
class Draft:
    """A transaction under test; every method returns a changed copy."""

    contract: Contract
    commands: tuple[tuple[Data, tuple[Policy, ...]], ...] = ()
    inputs: tuple[Data, ...] = ()
    references: tuple[Data, ...] = ()
    outputs: tuple[TransactionState, ...] = ()
    seals: tuple[Sealed, ...] = ()
    attachments: tuple[bytes, ...] = ()
    window: TimeWindow = WINDOW
    not_held: frozenset[int] = frozenset()
    reference_held: bool = True
    held_at: Party = NOTARY
    torn: frozenset[tuple[Group, int]] = frozenset()
    unsigned: frozenset[Key] = frozenset()

    # -- changes -----------------------------------------------------------------------------------

    def commanding(self, data: Data, *signers: Policy) -> "Draft":
        return replace(self, commands=((data, signers),))

    def commanding_also(self, data: Data, *signers: Policy) -> "Draft":
        return replace(self, commands=(*self.commands, (data, signers)))

    def signed_by(self, *signers: Policy) -> "Draft":
        """Ask these to sign, and nobody else."""
        return self.commanding(self.commands[0][0], *signers)

    def consuming(self, *data: Data) -> "Draft":
        return replace(self, inputs=data)

    def referring_to(self, *data: Data) -> "Draft":
        return replace(self, references=data)

    def creating(self, *data: Data, notary: Party = NOTARY) -> "Draft":
        return replace(self, outputs=tuple(state(each, notary) for each in data))

    def sealing(self, *seals: Sealed) -> "Draft":
        return replace(self, seals=seals)

    def seal(self, index: int, changed: Sealed) -> "Draft":
        seals = (*self.seals[:index], changed, *self.seals[index + 1 :])
        return replace(self, seals=seals)

    def seal_readers(self, index: int, *readers: str) -> "Draft":
        return self.seal(index, msgspec.structs.replace(self.seals[index], readers=readers))

    def seal_about(self, index: int, group: Group, at: int) -> "Draft":
        place = msgspec.structs.replace(self.seals[index].about, group=group, index=at)
        return self.seal(index, msgspec.structs.replace(self.seals[index], about=place))

    def seal_says(self, index: int, data: Data) -> "Draft":
        return self.seal(index, msgspec.structs.replace(self.seals[index], data=encode(data)))

    def attaching(self, *hashes: bytes) -> "Draft":
        return replace(self, attachments=hashes)

    def within(self, from_time: int, until_time: int) -> "Draft":
        return replace(self, window=TimeWindow(from_time, until_time))

    def tearing_off(self, *places: tuple[Group, int]) -> "Draft":
        return replace(self, torn=self.torn | frozenset(places))

    def without_holding(self, *inputs: int) -> "Draft":
        return replace(self, not_held=frozenset(inputs))

    def without_holding_the_reference(self) -> "Draft":
        return replace(self, reference_held=False)

    def holding_at(self, notary: Party) -> "Draft":
        """The states consumed and referred to are with this notary."""
        return replace(self, held_at=notary)

    def without_signature_of(self, policy: Policy) -> "Draft":
        return replace(self, unsigned=self.unsigned | keys_of(policy))

    # -- bytes -------------------------------------------------------------------------------------

    def built(self) -> BuiltTransaction:
        draft = TransactionDraft(
            notary=NOTARY,
            window=self.window,
            parameters=PARAMETERS_ID,
            inputs=tuple(map(ref_to, self.inputs)),
            references=tuple(map(ref_to, self.references)),
            outputs=self.outputs,
            locks=tuple(lock(index) for index in range(len(self.outputs))),
            commands=tuple(command(encode(data), *signers) for data, signers in self.commands),
            sealed=tuple(
                OpenSeal(sealed, seeded("nonce", index)) for index, sealed in enumerate(self.seals)
            ),
            attachments=self.attachments,
        )
        return build(draft, seeded("salt"))

    def signed(self) -> SignedTransaction:
        built = self.built()
        hidden = {built.layout.position(group, index) for group, index in self.torn}
        shown = built.showing(set(range(built.layout.size)) - hidden)
        return SignedTransaction(shown, self._signatures(built.id))

    def _signatures(self, transaction: bytes) -> tuple[TransactionSignature, ...]:
        wanted = {key for _, signers in self.commands for p in signers for key in keys_of(p)}
        return tuple(
            sign_transaction(SIGNERS[key], PARAMETERS.network, transaction)
            for key in sorted(wanted - self.unsigned)
        )

    def states_held(self) -> tuple[tuple[StateRef, TransactionState], ...]:
        inputs = [data for at, data in enumerate(self.inputs) if at not in self.not_held]
        references = self.references if self.reference_held else ()
        return tuple((ref_to(data), state(data, self.held_at)) for data in (*inputs, *references))

    # -- checks ------------------------------------------------------------------------------------

    def checked(self) -> CheckedTransaction:
        """Return what the verifier makes of it; raises what the verifier raises."""
        held = dict(self.states_held())
        return VERIFIER.check(self.signed(), held.get, held=not self.not_held)

    def verifies(self) -> None:
        self.checked()
        self._record(None, None)

    def fails_with(self, rule: Rule) -> None:
        """The contract refuses, and by this clause."""
        assert type(rule) is self.contract.rules, "the clause is of the contract under test"
        with pytest.raises(RuleBroken) as refusal:
            self.checked()
        assert refusal.value.rule is rule, f"refused by {refusal.value.rule.name} instead"
        self._record("RuleBroken", rule.name)

    def refused_with(self, error: type[LedgerError]) -> None:
        """The ledger refuses, whatever the contract says."""
        with pytest.raises(error) as refusal:
            self.checked()
        assert not isinstance(refusal.value, RuleBroken), "say which clause"
        self._record(type(refusal.value).__name__, None)

    def _record(self, error: str | None, rule: str | None) -> None:
        if not _recorders:
            return
        made = Checked(
            self.contract.name,
            self.signed(),
            self.states_held(),
            held=not self.not_held,
            error=error,
            rule=rule,
        )
        _recorders[-1].append(made)


def sealed_at(place: SealPlace, data: Data) -> Sealed:
    """The sealed component that a contract wants at this place."""
    assert isinstance(data, place.kind), "of the place's kind"
    return place.holds(encode(data))
