"""The rules' side of the ledger: contracts, and the words that they bring (specification §8)."""

from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from typing import Protocol

from states.crypto.policy import Policy
from states.encoding import Codec
from states.errors import LedgerError, Rule, RuleBroken
from states.identity import Party
from states.ledger import Data, LedgerTransaction


class UnknownContract(LedgerError):
    """No contract of this name is known here, or the network does not allow it at that time."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"contract {name}: {why}")
        self.name = name


class Contract(Protocol):
    """The rules of one subject. Pure: the same transaction gets the same answer everywhere, for ever."""

    @property
    def name(self) -> str:
        """Name and version, "record/1": also the tag of `state`."""

    @property
    def corpus(self) -> bytes:
        """SHA-256 of its corpus of accepted and refused cases: with the name, its identity."""

    @property
    def rules(self) -> type[Rule]:
        """Its clauses."""

    @property
    def state(self) -> type[Data] | None:
        """The state that it governs; None for a contract that governs a move of any state."""

    @property
    def commands(self) -> tuple[type[Data], ...]: ...

    @property
    def sealed(self) -> tuple[type[Data], ...]:
        """The kinds of sealed components that it brings."""

    def verify(self, tx: LedgerTransaction) -> None:
        """Return if the transaction keeps every clause; raise RuleBroken naming the first broken."""


Owner = Policy | Party
"""Who may act for a state: a patient's policy, or an organisation by its identity keys."""


class Subject(Contract, Protocol):
    """A contract that governs a state: it also says who owns one, and who is told how to refer to it."""

    @property
    def referring(self) -> tuple[str, ...]:
        """The roles that get the opening of its lock, sorted; empty where nobody but the owner refers."""

    def owners(self, data: Data) -> tuple[Owner, ...]:
        """Return who must sign when this state moves to another notary."""


Require = Callable[[Rule, bool], None]


def requirements(tx: LedgerTransaction) -> Require:
    """Return the `require` of a contract's body, which knows the transaction that it judges."""

    def require(rule: Rule, holds: bool) -> None:  # noqa: FBT001 - a clause and its truth
        if not holds:
            raise RuleBroken(tx.id, rule)

    return require


class Contracts:
    """The contracts that a node knows, and one codec each for states, commands and seals of all."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self.by_name = {contract.name: contract for contract in contracts}
        known = self.by_name.values()
        self._of_command = {kind: contract for contract in known for kind in contract.commands}
        self.states = _union((c.state for c in known if c.state is not None), "state's data")
        self.commands = _union(self._of_command, "command's data")
        self.seals = _union((kind for c in known for kind in c.sealed), "sealed data")

    def named(self, name: str) -> Contract:
        """Raises UnknownContract."""
        try:
            return self.by_name[name]
        except KeyError:
            raise UnknownContract(name, "not known here") from None

    def of_command(self, command: Data) -> Contract:
        return self._of_command[type(command)]


def _union(kinds: Iterable[type[Data]], what: str) -> Codec[Data]:
    """One codec over tagged structs; a kind that two contracts share counts once."""
    union = reduce(or_, dict.fromkeys(kinds))
    return Codec(union, what)  # the union of Structs is decoded by tag


def tag_of(kind: type[Data]) -> str:
    """Return the tag that begins the encoding of `kind`."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str), f"{kind.__name__} has no tag"
    return tag
