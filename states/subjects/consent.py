"""Consent: what one grantee may read at one custodian, on the patient's signature alone."""

from dataclasses import dataclass
from itertools import pairwise
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
from states.subjects.terms import Exceptions, Opening, SubjectAt, Terms

CORPUS = bytes.fromhex("52719713a02a0cacbccd1922cd0d5539ef915b833557ad6fffa8bd307e59b352")

LENGTH_MAX_MS = 10 * 366 * 24 * 3_600_000  # ten years: nobody remembers longer what she agreed to

HOLDERS = ("agent", "custodian", "grantee")

SEAL_PLACES = (
    SealPlace(SubjectAt, 0, KEEPERS),
    SealPlace(SubjectAt, 0, ("agent", "grantee")),
    SealPlace(Terms, 0, HOLDERS),
    SealPlace(Opening, 0, HOLDERS),
    SealPlace(Exceptions, 0, KEEPERS),  # always there: a grantee who counts learns nothing
)
"""What lies where in the sealed group of a grant or an amendment."""

_AT_CUSTODIAN, _AT_GRANTEE = 0, 1


class Consent(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="consent/1"
):
    """Who agreed, for which grantee at which custodian, in [start, end); what is in the sealed terms.

    `agent` speaks for the patient and is told of each reading.
    """

    authority: Policy
    custodian: PartyField
    grantee: PartyField
    agent: PartyField
    start: Millis
    end: Millis

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError("a consent starts before it ends")


class ConsentGrant(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="consent-grant/1"
):
    """A patient agrees."""


class ConsentAmend(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="consent-amend/1"
):
    """Other terms, dates or keys take the place of those agreed; all are said again."""


class ConsentRevoke(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="consent-revoke/1"
):
    """A patient withdraws."""


class ConsentRule(Rule):
    """Clauses of the consent contract."""

    NOTHING_BUT_CONSENT = "a transaction that touches consent has one command, of consent, alone"
    NO_REFERENCES = "a transaction of consent refers to nothing"
    ONE_NOTICE = "a consent attaches at most the notice that the patient was shown"
    AT_ITS_NOTARY = "a consent is created at the notary of its transaction"
    GRANT_CONSUMES_NOTHING = "a grant consumes nothing"
    GRANT_CREATES_ONE = "a grant creates exactly one consent"
    AMEND_ONE_FOR_ONE = "an amendment consumes one consent and creates one"
    REVOKE_CONSUMES_ONE = "a revocation consumes exactly one consent"
    REVOKE_CREATES_NOTHING = "a revocation creates nothing"
    AUTHORITY_SIGNS = "the patient signs, with the authority of the old consent and of the new"
    NOBODY_ELSE_SIGNS = "nobody but the patient is asked to sign"
    PARTIES_DIFFER = "custodian, grantee and agent are three parties"
    AMEND_KEEPS_PARTIES = "an amendment keeps custodian, grantee and agent"
    NOT_OVER = "a consent does not end before it can be notarised"
    TEN_YEARS_AT_MOST = "a consent ends within ten years"
    SEALS_COUNTED = "a consent has all its sealed components, a revocation has none"
    SEALS_OF_KIND = "each sealed component is of the kind that its place wants"
    SEALS_ABOUT_CONSENT = "each sealed component is about the consent"
    SEALS_FOR_READERS = "each sealed component is for the readers of its place"
    NAMED_TO_EACH = "the patient is named to the custodian and to the grantee as each names her"
    PAIRWISE_NAMES = "custodian and grantee have no common name of the patient"
    FOR_THE_GRANTEE = "the terms name no party: they are for the grantee"
    OPENING_OPENS = "the opening opens the lock of the consent"


@dataclass(frozen=True)
class ConsentContract:
    """The rules of consent. Every path not listed is refused."""

    corpus: bytes = CORPUS
    name: ClassVar[str] = "consent/1"
    rules: ClassVar[type[Rule]] = ConsentRule
    state: ClassVar[type[Data] | None] = Consent
    commands: ClassVar[tuple[type[Data], ...]] = (ConsentGrant, ConsentAmend, ConsentRevoke)
    sealed: ClassVar[tuple[type[Data], ...]] = (SubjectAt, Terms, Opening, Exceptions)
    referring: ClassVar[tuple[str, ...]] = HOLDERS

    def owners(self, data: Data) -> tuple[Owner, ...]:
        assert isinstance(data, Consent), "the contract of consent is asked about consents"
        return (data.authority,)

    def verify(self, tx: LedgerTransaction) -> None:
        if moves_notary(tx):
            return
        require, rule = requirements(tx), ConsentRule
        command = shape.own_command(tx, self)
        require(rule.NOTHING_BUT_CONSENT, command is not None)
        require(rule.NO_REFERENCES, tx.count(Group.REFERENCES) == 0)
        require(rule.ONE_NOTICE, tx.count(Group.ATTACHMENTS) <= 1)
        require(rule.AT_ITS_NOTARY, shape.at_its_notary(tx))
        match command:
            case ConsentGrant():
                require(rule.GRANT_CONSUMES_NOTHING, tx.count(Group.INPUTS) == 0)
                require(rule.GRANT_CREATES_ONE, tx.count(Group.OUTPUTS) == 1)
            case ConsentAmend():
                require(rule.AMEND_ONE_FOR_ONE, shape.is_one(tx, inputs=1, outputs=1))
            case _:
                require(rule.REVOKE_CONSUMES_ONE, tx.count(Group.INPUTS) == 1)
                require(rule.REVOKE_CREATES_NOTHING, tx.count(Group.OUTPUTS) == 0)
        _verify_signers(tx)
        _verify_new(tx)
        _verify_seals(tx)


def _verify_signers(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), ConsentRule
    known = [*tx.inputs_of(Consent), *(consent for _, consent in tx.outputs_of(Consent))]
    authorities = [consent.authority for consent in known]
    require(rule.AUTHORITY_SIGNS, all(tx.signs(authority) for authority in authorities))
    if len(known) == tx.count(Group.INPUTS) + tx.count(Group.OUTPUTS):
        require(rule.NOBODY_ELSE_SIGNS, shape.is_signed_only_by(tx, authorities))


def _verify_new(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), ConsentRule
    for _, new in tx.outputs_of(Consent):
        parties = (new.custodian, new.grantee, new.agent)
        require(rule.PARTIES_DIFFER, len(set(parties)) == len(parties))
        for old in tx.inputs_of(Consent):
            kept = (old.custodian, old.grantee, old.agent) == parties
            require(rule.AMEND_KEEPS_PARTIES, kept)
        require(rule.NOT_OVER, tx.window.until_time <= new.end)
        require(rule.TEN_YEARS_AT_MOST, new.end <= tx.window.from_time + LENGTH_MAX_MS)


def _verify_seals(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), ConsentRule
    places = SEAL_PLACES if tx.count(Group.OUTPUTS) else ()
    require(rule.SEALS_COUNTED, shape.seals_are_counted(tx, places))
    require(rule.SEALS_OF_KIND, shape.seals_are_of_their_kind(tx, places))
    require(rule.SEALS_ABOUT_CONSENT, shape.seals_are_about_theirs(tx, places))
    require(rule.SEALS_FOR_READERS, shape.seals_are_for_their_readers(tx, places))
    names = {seal.index: subject for seal, subject in tx.seals_of(SubjectAt)}
    for _, new in tx.outputs_of(Consent):
        theirs = {_AT_CUSTODIAN: new.custodian, _AT_GRANTEE: new.grantee}
        named = all(name.party == theirs[index] for index, name in names.items())
        require(rule.NAMED_TO_EACH, named)
    differ = all(a.patient != b.patient for a, b in pairwise(names.values()))
    require(rule.PAIRWISE_NAMES, differ)
    require(rule.FOR_THE_GRANTEE, all(not terms.parties for _, terms in tx.seals_of(Terms)))
    for _, opening in tx.seals_of(Opening):
        opens = opening.output == 0 and (0 not in tx.locks or opening.opens(tx.locks[0]))
        require(rule.OPENING_OPENS, opens)
