"""Proof bundles: everything that shows one reading, disclosure or record to a stranger who pins only the network.

`verify_bundle` is pure and offline. It goes through `Check` in order; the first that fails is a BundleRefused with its
number, and what passes becomes findings in plain words, with what they cannot prove.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeVar

from states import findings as words
from states.bundle_format import BUNDLE, Bundle
from states.contract import Contracts
from states.enrolment import SIGNED_ENROLMENT, check_enrolment
from states.errors import InvalidSignature, LedgerError
from states.findings import Finding, Findings, Shown
from states.identity import Party
from states.ledger import LedgerTransaction
from states.liveness import open_liveness
from states.lock import nullifier
from states.parameters import (
    SIGNED_MEMBER,
    SIGNED_PARAMETERS,
    Member,
    MemberDirectory,
    NetworkParameters,
    ParametersHistory,
    UnknownParty,
    open_member,
    open_parameters,
    parameters_id,
)
from states.reading import VerifiedReading, contradict, item_hash, verify_reading
from states.shown_record import contents_of, records_of
from states.state import StateRef, TransactionState
from states.subjects.codes import purpose_covers
from states.subjects.consent import Consent, ConsentContract
from states.subjects.disclosure import Disclosure, DisclosureContract, Item, Who
from states.subjects.notary_change import with_notary_change
from states.subjects.record import RecordContract
from states.subjects.restriction import RestrictionContract
from states.subjects.terms import Opening, Terms
from states.trust import Trust
from states.verifier import VerifiedTransaction, Verifier

KNOWN = Contracts(
    with_notary_change(
        (RecordContract(), ConsentContract(), RestrictionContract(), DisclosureContract())
    )
)
"""The contracts that this release knows."""

T = TypeVar("T")


class Check(IntEnum):
    """The steps of a verification, in order."""

    READABLE = 1
    PARAMETERS = 2
    MEMBERS = 3
    TRANSACTIONS = 4
    READING = 5
    DISCLOSURE = 6
    CONSENT = 7
    LIVENESS = 8
    ENROLMENT = 9


class BundleRefused(LedgerError):
    """A step of a bundle's verification failed: nothing that the bundle says may be believed."""

    def __init__(self, check: Check, why: str) -> None:
        super().__init__(f"step {check.value} ({check.name.lower()}): {why}")
        self.check = check
        self.why = why


def verify_bundle(data: bytes, trust: Trust, contracts: Contracts = KNOWN) -> Findings:
    """Return what a bundle proves. Raises BundleRefused, naming the step that failed."""
    bundle = _step(Check.READABLE, lambda: BUNDLE.decode(data))
    return _Verification(bundle, trust, contracts).run()


def _step(check: Check, run: Callable[[], T]) -> T:
    try:
        return run()
    except BundleRefused:
        raise
    except LedgerError as refused:
        raise BundleRefused(check, str(refused)) from refused


@dataclass(frozen=True, slots=True)
class _Disclosed:
    """A disclosure with what its tear-off shows, and its consent."""

    verified: VerifiedTransaction
    made: Disclosure
    who: Who
    items: tuple[Item, ...]

    @property
    def consent(self) -> Consent:
        (reference,) = self.verified.checked.ledger.references
        assert reference.held is not None, "found to be in the bundle"
        assert isinstance(reference.held.data, Consent), "the contract requires it"
        return reference.held.data

    @property
    def consent_ref(self) -> StateRef:
        return self.verified.checked.ledger.references[0].ref


class _Verification:
    """One run over one bundle; every method after `run` is one step."""

    def __init__(self, bundle: Bundle, trust: Trust, contracts: Contracts) -> None:
        self._bundle = bundle
        self._trust = trust
        self._contracts = contracts
        self._found: list[Finding] = []
        self._members: dict[Party, Member] = {}
        self._verified: dict[bytes, VerifiedTransaction] = {}

    def run(self) -> Findings:
        versions = _step(Check.PARAMETERS, self._parameters)
        _step(Check.MEMBERS, lambda: self._open_members(versions))
        _step(Check.TRANSACTIONS, lambda: self._transactions(versions))
        reading = _step(Check.READING, self._reading)
        disclosed = _step(Check.DISCLOSURE, lambda: self._disclosure(reading))
        if disclosed is not None:
            _step(Check.CONSENT, lambda: self._consent(disclosed))
            _step(Check.LIVENESS, lambda: self._liveness(disclosed))
        _step(Check.ENROLMENT, lambda: self._enrolment(versions, disclosed))
        shown = _step(Check.READING, lambda: self._shown(reading, disclosed))
        found = words.conclude(self._bundle.subject, self._found, shown)
        if self._bundle.other is None:
            return found
        return replace(found, cannot=(words.WHICH_IS_TRUE, *found.cannot))

    def _finds(self, check: Check, said: str) -> None:
        self._found.append(Finding(check.value, said))

    # -- 2 to 4: what everything rests on ------------------------------------------------------------

    def _parameters(self) -> dict[bytes, NetworkParameters]:
        versions: dict[bytes, NetworkParameters] = {}
        for data in self._bundle.parameters:
            published = SIGNED_PARAMETERS.decode(data)
            opened = open_parameters(published, self._trust.network)
            versions[parameters_id(published.body)] = opened
        self._finds(Check.PARAMETERS, words.of_parameters(self._trust, versions.values()))
        return versions

    def _open_members(self, versions: dict[bytes, NetworkParameters]) -> None:
        for data in self._bundle.members:
            member = _by_any(versions.values(), data)
            known = self._members.get(member.party)
            if known is not None and known.serial >= member.serial:
                raise InvalidSignature(
                    "map entry", "an older one beside a newer of the same member"
                )
            self._members[member.party] = member
        self._finds(Check.MEMBERS, words.of_members(self._members.values()))

    def _transactions(self, versions: dict[bytes, NetworkParameters]) -> None:
        history = ParametersHistory(versions.items())
        directory = MemberDirectory(self._members.values())
        verifier = Verifier(history, self._contracts, directory)
        held: dict[StateRef, TransactionState] = {}
        for proven in reversed(self._bundle.transactions):
            verified = verifier.verify(proven, held.get, held=False)
            ledger = verified.checked.ledger
            if ledger.id in self._verified:
                raise BundleRefused(Check.TRANSACTIONS, "a transaction is there twice")
            self._verified[ledger.id] = verified
            held |= {StateRef(ledger.id, i): output.state for i, output in ledger.outputs.items()}
            self._finds(Check.TRANSACTIONS, words.of_transaction(verified))

    # -- 5: the entry ----------------------------------------------------------------------------------

    def _reading(self) -> VerifiedReading | None:
        if self._bundle.reading is None:
            return None
        # Decoded inside: the member whose log it must be in is the one that the entry names.
        member = self._member(words.organisation_in(self._bundle.reading))
        reading = verify_reading(self._bundle.reading, member)
        self._finds(Check.READING, words.of_reading(reading, member))
        if self._bundle.other is not None:
            self._contradicted(reading, verify_reading(self._bundle.other, member))
        return reading

    def _contradicted(self, reading: VerifiedReading, other: VerifiedReading) -> None:
        if not contradict(reading, other):
            raise BundleRefused(Check.READING, "the other entry does not contradict it")
        self._finds(Check.READING, words.of_contradiction(other))

    # -- 6: what was disclosed ---------------------------------------------------------------------------

    def _disclosure(self, reading: VerifiedReading | None) -> _Disclosed | None:
        wanted = reading.entry.disclosure if reading is not None else None
        if self._bundle.subject == "record" or (reading is not None and wanted is None):
            return None
        disclosed = self._find_disclosure(wanted)
        if reading is not None:
            self._compare(reading, disclosed)
        made = disclosed.made
        custodian, recipient = self._member(made.custodian), self._member(made.recipient)
        self._finds(
            Check.DISCLOSURE, words.of_disclosure(custodian, recipient, disclosed.who, made)
        )
        return disclosed

    def _find_disclosure(self, wanted: bytes | None) -> _Disclosed:
        for verified in self._verified.values():
            ledger = verified.checked.ledger
            made = [each for _, each in ledger.outputs_of(Disclosure)]
            if not made or wanted not in (None, ledger.id):
                continue
            who = [each for _, each in ledger.seals_of(Who)]
            if not who or ledger.references[0].held is None:
                why = (
                    "it shows nobody to whom it was disclosed, or its consent is not in the bundle"
                )
                raise BundleRefused(Check.DISCLOSURE, why)
            items = tuple(each for _, each in ledger.seals_of(Item))
            return _Disclosed(verified, made[0], who[0], items)
        raise BundleRefused(Check.DISCLOSURE, "the disclosure is not in the bundle")

    @staticmethod
    def _compare(reading: VerifiedReading, disclosed: _Disclosed) -> None:
        """The entry is by a side of the disclosure, about its items; a reading keeps its person, purpose, time."""
        entry, made, who = reading.entry, disclosed.made, disclosed.who
        if entry.organisation not in (made.recipient, made.custodian):
            raise BundleRefused(Check.DISCLOSURE, "the reading's organisation is no side of it")
        _match(reading, (item.commitment for item in disclosed.items))
        if entry.outcome != "read":
            return
        if entry.organisation != made.recipient:
            raise BundleRefused(Check.DISCLOSURE, "only its recipient reads by it")
        if (entry.person, entry.purpose) != (who.person, who.purpose):
            raise BundleRefused(Check.DISCLOSURE, "it is for another person or purpose")
        if entry.at >= made.read_until:
            raise BundleRefused(
                Check.DISCLOSURE, "it was read after the time that was disclosed for"
            )

    # -- 7: what was agreed -------------------------------------------------------------------------------

    def _consent(self, disclosed: _Disclosed) -> None:
        ledger = self._verified[disclosed.consent_ref.tx].checked.ledger
        terms = [terms for _, terms in ledger.seals_of(Terms)]
        if not terms:
            raise BundleRefused(Check.CONSENT, "its terms are not shown")
        _require_covered(terms[0], disclosed)
        self._finds(Check.CONSENT, words.of_consent(terms[0], disclosed.consent))

    # -- 8: that it lived ----------------------------------------------------------------------------------

    def _liveness(self, disclosed: _Disclosed) -> None:
        at = disclosed.verified.receipt.entry.at
        if self._bundle.liveness is None:
            self._finds(Check.LIVENESS, words.of_liveness(at, by_receipt=True))
            return
        checked = disclosed.verified.checked.ledger
        statement = open_liveness(self._bundle.liveness, checked.parameters)
        openings = _openings(self._verified[disclosed.consent_ref.tx].checked.ledger)
        opening = openings.get(disclosed.consent_ref.index)
        if opening is None:
            raise BundleRefused(Check.LIVENESS, "the opening of the consent's lock is not shown")
        if statement.nullifier != nullifier(opening.salt, disclosed.consent_ref):
            raise BundleRefused(Check.LIVENESS, "the statement is about another state")
        if statement.notary != checked.notary or not statement.live:
            raise BundleRefused(Check.LIVENESS, "not the consent's notary, or it says consumed")
        self._finds(Check.LIVENESS, words.of_liveness(statement.at, by_receipt=False))

    # -- 9: who the patient is -----------------------------------------------------------------------------

    def _enrolment(
        self, versions: dict[bytes, NetworkParameters], disclosed: _Disclosed | None
    ) -> None:
        if self._bundle.enrolment is None:
            return
        signed = SIGNED_ENROLMENT.decode(self._bundle.enrolment)
        newest = max(versions.values(), key=lambda each: each.version)
        enrolled = check_enrolment(signed, newest, MemberDirectory(self._members.values()))
        if disclosed is not None:
            consent = disclosed.consent
            if (enrolled.custodian, enrolled.authority) != (consent.custodian, consent.authority):
                raise BundleRefused(Check.ENROLMENT, "of another custodian or of another key")
        self._finds(Check.ENROLMENT, words.of_enrolment(self._member(enrolled.custodian)))

    # -- what is said in the end -----------------------------------------------------------------------------

    def _member(self, party: Party) -> Member:
        member = self._members.get(party)
        if member is None:
            raise UnknownParty(party)
        return member

    def _shown(self, reading: VerifiedReading | None, disclosed: _Disclosed | None) -> Shown:
        """What the findings are about. The items of a reading inside a custodian must be records in the bundle."""
        ledgers = [verified.checked.ledger for verified in self._verified.values()]
        if disclosed is not None:
            contents = [item.content for item in disclosed.items]
            if reading is not None:
                hashes = {item_hash(reading.salt, i.commitment): i for i in disclosed.items}
                contents = [hashes[item].content for item in reading.entry.items]
            return Shown(
                reading.entry if reading is not None else None,
                disclosed.who,
                tuple(contents),
                self._member(reading.entry.organisation if reading else disclosed.made.recipient),
                self._member(disclosed.made.custodian),
                disclosed.verified.receipt.entry.at,
            )
        records = records_of(ledgers)
        if reading is not None:
            entry, organisation = reading.entry, self._member(reading.entry.organisation)
            own = {c: r for c, r in records.items() if r.custodian == entry.organisation}
            _match(reading, own)
            found = {item_hash(reading.salt, commitment): r for commitment, r in own.items()}
            read = tuple(found[item].content for item in entry.items)
            # Who refuses need not keep what was asked for.
            custodian = organisation if read else None
            return Shown(entry, None, contents_of(read), organisation, custodian, 0)
        if not records:
            raise BundleRefused(Check.TRANSACTIONS, "no record is in the bundle")
        custodian = self._member(next(iter(records.values())).custodian)
        at = next(iter(self._verified.values())).receipt.entry.at
        published = contents_of(record.content for record in records.values())
        return Shown(None, None, published, custodian, custodian, at)


def _match(reading: VerifiedReading, commitments: Iterable[bytes]) -> None:
    known = {item_hash(reading.salt, commitment) for commitment in commitments}
    if not known.issuperset(reading.entry.items):
        raise BundleRefused(
            Check.DISCLOSURE, "the reading is of an item that the bundle does not show"
        )


def _require_covered(terms: Terms, disclosed: _Disclosed) -> None:
    who = disclosed.who
    covered = (
        terms.decision == "permit"
        and any(purpose_covers(named, who.purpose) for named in terms.purposes)
        and terms.person in (None, who.person)
        and terms.role in (None, who.role)
        and all(
            not terms.categories or i.content.category in terms.categories for i in disclosed.items
        )
    )
    if not covered:
        raise BundleRefused(Check.CONSENT, "its terms do not cover the person, purpose or category")


def _openings(ledger: LedgerTransaction) -> dict[int, Opening]:
    return {opening.output: opening for _, opening in ledger.seals_of(Opening)}


def _by_any(versions: Iterable[NetworkParameters], data: bytes) -> Member:
    """Open a map entry by any version of the parameters: its operator may have changed between them."""
    entry = SIGNED_MEMBER.decode(data)
    refusal: LedgerError | None = None
    for parameters in versions:
        try:
            return open_member(entry, parameters)
        except InvalidSignature as refused:
            refusal = refused
    assert refusal is not None, "a bundle has parameters"
    raise refusal
