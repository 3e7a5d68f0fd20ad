"""Disclosures: that a custodian opens records to a recipient, on what basis, for whom, until when."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec

from states.contract import Owner, requirements
from states.errors import Rule
from states.groups import Group
from states.identity import PartyField
from states.ledger import Data, LedgerTransaction
from states.sizes import U16, Bytes16, Bytes32, Millis, Text
from states.subjects import shape
from states.subjects.codes import Obligation, Purpose, RoleCode, require_sorted
from states.subjects.consent import Consent
from states.subjects.content import BlobId, Content, SizeClass
from states.subjects.notary_change import moves_notary
from states.subjects.record import Version
from states.subjects.shape import SealPlace

CORPUS = bytes.fromhex("7a83a384096e303b13c6eda07b5d432e709b1be8c37cde6c3882fcf356b45733")

CREDENTIAL_BYTES_MAX = 4_096
ITEMS_MAX = 60_000  # leaves room for the other components below 65,536 leaves

HOLDERS = ("agent", "custodian", "recipient")


class ByConsent(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="by-consent/1"
):
    """The basis is the consent at this index of the references. Another basis is another tag."""

    reference: U16


class Disclosure(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="disclosure/1"
):
    """A custodian opens `items` records to a recipient, who may read them until `read_until`.

    Their keys are released not later than `release_by`. The patient is not named: the basis names her to each party
    in its own words. `agent` is to be told of each reading.
    """

    custodian: PartyField
    recipient: PartyField
    agent: PartyField
    basis: ByConsent
    items: Annotated[int, msgspec.Meta(ge=1, le=ITEMS_MAX)]
    release_by: Millis
    read_until: Millis
    obligations: Annotated[tuple[Obligation, ...], msgspec.Meta(max_length=16)]

    def __post_init__(self) -> None:
        require_sorted("obligations", self.obligations)


class DisclosureMake(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="disclosure-make/1",
):
    """A custodian discloses and a recipient accepts."""


class Who(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="who/1"):
    """Who reads at the recipient, and why: its own id of the person, the name to show, role, purpose, credential."""

    person: Bytes16
    shown_as: Text
    role: RoleCode
    purpose: Purpose
    credential: Annotated[bytes, msgspec.Meta(max_length=CREDENTIAL_BYTES_MAX)]


class Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="item/1"):
    """One record that is opened: what its bytes must be, and what it is."""

    commitment: Bytes32
    blob: BlobId
    size_class: SizeClass
    version: Version
    content: Content


class DisclosureRule(Rule):
    """Clauses of the disclosure contract."""

    NOTHING_BUT_DISCLOSURE = (
        "a transaction that touches a disclosure has one command, of disclosure, alone"
    )
    CONSUMES_NOTHING = "a disclosure consumes nothing"
    CREATES_ONE = "a disclosure creates exactly one state"
    NO_ATTACHMENTS = "a disclosure attaches nothing"
    AT_ITS_NOTARY = "a disclosure is created at the notary of its transaction"
    CUSTODIAN_SIGNS = "the custodian signs"
    RECIPIENT_SIGNS = "the recipient signs"
    NOBODY_ELSE_SIGNS = "nobody but custodian and recipient is asked to sign"
    PARTIES_DIFFER = "custodian, recipient and agent are three parties"
    ONE_REFERENCE = "a disclosure refers to its basis and to nothing else"
    BASIS_IS_THE_REFERENCE = "the basis is reference 0"
    BASIS_IS_A_CONSENT = "the basis is a consent"
    CONSENT_OF_THE_CUSTODIAN = "the consent is for this custodian"
    CONSENT_FOR_THE_RECIPIENT = "the consent is for this recipient"
    CONSENT_OF_THE_AGENT = "the consent names this agent"
    WHILE_CONSENT_RUNS = "the time-window lies inside the consent's time"
    READ_WHILE_CONSENT_RUNS = "nothing may be read after the consent's end"
    RELEASE_SOON = "keys are released soon after the time-window closes, and not before"
    SEALS_COUNTED = "there is one sealed reader and one sealed item for each record"
    SEALS_OF_KIND = "each sealed component is of the kind that its place wants"
    SEALS_ABOUT_DISCLOSURE = "each sealed component is about the disclosure"
    SEALS_FOR_HOLDERS = "each sealed component is for custodian, recipient and agent"
    ITEMS_DIFFER = "no record is disclosed twice"


@dataclass(frozen=True)
class DisclosureContract:
    """The rules of disclosure. Every path not listed is refused."""

    corpus: bytes = CORPUS
    name: ClassVar[str] = "disclosure/1"
    rules: ClassVar[type[Rule]] = DisclosureRule
    state: ClassVar[type[Data] | None] = Disclosure
    commands: ClassVar[tuple[type[Data], ...]] = (DisclosureMake,)
    sealed: ClassVar[tuple[type[Data], ...]] = (Who, Item)
    referring: ClassVar[tuple[str, ...]] = ()

    def owners(self, data: Data) -> tuple[Owner, ...]:
        assert isinstance(data, Disclosure), "the contract of disclosure is asked about them"
        return (data.custodian,)

    def verify(self, tx: LedgerTransaction) -> None:
        if moves_notary(tx):
            return
        require, rule = requirements(tx), DisclosureRule
        require(rule.NOTHING_BUT_DISCLOSURE, shape.own_command(tx, self) is not None)
        require(rule.CONSUMES_NOTHING, tx.count(Group.INPUTS) == 0)
        require(rule.CREATES_ONE, tx.count(Group.OUTPUTS) == 1)
        require(rule.NO_ATTACHMENTS, tx.count(Group.ATTACHMENTS) == 0)
        require(rule.ONE_REFERENCE, tx.count(Group.REFERENCES) == 1)
        require(rule.AT_ITS_NOTARY, shape.at_its_notary(tx))
        for _, disclosure in tx.outputs_of(Disclosure):
            _verify_parties(tx, disclosure)
            _verify_basis(tx, disclosure)
            _verify_release(tx, disclosure)
            items = tx.count(Group.SEALED) - 1
            require(rule.SEALS_COUNTED, items == disclosure.items)
        _verify_seals(tx)


def seal_places(items: int) -> tuple[SealPlace, ...]:
    """Return what lies where in the sealed group: who, then each item apart, so that it is erasable alone."""
    return (SealPlace(Who, 0, HOLDERS), *(SealPlace(Item, 0, HOLDERS) for _ in range(items)))


def _verify_parties(tx: LedgerTransaction, disclosure: Disclosure) -> None:
    require, rule = requirements(tx), DisclosureRule
    sides = (disclosure.custodian, disclosure.recipient)
    require(rule.PARTIES_DIFFER, len({*sides, disclosure.agent}) == len(sides) + 1)
    require(rule.CUSTODIAN_SIGNS, tx.party_signs(disclosure.custodian))
    require(rule.RECIPIENT_SIGNS, tx.party_signs(disclosure.recipient))
    require(rule.NOBODY_ELSE_SIGNS, shape.is_signed_only_by(tx, sides))


def _verify_basis(tx: LedgerTransaction, disclosure: Disclosure) -> None:
    """The consent is judged where it is held: its parties, its time. Its terms are the gate's to judge."""
    require, rule = requirements(tx), DisclosureRule
    require(rule.BASIS_IS_THE_REFERENCE, disclosure.basis.reference == 0)
    held = tx.references[0].held
    if held is None:
        return
    consent = held.data
    require(rule.BASIS_IS_A_CONSENT, isinstance(consent, Consent))
    assert isinstance(consent, Consent), "required above"
    require(rule.CONSENT_OF_THE_CUSTODIAN, consent.custodian == disclosure.custodian)
    require(rule.CONSENT_FOR_THE_RECIPIENT, consent.grantee == disclosure.recipient)
    require(rule.CONSENT_OF_THE_AGENT, consent.agent == disclosure.agent)
    inside = consent.start <= tx.window.from_time and tx.window.until_time <= consent.end
    require(rule.WHILE_CONSENT_RUNS, inside)
    require(rule.READ_WHILE_CONSENT_RUNS, disclosure.read_until <= consent.end)


def _verify_release(tx: LedgerTransaction, disclosure: Disclosure) -> None:
    closes = tx.window.until_time
    latest = closes + tx.parameters.limits.release_ms
    soon = closes <= disclosure.release_by <= latest
    requirements(tx)(DisclosureRule.RELEASE_SOON, soon)


def _verify_seals(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), DisclosureRule
    places = seal_places(tx.count(Group.SEALED) - 1)
    require(rule.SEALS_OF_KIND, shape.seals_are_of_their_kind(tx, places))
    require(rule.SEALS_ABOUT_DISCLOSURE, shape.seals_are_about_theirs(tx, places))
    require(rule.SEALS_FOR_HOLDERS, shape.seals_are_for_their_readers(tx, places))
    blobs = [item.blob for _, item in tx.seals_of(Item)]
    require(rule.ITEMS_DIFFER, len(set(blobs)) == len(blobs))
