"""Ada, Mercy, Riverside and a notary with real keys: everything that a proof bundle is made of."""

from dataclasses import dataclass

import msgspec

from states.builder import BuiltTransaction, OpenSeal, TransactionDraft, build
from states.bundle import KNOWN
from states.bundle_format import Bundle
from states.checkpoint import Checkpoint
from states.command import command
from states.contract import tag_of
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.hashes import tagged_hash
from states.crypto.merkle import GrowingTree, inclusion_path, leaf_hash, root_of
from states.crypto.policy import One
from states.crypto.signatures import sign_evidence, sign_transaction
from states.encoding import encode
from states.enrolment import Enrolment, SignedEnrolment
from states.groups import Group
from states.identity import Party, PatientId
from states.ledger import Data
from states.liveness import Liveness, sign_liveness
from states.lock import lock_salt, lock_seed, make_lock, nullifier
from states.log_proof import write_proof
from states.note import Cosigner, NoteSigner, sign_note
from states.parameters import (
    AllowedContract,
    IdentityKey,
    Limits,
    Member,
    NetworkParameters,
    NotaryInfo,
    ReadingLogKey,
    SignedMember,
    SignedParameters,
    network_id,
    parameters_id,
)
from states.reading import (
    NOTHING_BEFORE,
    Outcome,
    ReadingEntry,
    ReportedReading,
    chain_id,
    entry_digest,
    item_hash,
    leaf_of,
    origin_of,
)
from states.receipt import LogEntry, entry_bytes, write_receipt
from states.sealed import SEALED, Sealed
from states.signed import ProvenTransaction
from states.state import StateRef, TransactionId, TransactionState
from states.subjects import consent as consents
from states.subjects import disclosure as disclosures
from states.subjects import record as records
from states.subjects.consent import Consent, ConsentGrant
from states.subjects.content import Content
from states.subjects.disclosure import ByConsent, Disclosure, DisclosureMake, Item, Who
from states.subjects.record import About, MedicalRecord, RecordPublish
from states.subjects.terms import Exceptions, Opening, SubjectAt, Terms
from states.tearoff import open_tearoff
from states.timewindow import TimeWindow
from states.trust import Trust, trust_in

NOW = 1_795_341_600_000
MINUTE, DAY = 60_000, 86_400_000


def seeded(*what: str | int) -> bytes:
    return tagged_hash("proof-tests", repr(what).encode())


def signer(name: str) -> Ed25519Signer:
    return Ed25519Signer(seeded("key", name))


def party(name: str) -> Party:
    return Party(did_of(signer(name + ", founding").key))


MERCY, RIVERSIDE, AGENT, NOTARY = (party(n) for n in ("Mercy", "Riverside", "agent", "notary"))
NETWORK_NAME = "proof tests"
TRUST: Trust = trust_in(NETWORK_NAME, signer("network").key)
NETWORK = network_id(signer("network").key, NETWORK_NAME)
ORIGIN = "notary.example/log"
ADA = One(signer("Ada").key)
ADA_AT_MERCY, ADA_AT_RIVERSIDE = (PatientId(seeded(at)[:16]) for at in ("a@M", "a@R"))
DR_REED = seeded("s19")[:16]
BLOB = "b" + "a" * 58
HBA1C = Content("Observation", "4548-4", "http://loinc.org", "laboratory", ("N",), "2026-11-20")
TERMS = Terms("permit", DR_REED, None, ("TREAT",), ("laboratory",), ())
WHO = Who(DR_REED, "Dr A. Reed", "clinician", "TREAT", b"")
WINDOW = TimeWindow(NOW, NOW + 10 * MINUTE)

PARAMETERS = NetworkParameters(
    network=NETWORK,
    name=NETWORK_NAME,
    version=1,
    from_time=0,
    founding_key=signer("network").key,
    notaries=(NotaryInfo(NOTARY, ORIGIN, signer("log").key.raw, signer("cosigner").key.raw),),
    contracts=tuple(AllowedContract(c.name, c.corpus, 0) for c in KNOWN.by_name.values()),
    limits=Limits(),
    implicit_policy="deny",
    origins=(),
    rp_ids=(),
    issuers=(),
    operators=(signer("operator").key,),
)


def published(parameters: NetworkParameters = PARAMETERS, by: str = "network") -> bytes:
    body = encode(parameters)
    return encode(SignedParameters(body, sign_evidence(signer(by), NETWORK, body)))


def member(name: str, *, log_key: bytes | None = None, operator: str = "operator") -> bytes:
    entry = Member(
        network=NETWORK,
        party=party(name),
        name=name,
        kind="hospital",
        identity=(IdentityKey(signer(name).key, 0, NOW + 400 * DAY),),
        box_key=bytes(32),
        tls_key=bytes(32),
        reading_log=(
            ReadingLogKey(log_key or signer(name + ", readings").key.raw, 0, NOW + 400 * DAY),
        ),
        endpoints=(),
        serial=1,
        active=True,
    )
    body = encode(entry)
    founding = sign_evidence(signer(name + ", founding"), NETWORK, body)
    return encode(SignedMember(body, founding, sign_evidence(signer(operator), NETWORK, body)))


def transaction(
    what: str,
    say: Data,
    signers: tuple[str, ...],
    outputs: tuple[Data, ...],
    seals: tuple[Sealed, ...],
    references: tuple[StateRef, ...] = (),
) -> BuiltTransaction:
    locks = [
        make_lock(
            seeded(what, at)[:16],
            lock_salt(seeded("secret"), seeded(what, at)[:16]),
            One(Ed25519Signer(lock_seed(seeded("secret"), seeded(what, at)[:16])).key),
        )
        for at in range(len(outputs))
    ]
    draft = TransactionDraft(
        notary=NOTARY,
        window=WINDOW,
        parameters=parameters_id(encode(PARAMETERS)),
        references=references,
        outputs=tuple(TransactionState(tag_of(type(o)), NOTARY, encode(o)) for o in outputs),
        locks=tuple(locks),
        commands=(command(encode(say), *(One(signer(name).key) for name in signers)),),
        sealed=tuple(OpenSeal(s, seeded(what, "nonce", at)) for at, s in enumerate(seals)),
    )
    return build(draft, seeded(what, "salt"))


@dataclass(frozen=True)
class Story:
    """Mercy disclosed Ada's HbA1c to Dr Reed at Riverside, who read it. Each field may be changed by a test."""

    terms: Terms = TERMS
    who: Who = WHO
    read_by: str = "Riverside"
    person: bytes = DR_REED
    shown_as: str = "Dr A. Reed"
    read_at: int = NOW + 30 * MINUTE
    read_items: tuple[bytes, ...] = (seeded("result"),)
    outcome: Outcome = "read"
    disclosure_named: bytes | None = None
    liveness_of: StateRef | None = None
    live: bool = True
    reading_key: str = "Riverside, readings"

    def consent(self) -> tuple[BuiltTransaction, tuple[str, ...]]:
        label = seeded("consent", 0)[:16]
        salt = lock_salt(seeded("secret"), label)
        policy = One(Ed25519Signer(lock_seed(seeded("secret"), label)).key)
        said = (
            SubjectAt(MERCY, ADA_AT_MERCY),
            SubjectAt(RIVERSIDE, ADA_AT_RIVERSIDE),
            self.terms,
            Opening.of(0, salt, policy),
            Exceptions((), ()),
        )
        seals = tuple(p.holds(encode(d)) for p, d in zip(consents.SEAL_PLACES, said, strict=True))
        agreed = Consent(ADA, MERCY, RIVERSIDE, AGENT, NOW, NOW + 7 * DAY)
        return transaction("consent", ConsentGrant(), ("Ada",), (agreed,), seals), ("Ada",)

    def disclosure(self) -> tuple[BuiltTransaction, tuple[str, ...]]:
        consent, _ = self.consent()
        made = Disclosure(MERCY, RIVERSIDE, AGENT, ByConsent(0), 2, WINDOW.until_time + MINUTE,
                          NOW + DAY, ())  # fmt: skip
        items = tuple(
            Item(seeded(name), BLOB[:-1] + digit, 4_096, 1, HBA1C)
            for name, digit in (("result", "a"), ("other", "b"))
        )
        said = (self.who, *items)
        places = disclosures.seal_places(2)
        seals = tuple(p.holds(encode(d)) for p, d in zip(places, said, strict=True))
        by = ("Mercy", "Riverside")
        ref = StateRef(consent.id, 0)
        return transaction("disclosure", DisclosureMake(), by, (made,), seals, (ref,)), by

    def record(self) -> tuple[BuiltTransaction, tuple[str, ...]]:
        made = MedicalRecord(MERCY, 1, seeded("result"), BLOB, 4_096)
        places = records.seal_places(RecordPublish(), 1)
        seals = (places[0].holds(encode(About(ADA_AT_MERCY, HBA1C))),)
        return transaction("record", RecordPublish(), ("Mercy",), (made,), seals), ("Mercy",)

    def proven(self) -> tuple[ProvenTransaction, ...]:
        """Disclosure, consent and record, committed by the notary in one batch."""
        built = (self.disclosure(), self.consent(), self.record())
        entries = [LogEntry(tx.id, NOW + MINUTE, ()) for tx, _ in built]
        leaves = [leaf_hash(entry_bytes(entry)) for entry in entries]
        log = NoteSigner(ORIGIN, signer("log"))
        clock = Cosigner(ORIGIN, signer("cosigner"), NOW // 1_000)
        text = Checkpoint(ORIGIN, len(leaves), root_of(leaves)).text
        note = sign_note(text, [log, clock]).render()
        return tuple(
            ProvenTransaction(
                tx.whole(),
                tuple(sign_transaction(signer(name), NETWORK, tx.id) for name in by),
                write_receipt(entries[at], at, inclusion_path(leaves, at), note),
            )
            for at, (tx, by) in enumerate(built)
        )

    def reported(self, *, own: bool = False) -> ReportedReading:
        """The entry as its organisation reports it, in a log of three leaves."""
        disclosure = self.disclosure_named or self.disclosure()[0].id
        salt = seeded("entry salt")
        entry = ReadingEntry(
            organisation=party(self.read_by),
            chain=chain_id(seeded("chain secret"), disclosure),
            number=1,
            previous=NOTHING_BEFORE,
            at=self.read_at,
            person=self.person,
            shown_as=self.shown_as,
            role="clinician",
            purpose="TREAT",
            by="person",
            emergency=False,
            disclosure=None if own else TransactionId(disclosure),
            items=tuple(item_hash(salt, each) for each in self.read_items),
            outcome=self.outcome,
            restored=None,
        )
        return in_log(entry, salt, self.read_by, self.reading_key)

    def statement(self) -> bytes:
        ref = self.liveness_of or StateRef(self.consent()[0].id, 0)
        salt = lock_salt(seeded("secret"), seeded("consent", 0)[:16])
        said = Liveness(
            NETWORK, NOTARY, nullifier(salt, ref), 3, bytes(32), NOW + MINUTE, self.live
        )
        return sign_liveness(signer("log"), said)

    def bundle(self) -> Bundle:
        """The bundle of the reading, with all that may be in it."""
        disclosure, consent, _ = self.proven()
        return Bundle(
            subject="reading",
            reading=self.reported(),
            other=None,
            transactions=(disclosure, consent),
            liveness=self.statement(),
            parameters=(published(),),
            members=(member("Mercy"), member("Riverside")),
            enrolment=None,
        )


def in_log(
    entry: ReadingEntry, salt: bytes, name: str, key: str, origin: str = ""
) -> ReportedReading:
    """An entry in a reading log of three leaves, with its proof."""
    origin = origin or origin_of(party(name))
    body = encode(entry)
    leaves = [leaf_hash(leaf_of(d)) for d in (seeded(1), entry_digest(salt, body), seeded(2))]
    tree = GrowingTree()
    root = tree.append(leaves).root
    note = sign_note(Checkpoint(origin, 3, root).text, [NoteSigner(origin, signer(key))]).render()
    return ReportedReading(body, salt, write_proof(1, inclusion_path(leaves, 1), note))


def enrolment(custodian: str = "Mercy", authority: str = "Ada") -> bytes:
    said = Enrolment(party(custodian), ADA_AT_MERCY, One(signer(authority).key), AGENT, NOW - DAY)
    body = encode(said)
    by = sign_evidence(signer(custodian), NETWORK, body)
    return encode(SignedEnrolment(said, by, (sign_evidence(signer(authority), NETWORK, body),)))


def without(proven: ProvenTransaction, *kinds: type[Data]) -> ProvenTransaction:
    """The same transaction without the sealed components of these kinds."""
    filtered = open_tearoff(proven.tearoff)
    hidden = {
        filtered.layout.position(Group.SEALED, index)
        for index, data in filtered.components(Group.SEALED)
        if isinstance(KNOWN.seals.decode(SEALED.decode(data).data), kinds)
    }
    narrowed = filtered.narrowed(at for at in proven.tearoff.positions if at not in hidden)
    return msgspec.structs.replace(proven, tearoff=narrowed)
