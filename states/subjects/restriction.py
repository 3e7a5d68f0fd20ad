"""Restrictions: what a patient closes at one custodian. No grantee is ever shown one."""

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from states.contract import Owner, requirements
from states.crypto.policy import Policy
from states.errors import Rule
from states.groups import Group
from states.identity import PartyField
from states.ledger import Data, LedgerTransaction
from states.sizes import Millis
from states.subjects import shape
from states.subjects.notary_change import moves_notary
from states.subjects.shape import KEEPERS, SealPlace
from states.subjects.terms import SubjectAt, Terms

CORPUS = bytes.fromhex("410327ed1416aec41cabc65a47483e0fd5229c46408bd8fd0889e7a7d90db80e")

SEAL_PLACES = (SealPlace(SubjectAt, 0, KEEPERS), SealPlace(Terms, 0, KEEPERS))
"""What lies where in the sealed group of a restriction that is made or amended."""


class Restriction(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="restriction/1"
):
    """Who closes something at which custodian, from `start` until it is lifted; what is in the sealed terms."""

    authority: Policy
    custodian: PartyField
    agent: PartyField
    start: Millis


class RestrictionClose(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="restriction-close/1",
):
    """A patient closes something."""


class RestrictionAmend(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="restriction-amend/1",
):
    """A patient closes something else instead."""


class RestrictionLift(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="restriction-lift/1",
):
    """A patient opens again what she had closed."""


class RestrictionRule(Rule):
    """Clauses of the restriction contract."""

    NOTHING_BUT_RESTRICTION = (
        "a transaction that touches a restriction has one command, of restrictions, alone"
    )
    NO_REFERENCES = "a transaction of restrictions refers to nothing"
    ONE_NOTICE = "a restriction attaches at most the notice that the patient was shown"
    AT_ITS_NOTARY = "a restriction is created at the notary of its transaction"
    CLOSE_CONSUMES_NOTHING = "a closing consumes nothing"
    CLOSE_CREATES_ONE = "a closing creates exactly one restriction"
    AMEND_ONE_FOR_ONE = "an amendment consumes one restriction and creates one"
    LIFT_CONSUMES_ONE = "a lifting consumes exactly one restriction"
    LIFT_CREATES_NOTHING = "a lifting creates nothing"
    AUTHORITY_SIGNS = "the patient signs, with the authority of the old restriction and of the new"
    NOBODY_ELSE_SIGNS = "nobody but the patient is asked to sign"
    PARTIES_DIFFER = "custodian and agent are two parties"
    AMEND_KEEPS_PARTIES = "an amendment keeps custodian and agent"
    SEALS_COUNTED = "a restriction has all its sealed components, a lifting has none"
    SEALS_OF_KIND = "each sealed component is of the kind that its place wants"
    SEALS_ABOUT_RESTRICTION = "each sealed component is about the restriction"
    NEVER_FOR_A_GRANTEE = "each sealed component is for custodian and agent, and nobody else"
    NAMED_TO_CUSTODIAN = "the patient is named as the custodian names her"
    DENIES = "the terms deny"


@dataclass(frozen=True)
class RestrictionContract:
    """The rules of restrictions. Every path not listed is refused."""

    corpus: bytes = CORPUS
    name: ClassVar[str] = "restriction/1"
    rules: ClassVar[type[Rule]] = RestrictionRule
    state: ClassVar[type[Data] | None] = Restriction
    commands: ClassVar[tuple[type[Data], ...]] = (
        RestrictionClose,
        RestrictionAmend,
        RestrictionLift,
    )
    sealed: ClassVar[tuple[type[Data], ...]] = (SubjectAt, Terms)
    referring: ClassVar[tuple[str, ...]] = ()

    def owners(self, data: Data) -> tuple[Owner, ...]:
        assert isinstance(data, Restriction), "the contract of restrictions is asked about them"
        return (data.authority,)

    def verify(self, tx: LedgerTransaction) -> None:
        if moves_notary(tx):
            return
        require, rule = requirements(tx), RestrictionRule
        command = shape.own_command(tx, self)
        require(rule.NOTHING_BUT_RESTRICTION, command is not None)
        require(rule.NO_REFERENCES, tx.count(Group.REFERENCES) == 0)
        require(rule.ONE_NOTICE, tx.count(Group.ATTACHMENTS) <= 1)
        require(rule.AT_ITS_NOTARY, shape.at_its_notary(tx))
        match command:
            case RestrictionClose():
                require(rule.CLOSE_CONSUMES_NOTHING, tx.count(Group.INPUTS) == 0)
                require(rule.CLOSE_CREATES_ONE, tx.count(Group.OUTPUTS) == 1)
            case RestrictionAmend():
                require(rule.AMEND_ONE_FOR_ONE, shape.is_one(tx, inputs=1, outputs=1))
            case _:
                require(rule.LIFT_CONSUMES_ONE, tx.count(Group.INPUTS) == 1)
                require(rule.LIFT_CREATES_NOTHING, tx.count(Group.OUTPUTS) == 0)
        _verify_parties(tx)
        _verify_seals(tx)


def _verify_parties(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), RestrictionRule
    old, new = tx.inputs_of(Restriction), [r for _, r in tx.outputs_of(Restriction)]
    authorities = [restriction.authority for restriction in (*old, *new)]
    require(rule.AUTHORITY_SIGNS, all(tx.signs(authority) for authority in authorities))
    if len(authorities) == tx.count(Group.INPUTS) + tx.count(Group.OUTPUTS):
        require(rule.NOBODY_ELSE_SIGNS, shape.is_signed_only_by(tx, authorities))
    require(rule.PARTIES_DIFFER, all(r.custodian != r.agent for r in new))
    for before, after in zip(old, new, strict=False):
        kept = (before.custodian, before.agent) == (after.custodian, after.agent)
        require(rule.AMEND_KEEPS_PARTIES, kept)


def _verify_seals(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), RestrictionRule
    places = SEAL_PLACES if tx.count(Group.OUTPUTS) else ()
    require(rule.SEALS_COUNTED, shape.seals_are_counted(tx, places))
    require(rule.SEALS_OF_KIND, shape.seals_are_of_their_kind(tx, places))
    require(rule.SEALS_ABOUT_RESTRICTION, shape.seals_are_about_theirs(tx, places))
    require(rule.NEVER_FOR_A_GRANTEE, shape.seals_are_for_their_readers(tx, places))
    for _, new in tx.outputs_of(Restriction):
        named = all(name.party == new.custodian for _, name in tx.seals_of(SubjectAt))
        require(rule.NAMED_TO_CUSTODIAN, named)
    require(rule.DENIES, all(terms.decision == "deny" for _, terms in tx.seals_of(Terms)))
