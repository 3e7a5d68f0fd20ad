"""Who looked: entries of an organisation's reading log, their chains and daily heads, and how one is verified.

An entry is a leaf of its organisation's own log and a link of one chain: the chain of a disclosure, or of a patient's
enrolment. Chains are numbered from 1 without gaps, and each entry names the one before, so an omission shows:

    digest = SHA-256(salt ‖ bytes of the entry)        leaf = 0x01 ‖ digest        previous = digest of the one before
    chain  = H("chain", secret of the organisation ‖ disclosure id, or the patient's pairwise id)
    item   = H("reading-item", salt ‖ commitment of the record)
    head   = Ed25519 by the reading-log key over H("reading-head", bytes)

A log whose node was restored from a backup begins a new *epoch*: it says in each entry and head after which number of
the chain it goes on, and its checkpoints bear an origin of their own. So a number that is given anew contradicts
nothing, and that there was a restore shows: `Restored`.

Who erases an entry drops bytes and salt and keeps the digest: the log still verifies, and nothing can be guessed.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec

from states.checkpoint import Checkpoint, LogKeys
from states.crypto import ed25519
from states.crypto.hashes import HASH_SIZE, tagged_hash
from states.crypto.signatures import Signer
from states.encoding import Codec, encode
from states.errors import InvalidSignature, LedgerError
from states.identity import Party, PartyField
from states.log_proof import PROOF_CHARS_MAX, ProvenLeaf, read_proof, verify_proof
from states.note import ED25519, NoteKey, parse_note
from states.parameters import Member
from states.sizes import U32, U63, Bytes16, Bytes32, Bytes64, Millis, Text
from states.state import TransactionIdField
from states.subjects.codes import Purpose, RoleCode

ITEMS_MAX = 1_024
ENTRY_BYTES_MAX = 1 << 16
LEAF_VERSION = b"\1"
DAY_MS = 86_400_000

_EPOCH = re.compile(r"/(?!0{32})[0-9a-f]{32}")

Outcome = Literal["read", "refused", "released", "not-released", "withdrawn"]
By = Literal["person", "system"]

NOTHING_BEFORE = bytes(HASH_SIZE)
"""`previous` of the first entry of a chain."""

EPOCH_SIZE = 16
FIRST_EPOCH = bytes(EPOCH_SIZE)
"""The epoch of a log that was never restored."""


class Restored(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """That a log goes on from a backup: which epoch began at `at`, and after which number of this chain.

    `epoch` is random: who is restored twice from one backup does not know what it said in between. It is not zeros,
    which stand for a log that was never restored (`epoch_of`).
    """

    epoch: Bytes16
    at: Millis
    after: U63

    def __post_init__(self) -> None:
        if self.epoch == FIRST_EPOCH:
            raise ValueError("an epoch of zeros is that of a log that was never restored")


class ReadingEntry(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="reading/2"
):
    """One look: who, in which role, for what purpose, at which items, and how it ended.

    `person` is the organisation's own id of a person; `at` its clock. Raises ValueError for a number below 1, for a
    first entry that names one before it (or a later one that does not), and for a number that its epoch does not reach.
    """

    organisation: PartyField
    chain: Bytes32
    number: U63
    previous: Bytes32
    at: Millis
    person: Bytes16
    shown_as: Text
    role: RoleCode
    purpose: Purpose
    by: By
    emergency: bool
    disclosure: TransactionIdField | None
    items: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=ITEMS_MAX)]
    outcome: Outcome
    restored: Restored | None

    def __post_init__(self) -> None:
        if not self.number:
            raise ValueError("entries of a chain are numbered from 1")
        if self.number <= after_of(self.restored):
            raise ValueError("a restored log numbers its entries after what it kept")
        if (self.number == 1) != (self.previous == NOTHING_BEFORE):
            raise ValueError("the first entry of a chain, and no other, has nothing before it")


class ReportedReading(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="reported/1"
):
    """An entry as its organisation reports it: its bytes, its salt, and its log's proof."""

    body: Annotated[bytes, msgspec.Meta(max_length=ENTRY_BYTES_MAX)]
    salt: Bytes32
    proof: Annotated[str, msgspec.Meta(max_length=PROOF_CHARS_MAX)]


class DailyHead(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="reading-head/2"
):
    """How far a chain went at `at`; also said when nobody read, so that a dropped last entry contradicts it.

    `number` 0 and `digest` of zeros for a chain without entries. `day` counts from 1970-01-01 UTC. Raises ValueError
    for a number that the epoch began after.
    """

    network: Bytes32
    organisation: PartyField
    chain: Bytes32
    number: U63
    digest: Bytes32
    day: U32
    at: Millis
    restored: Restored | None

    def __post_init__(self) -> None:
        if self.number < after_of(self.restored):
            raise ValueError("a restored chain is no shorter than what it kept")


class SignedHead(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="signed-head/1"
):
    """A daily head's bytes and the reading-log key over H("reading-head", bytes)."""

    body: Annotated[bytes, msgspec.Meta(max_length=512)]
    raw: Bytes64


READING: Codec[ReadingEntry] = Codec(ReadingEntry, "reading-log entry", ENTRY_BYTES_MAX)
REPORTED: Codec[ReportedReading] = Codec(ReportedReading, "reported reading", 1 << 17)
HEAD: Codec[DailyHead] = Codec(DailyHead, "daily head", 512)


class ReadingsMissing(LedgerError):
    """Entries `first` to `last` of a chain were not reported though a later one, or a signed head, was."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"entries {first} to {last} of the chain are missing")
        self.first = first
        self.last = last


class ReadingContradicted(LedgerError):
    """An organisation's signed words about a chain do not fit together."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"entry {number}: {why}")
        self.number = number
        self.why = why


class ChainHead(NamedTuple):
    """How far a chain is known: the last entry's number and digest."""

    number: int
    digest: bytes


EMPTY_CHAIN = ChainHead(0, NOTHING_BEFORE)


class Entered(Protocol):
    """An entry and its digest: verified, or as somebody keeps it who has verified it."""

    @property
    def entry(self) -> ReadingEntry: ...
    @property
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class VerifiedReading:
    """Proof, carried as a type, that an organisation's signed log holds `entry` (`verify_reading`)."""

    entry: ReadingEntry
    digest: bytes
    salt: bytes
    place: ProvenLeaf


def epoch_of(restored: Restored | None) -> bytes:
    return FIRST_EPOCH if restored is None else restored.epoch


def after_of(restored: Restored | None) -> int:
    """Return the number after which an epoch goes on in a chain; 0 for a log that was never restored."""
    return 0 if restored is None else restored.after


def chain_id(secret: bytes, subject: bytes) -> bytes:
    """Return the chain of a disclosure (its id) or of an enrolment (the pairwise id).

    The secret is the organisation's: nobody else can tell from two chains whether they are of one patient.
    """
    assert len(secret) == HASH_SIZE, "a chain secret is 32 bytes"
    return tagged_hash("chain", secret, subject)


def entry_digest(salt: bytes, body: bytes) -> bytes:
    """SHA-256(salt ‖ bytes of the entry)."""
    assert len(salt) == HASH_SIZE, "an entry's salt is 32 bytes"
    return sha256(salt + body).digest()


def leaf_of(digest: bytes) -> bytes:
    """Return the log's leaf for an entry with this digest."""
    return LEAF_VERSION + digest


def item_hash(salt: bytes, commitment: bytes) -> bytes:
    """H("reading-item", salt ‖ commitment), with the salt of the entry."""
    return tagged_hash("reading-item", salt, commitment)


def origin_of(party: Party, epoch: bytes = FIRST_EPOCH) -> str:
    """Return the name of a member's reading log in an epoch, as its checkpoints bear it.

    The log of a later epoch begins with all that the backup held, and goes on under this name: so nobody who was
    restored signs a second version of a log.
    """
    return f"{party}/readings" + ("" if epoch == FIRST_EPOCH else f"/{epoch.hex()}")


def reading_logs_of(member: Member, at: int, origin: str | None = None) -> tuple[LogKeys, ...]:
    """Return a reading log of a member, once for each key that may vouch for an entry of `at`; no cosigner."""
    name = origin_of(member.party) if origin is None else origin
    return tuple(
        LogKeys(name, NoteKey(name, ED25519, raw), None) for raw in member.reading_log_keys(at)
    )


def verify_reading(reported: ReportedReading, member: Member) -> VerifiedReading:
    """Return the entry if a signed log of the member, of any epoch, holds it and it is of that member.

    Raises MalformedBytes, OverLimit, InvalidSignature, InvalidProof.
    """
    entry = READING.decode(reported.body)
    if entry.organisation != member.party:
        raise InvalidSignature("reading-log entry", "of another organisation than its log")
    digest = entry_digest(reported.salt, reported.body)
    origin = _origin_in(reported.proof, member.party)
    refused = InvalidSignature("reading-log entry", "its organisation had no log key at that time")
    for keys in reading_logs_of(member, entry.at, origin):
        try:
            place = verify_proof(reported.proof, leaf_of(digest), keys)
        except InvalidSignature as by_another:
            refused = by_another
        else:
            return VerifiedReading(entry, digest, reported.salt, place)
    raise refused


def _origin_in(proof: str, party: Party) -> str:
    """Return the name of the log that a proof is of, if it is one of this member's reading logs."""
    origin = Checkpoint.parse(parse_note(read_proof(proof).note).text).origin
    first = origin_of(party)
    if origin != first and _EPOCH.fullmatch(origin.removeprefix(first)) is None:
        raise InvalidSignature("reading-log entry", "in no reading log of its organisation")
    return origin


def epoch_named(origin: str) -> bytes:
    """Return the epoch of a member's reading log by the log's name, as a verified proof bears it."""
    _, slash, epoch = origin.rpartition("/readings/")
    return bytes.fromhex(epoch) if slash else FIRST_EPOCH


def contradict(one: Entered, other: Entered) -> bool:
    """Whether no log could hold both of an organisation's entries: these two alone prove that it keeps two versions.

    Entries of two epochs never do: what came before a restore may have been lost with it.
    """
    a, b = one.entry, other.entry
    if a.organisation != b.organisation or one.digest == other.digest:
        return False
    if a.chain != b.chain:
        return a.disclosure is not None and a.disclosure == b.disclosure and _one_epoch(a, b)
    if not _one_epoch(a, b):
        return False
    if a.restored != b.restored or a.disclosure != b.disclosure or a.number == b.number:
        return True
    before, behind = (one, other) if a.number < b.number else (other, one)
    follows = before.entry.number + 1 == behind.entry.number
    return follows and behind.entry.previous != before.digest


def _one_epoch(a: ReadingEntry, b: ReadingEntry) -> bool:
    return epoch_of(a.restored) == epoch_of(b.restored)


def follow(known: ChainHead, reading: VerifiedReading) -> ChainHead:
    """Return how far a chain is known after `reading`.

    Raises ReadingsMissing where entries between are unknown, and ReadingContradicted for a number that is known
    already, or for a link to another entry than the one before.
    """
    entry = reading.entry
    if entry.number > known.number + 1:
        raise ReadingsMissing(known.number + 1, entry.number - 1)
    if entry.number <= known.number:
        raise ReadingContradicted(entry.number, "another entry has this number")
    if entry.previous != known.digest:
        raise ReadingContradicted(entry.number, "it follows another entry than the one before it")
    return ChainHead(entry.number, reading.digest)


def sign_head(signer: Signer, head: DailyHead) -> SignedHead:
    body = encode(head)
    return SignedHead(body, signer.sign(tagged_hash("reading-head", body)))


def open_head(signed: SignedHead, network: bytes, member: Member) -> DailyHead:
    """Return a daily head that a reading-log key of the member signed. Raises MalformedBytes, InvalidSignature."""
    head = HEAD.decode(signed.body)
    if head.network != network or head.organisation != member.party:
        raise InvalidSignature("daily head", "of another network or organisation")
    digest = tagged_hash("reading-head", signed.body)
    if not any(ed25519.verify(raw, digest, signed.raw) for raw in member.reading_log_keys(head.at)):
        raise InvalidSignature("daily head", "not signed by the reading-log key")
    return head


def check_head(known: ChainHead, head: DailyHead) -> None:
    """Compare a signed head with all that was reported before it.

    Raises ReadingsMissing where it names entries that were not, ReadingContradicted where it denies one that was.
    """
    if head.number > known.number:
        raise ReadingsMissing(known.number + 1, head.number)
    if head.number < known.number:
        raise ReadingContradicted(
            known.number, "a later signed head says that the chain is shorter"
        )
    if head.digest != known.digest:
        raise ReadingContradicted(known.number, "a signed head names another entry as the last")
