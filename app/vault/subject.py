"""What a subject adds to a node's vault: who holds its transactions, what is checked and kept beside the ledger."""

from collections.abc import Callable, Iterable, Mapping
from sqlite3 import Connection
from typing import Protocol

from flows.notices import Letter
from flows.step import StepContext
from states.contract import Contract, UnknownContract
from states.identity import Party
from states.ledger import LedgerTransaction
from states.tearoff import Tearoff
from states.verifier import CheckedTransaction, VerifiedTransaction

Holders = Mapping[Party, frozenset[str]]
"""Each party that a transaction concerns, with its roles there."""


FORMER = frozenset({"former-custodian"})
"""Roles that end with the transaction: whoever has no other in it hears no more of what it creates."""


Step = StepContext[Connection]
"""One flow step's unit of work; `unit` is the open transaction of the node's database."""


class Subject(Protocol):
    """The node's side of one subject. Its contract is its name."""

    @property
    def contract(self) -> Contract: ...

    def holders(self, step: Step, ledger: LedgerTransaction) -> Holders:
        """Return who holds this transaction, as far as this node can tell, itself included."""

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        """Check what only this node can: that authorities are pinned, that patients are enrolled.

        Raises a LedgerError. Called before a transaction is held or recorded.
        """

    def record(self, step: Step, verified: VerifiedTransaction, seq: int) -> tuple[Letter, ...]:
        """Keep what the subject keeps beside the ledger; return the notices that this node now owes."""


Judge = Callable[[Step, CheckedTransaction, Party, bytes], Tearoff]
"""Checks that a proposal of a peer is what this node asked for (the row that `bytes` names), before it signs.

Returns the tear-off to hold: as it was brought, or with a component of this node's own revealed. Raises a LedgerError.
"""


Reveal = Callable[[Step, CheckedTransaction], Tearoff]
"""Shows in a verified transaction what this node itself had entered by its hash; raises a LedgerError if it cannot."""


class Subjects:
    """The subjects of a node, by contract name; and who judges proposals, for those that others propose."""

    def __init__(
        self,
        subjects: Iterable[Subject],
        judges: Mapping[str, Judge],
        revealers: Mapping[str, Reveal] | None = None,
    ) -> None:
        self._by_name = {subject.contract.name: subject for subject in subjects}
        self.judges = judges
        self._revealers = revealers or {}

    def of(self, ledger: LedgerTransaction) -> Subject:
        """Return the subject whose command the transaction carries (contracts allow only one)."""
        command = ledger.commands[0].data
        for subject in self._by_name.values():
            if isinstance(command, subject.contract.commands):
                return subject
        raise UnknownContract(type(command).__name__, "no subject of this node")

    def revealed(self, step: Step, checked: CheckedTransaction) -> Tearoff:
        """Return the tear-off to record of what others bring: with what this node had entered by its hash alone."""
        reveal = self._revealers.get(self.of(checked.ledger).contract.name)
        return checked.filtered.tearoff if reveal is None else reveal(step, checked)

    def named(self, name: str) -> Subject:
        return self._by_name[name]
