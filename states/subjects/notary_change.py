"""Moving states to another notary: nothing but the notary changes, and their owners sign."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from states.contract import Contract, Owner, Subject, requirements
from states.errors import Rule
from states.groups import Group
from states.identity import PartyField
from states.ledger import Data, LedgerTransaction, StateAndData
from states.sealed import Place
from states.subjects.shape import is_signed_by, is_signed_only_by
from states.subjects.terms import Opening

CORPUS = bytes.fromhex("9faa2ddfa777751ae582c6b2cbd5a326fe911b9211d8e824c6c998bfbeadc86a")


class NotaryChange(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="notary-change/1"
):
    """Every input moves to the notary `to`, into the output of its own index."""

    to: PartyField


class NotaryChangeRule(Rule):
    """Clauses of a change of notary."""

    ALONE = "a change of notary is its transaction's only command"
    MOVES_SOMETHING = "a change of notary moves at least one state"
    ONE_FOR_ONE = "each input has the output of its own index"
    NO_REFERENCES = "a change of notary refers to nothing"
    NO_ATTACHMENTS = "a change of notary attaches nothing"
    ANOTHER_NOTARY = "the new notary is one of the network's and not the old one"
    AT_THE_NEW_NOTARY = "each output is at the new notary"
    SAME_STATE = "contract and data of each state stay as they are"
    OWNERS_SIGN = "the owners of each state sign"
    NOBODY_ELSE_SIGNS = "nobody but the owners is asked to sign"
    OPENINGS_ONLY = "the sealed components are openings of the new locks"
    OPENING_FOR_EACH = "each state that others refer to has one opening, in the order of outputs"
    OPENING_ABOUT_ITS_OUTPUT = "an opening is about the output that it names"
    OPENING_READERS = "an opening is for those who may refer to the state"
    OPENING_OPENS = "an opening opens the lock of its output"


def moves_notary(tx: LedgerTransaction) -> bool:
    """Whether the transaction's one command is a change of notary: then its contract alone judges."""
    return len(tx.commands) == 1 and isinstance(tx.commands[0].data, NotaryChange)


@dataclass(frozen=True)
class NotaryChangeContract:
    """The rules of moving states of `subjects` between notaries."""

    subjects: tuple[Subject, ...]
    corpus: bytes = CORPUS
    name: ClassVar[str] = "notary-change/1"
    rules: ClassVar[type[Rule]] = NotaryChangeRule
    state: ClassVar[type[Data] | None] = None
    commands: ClassVar[tuple[type[Data], ...]] = (NotaryChange,)
    sealed: ClassVar[tuple[type[Data], ...]] = (Opening,)

    def verify(self, tx: LedgerTransaction) -> None:
        require, rule = requirements(tx), NotaryChangeRule
        require(rule.ALONE, moves_notary(tx))
        command = tx.commands[0].data
        assert isinstance(command, NotaryChange), "moves_notary has said so"
        moved = tx.count(Group.INPUTS)
        require(rule.MOVES_SOMETHING, moved > 0)
        require(rule.ONE_FOR_ONE, tx.count(Group.OUTPUTS) == moved)
        require(rule.NO_REFERENCES, tx.count(Group.REFERENCES) == 0)
        require(rule.NO_ATTACHMENTS, tx.count(Group.ATTACHMENTS) == 0)
        known = tx.parameters.notary(command.to) is not None
        require(rule.ANOTHER_NOTARY, known and command.to != tx.notary)
        outputs = tx.outputs
        require(rule.AT_THE_NEW_NOTARY, all(_at(o) == command.to for o in outputs.values()))
        require(rule.SAME_STATE, all(_stays(tx, index) for index in outputs))
        owners = self._owners(tx)
        require(rule.OWNERS_SIGN, all(is_signed_by(tx, owner) for owner in owners))
        if len(_states(tx)) == moved:  # else an owner may sign for a state that is not known here
            require(rule.NOBODY_ELSE_SIGNS, is_signed_only_by(tx, owners))
        self._verify_openings(tx)

    def _verify_openings(self, tx: LedgerTransaction) -> None:
        require, rule = requirements(tx), NotaryChangeRule
        openings = tx.seals_of(Opening)
        states = _states(tx)
        referring = {i: self._subject(state).referring for i, state in states.items()}
        referred = [i for i, roles in sorted(referring.items()) if roles]
        require(rule.OPENINGS_ONLY, len(openings) == len(tx.sealed))
        if len(states) == tx.count(Group.INPUTS):
            require(rule.OPENING_FOR_EACH, tx.count(Group.SEALED) == len(referred))
            in_order = all(referred[seal.index] == o.output for seal, o in openings)
            require(rule.OPENING_FOR_EACH, in_order)
        for seal, opening in openings:
            about = Place(Group.OUTPUTS, opening.output)
            require(rule.OPENING_ABOUT_ITS_OUTPUT, seal.sealed.about == about)
            if opening.output in referring:
                require(rule.OPENING_READERS, seal.sealed.readers == referring[opening.output])
            if opening.output in tx.locks:
                require(rule.OPENING_OPENS, opening.opens(tx.locks[opening.output]))

    def _owners(self, tx: LedgerTransaction) -> frozenset[Owner]:
        states = _states(tx).values()
        return frozenset(o for state in states for o in self._subject(state).owners(state.data))

    def _subject(self, moved: StateAndData) -> Subject:
        return next(s for s in self.subjects if s.name == moved.state.contract)


def with_notary_change(subjects: Iterable[Subject], corpus: bytes = CORPUS) -> tuple[Contract, ...]:
    """Return the contracts of `subjects` and the one that moves their states."""
    governed = tuple(subjects)
    return (*governed, NotaryChangeContract(governed, corpus))


def _at(output: StateAndData) -> str:
    return output.state.notary


def _stays(tx: LedgerTransaction, index: int) -> bool:
    """Whether an output is its input but for the notary, as far as the input is held."""
    held, moved = tx.inputs[index].held, tx.outputs[index].state
    if held is None:
        return True
    return (held.state.contract, held.state.data) == (moved.contract, moved.data)


def _states(tx: LedgerTransaction) -> dict[int, StateAndData]:
    """The states that move, by index, as far as input or output is known here."""
    held = {i: item.held for i, item in enumerate(tx.inputs) if item.held is not None}
    return {**tx.outputs, **held}
