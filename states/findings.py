"""What a proof bundle proved, in plain words, and what no bundle can prove."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from states.identity import Party
from states.ledger import LedgerTransaction
from states.parameters import Member, NetworkParameters
from states.reading import READING, ReadingEntry, ReportedReading, VerifiedReading
from states.subjects.consent import Consent
from states.subjects.content import Content
from states.subjects.disclosure import Disclosure, Who
from states.subjects.terms import Terms
from states.trust import Trust
from states.verifier import VerifiedTransaction

_MS = 1_000
_YEAR_MAX_MS = 253_402_300_799_999  # the end of year 9999: later times are shown as numbers

OUTCOMES = {
    "read": "read it",
    "refused": "asked for it and was refused",
    "released": "was given the keys to it",
    "not-released": "was not given the keys to it",
    "withdrawn": "may not read it any more",
}

NOTHING_ELSE = "that nothing else was read: an organisation that logs nothing shows nothing"
NO_COPY = "that no bytes were copied after they were read"
CLOCK = "that the time of a reading is right: it is the organisation's own clock"
WHETHER_READ = "that it was read: that is in the reading log of who may read it"
UNSPENT = (
    "that the consent was unspent at that place of the log: that is the notary's word, which anyone with the whole "
    "log can check by its nullifier"
)
NO_EXCEPTIONS = (
    "that the patient left nothing out of the consent: its exceptions are not shown to strangers"
)
STILL_SO = "that it is the newest version, is still kept there, or was read by nobody"

WHICH_IS_TRUE = "which of the two entries is true: the organisation signed both"


@dataclass(frozen=True, slots=True)
class Finding:
    """A step that passed, by its number, and what it found."""

    step: int
    said: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a bundle proves; `cannot` is what it does not."""

    subject: str
    who: str
    when: str
    what: str
    why: str
    steps: tuple[Finding, ...]
    cannot: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a bundle is about, once everything in it is verified; `at` is the notary's time, ms.

    `custodian` is None where the bundle does not prove who keeps what was asked for.
    """

    entry: ReadingEntry | None
    who: Who | None
    contents: tuple[Content, ...]
    organisation: Member
    custodian: Member | None
    at: int


def organisation_in(reported: ReportedReading) -> Party:
    """Return whose entry this claims to be; raises MalformedBytes."""
    return READING.decode(reported.body).organisation


def plain(text: str) -> str:
    """Return text of others without what could steer a terminal or hide its end."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def time_of(at: int) -> str:
    """Return a time (ms since 1970) in UTC, to the second."""
    if at > _YEAR_MAX_MS:
        return f"{at} ms after 1970"
    return datetime.fromtimestamp(at // _MS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def of_parameters(trust: Trust, versions: Iterable[NetworkParameters]) -> str:
    numbers = ", ".join(str(each.version) for each in versions)
    return f"the rules of network {plain(trust.name)!r}, version {numbers}, are signed by its founding key"


def of_members(members: Iterable[Member]) -> str:
    names = ", ".join(sorted(plain(member.name) for member in members))
    return f"{names}: each entry is signed by the member's founding key and the network's operator"


def of_transaction(verified: VerifiedTransaction) -> str:
    ledger: LedgerTransaction = verified.checked.ledger
    number, at = verified.receipt.index, time_of(verified.receipt.entry.at)
    return f"transaction {ledger.id.hex()[:16]} is entry {number} of its notary's log since {at}, signed as it must be"


def of_reading(reading: VerifiedReading, member: Member) -> str:
    entry = reading.entry
    place = f"entry {reading.place.index} of {plain(member.name)}'s signed reading log"
    said = f"the reading is {place}, number {entry.number} of its chain"
    if entry.restored is None:
        return said
    since, after = time_of(entry.restored.at), entry.restored.after
    return f"{said}, which was restored from a backup at {since} and goes on after number {after}"


def of_contradiction(other: VerifiedReading) -> str:
    entry = other.entry
    who = f"{plain(entry.shown_as)}, {entry.role}: {OUTCOMES[entry.outcome]}, {time_of(entry.at)}"
    return (
        f"the organisation signed what contradicts it, as number {entry.number} of its chain ({who}): "
        "its log has two versions"
    )


def of_disclosure(custodian: Member, recipient: Member, who: Who, made: Disclosure) -> str:
    return (
        f"{plain(custodian.name)} disclosed it to {plain(recipient.name)} for {plain(who.shown_as)}, "
        f"until {time_of(made.read_until)}; both signed"
    )


def of_consent(terms: Terms, consent: Consent) -> str:
    purposes, categories = ", ".join(terms.purposes), ", ".join(terms.categories) or "everything"
    span = f"from {time_of(consent.start)} to {time_of(consent.end)}"
    return (
        f"the patient's key agreed to {purposes} of {categories}, {span}; the disclosure is covered"
    )


def of_liveness(at: int, *, by_receipt: bool) -> str:
    by = "by the receipt of the disclosure" if by_receipt else "in a statement of its own"
    return f"the notary vouched, {by}, that the consent lived at {time_of(at)}"


def of_enrolment(custodian: Member) -> str:
    return (
        f"{plain(custodian.name)} and the patient both signed that this key is the patient's there"
    )


def conclude(subject: str, steps: Iterable[Finding], shown: Shown) -> Findings:
    """Put who, when, what and why into words."""
    contents = "; ".join(map(_content, shown.contents)) or "a record whose kind is not shown"
    kept = f", kept by {plain(shown.custodian.name)}" if shown.custodian is not None else ""
    who, at, why = _doing(shown)
    return Findings(subject, who, time_of(at), contents + kept, why, tuple(steps), cannot(shown))


def _doing(shown: Shown) -> tuple[str, int, str]:
    """Return who did what, when (ms), and why."""
    entry, who = shown.entry, shown.who
    organisation = plain(shown.organisation.name)
    if entry is not None:
        by = "" if entry.by == "person" else ", by a system"
        person = f"{plain(entry.shown_as)}, {entry.role}, {organisation}{by}"
        did = OUTCOMES[entry.outcome] + (", in an emergency" if entry.emergency else "")
        return f"{person}: {did}", entry.at, entry.purpose
    if who is not None:
        person = f"{plain(who.shown_as)}, {who.role}, {organisation}"
        return f"{person}: may read it", shown.at, who.purpose
    return f"{organisation}: published it", shown.at, "custody"


def cannot(shown: Shown) -> tuple[str, ...]:
    """Return what a bundle does not prove of what it is about, and nothing that it is not about."""
    entry, told = shown.entry, []
    if entry is not None:
        told.append(NOTHING_ELSE)
        told += [NO_COPY] if entry.outcome == "read" else []
        told.append(CLOCK)
    elif shown.who is not None:
        told.append(WHETHER_READ)
    if shown.who is not None:  # by a disclosure, and so by a consent
        told += [UNSPENT, NO_EXCEPTIONS]
    return tuple(told) or (STILL_SO,)


def _content(content: Content) -> str:
    code = f" {plain(content.code)}" if content.code else ""
    day = f" of {content.day}" if content.day else ""
    return f"{content.category}: {content.kind}{code}{day}"
