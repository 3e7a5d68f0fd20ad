"""Hostile values in every field: what comes out is a refusal by name, in little time, and never a fault of ours."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from sqlite3 import Connection
from time import process_time

import msgspec
import pytest

from flows.delivery import Deliver, Fetch
from flows.notices import InForce, InForceSince, Superseded, Withdrawn
from flows.recovery import Recall
from flows.step import StepContext
from flows.subjects.enrolment import Application, WhoIs
from flows.subjects.key_return import WantKeysBack
from flows.subjects.patient_access import KeysReady, WantOwn, WantPatientKeys
from flows.subjects.reading import TellReadings
from flows.subjects.record import Introduce, Introduction, Offer
from flows.subjects.statement import Heed
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.policy import PolicyCodec, any_of, one
from states.crypto.signatures import sign_evidence
from states.encoding import encode
from states.errors import LedgerError
from states.groups import Group, header_bytes
from states.identity import PatientId
from states.signed import PROVEN_TRANSACTION, ProvenTransaction
from states.state import StateRef, TransactionId
from states.tearoff import NONCE_SIZE, TEAROFF, Tearoff, open_tearoff
from tests.attack.liar import Liar, stuck
from tests.attack.test_requests import Recipient
from tests.simulation.test_story import disclosed, granted
from tests.simulation.village import Village

TRIES = 2_000
_unpack = msgspec.msgpack.Decoder(strict=False).decode

ODD: tuple[object, ...] = (
    None, True, -1, 0, 1, 255, 65_535, 65_536, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1.5, "", "a", "\0", "a" * 300,
    "did:key:z", "record/1", "consent/1", "any/1", b"", b"\0", bytes(16), bytes(32), bytes(64), b"\xff" * 300,
    [], {}, [[]],
)  # fmt: skip


def mutated(value: object, dice: random.Random) -> object:
    """Change one place of a tree of values: another value, one left out, one twice, two exchanged."""
    if isinstance(value, list) and value and dice.random() < 0.85:
        at, copy = dice.randrange(len(value)), list(value)
        match dice.randrange(8):
            case 0:
                del copy[at]
            case 1:
                copy.insert(at, copy[at])
            case 2:
                copy.reverse()
            case _:
                copy[at] = mutated(copy[at], dice)
        return copy
    if isinstance(value, bytes) and len(value) > 40 and dice.random() < 0.6:
        try:
            inner = _unpack(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return dice.choice(ODD)
        return encode(mutated(inner, dice))
    return dice.choice(ODD)


def hostile(good: ProvenTransaction, dice: random.Random) -> bytes:
    """A transaction whose components, all shown, were changed: it is read and judged before its signatures are."""
    leaves = list(good.tearoff.leaves)
    for _ in range(dice.randrange(1, 3)):
        at = dice.randrange(1, len(leaves))
        head, component = leaves[at][: NONCE_SIZE + 1], leaves[at][NONCE_SIZE + 1 :]
        leaves[at] = head + encode(mutated(_unpack(component), dice))
    tearoff = Tearoff(good.tearoff.positions, tuple(leaves), good.tearoff.proof)
    return encode(ProvenTransaction(tearoff, good.signatures, good.receipt))


@pytest.fixture(scope="module")
def village() -> Village:
    return Village(seed=19)


@pytest.fixture(scope="module")
def every(village: Village) -> list[ProvenTransaction]:
    return list(transactions(village))


def transactions(village: Village) -> Iterator[ProvenTransaction]:
    consent = granted(village)
    disclosed(village, consent)
    agent = village.nodes["Agent"]
    for (tx,) in agent.db.execute("SELECT tx FROM ledger_tx ORDER BY seq").fetchall():
        found = agent.vault.transaction(agent.db, tx)
        assert isinstance(found, ProvenTransaction)
        yield found


def test_no_value_in_any_component_makes_anything_but_a_refusal(
    village: Village, every: list[ProvenTransaction]
) -> None:
    liar = Liar(village, "Agent")
    mercy = village.nodes["Mercy"]
    dice = random.Random(7)
    refused: dict[str, int] = {}

    mine = StepContext(mercy.engine, bytes(16), village.clock.now, mercy.db, doubt=False)
    for number in range(TRIES):
        part = hostile(every[number % len(every)], dice)
        mercy.db.execute("SAVEPOINT attack")
        try:
            mercy.vault.take(mine, liar.party, (part,))
        except LedgerError as error:
            refused[type(error).__name__] = refused.get(type(error).__name__, 0) + 1
        finally:
            mercy.db.execute("ROLLBACK TO attack")
            mercy.db.execute("RELEASE attack")
    assert len(refused) > 4, refused
    assert sum(refused.values()) > TRIES * 0.9, refused


def test_no_value_in_any_field_of_an_envelope_makes_anything_but_a_refusal(
    every: list[ProvenTransaction],
) -> None:
    good = every[0]
    dice = random.Random(8)
    refused: Counter[str] = Counter()
    for _ in range(TRIES):
        try:
            read = PROVEN_TRANSACTION.decode(encode(mutated(_unpack(encode(good)), dice)))
            open_tearoff(read.tearoff)
        except LedgerError as refusal:
            refused[type(refusal).__name__] += 1
    # What still opens differs only in bytes that signatures and the vault judge: the test above.
    assert {"MalformedBytes", "InvalidProof"} <= refused.keys(), refused
    assert refused.total() > TRIES * 0.8, refused


@pytest.mark.parametrize("seed", range(2))
def test_no_value_in_a_request_for_disclosure_parks_a_flow(seed: int) -> None:
    village = Village(seed=20 + seed)
    recipient = Recipient(village)
    dice = random.Random(seed)
    tree = _unpack(encode(recipient.asks()))
    for _ in range(60):
        recipient.open(recipient.mercy, "make-disclosure/1", encode(mutated(tree, dice)))
    village.pass_time(700_000)
    assert stuck(village.nodes["Mercy"]) == []


# -- width and depth: linear, or refused ------------------------------------------------------------------


def seconds(run: Callable[[], object]) -> float:
    began = process_time()
    with suppress(LedgerError):
        run()
    return process_time() - began


def nested(depth: int) -> bytes:
    """A policy within policies, as bytes: no value of the program's own is so deep."""
    key = encode(one(Ed25519Signer(bytes(32)).key))
    for _ in range(depth):
        key = b"\x93\xa5any/1\x01\x91\x92\x01" + key
    return key


@pytest.mark.parametrize("depth", [5, 100, 1_000, 5_000])
def test_a_policy_nested_without_end_is_refused_at_once(depth: int) -> None:
    data = nested(depth)[:8_192]
    with pytest.raises(LedgerError):
        PolicyCodec.decode(data)
    assert seconds(lambda: PolicyCodec.decode(data)) < 0.2


def test_a_policy_of_more_keys_than_allowed_is_refused_at_once() -> None:
    keys = [one(Ed25519Signer(bytes(30) + bytes((n // 256, n % 256))).key) for n in range(200)]
    with pytest.raises(ValueError, match="64 keys"):
        any_of(1, [(1, key) for key in keys])


@pytest.mark.parametrize("every", [1, 2, 3, 64])
def test_the_widest_tear_off_costs_no_more_than_its_hashes(every: int) -> None:
    """65,536 leaves, of which every n-th is shown, with a proof of nothing: refused within the time of hashing them."""
    counts = tuple(1 if g >= Group.NOTARY or g == Group.COMMANDS else 0 for g in Group)
    wide = list(counts)
    wide[Group.SEALED] = 65_535 - sum(counts)
    header = header_bytes(tuple(wide))
    start = 1 + sum(wide[: Group.SEALED])
    positions = (0, *range(start, start + wide[Group.SEALED], every))
    leaf = bytes(NONCE_SIZE) + bytes((Group.SEALED,)) + b"x"
    tearoff = Tearoff(positions, (header, *[leaf] * (len(positions) - 1)), bytes(32 * 65_536))
    assert seconds(lambda: open_tearoff(tearoff)) < 1.5
    assert seconds(lambda: TEAROFF.decode(encode(tearoff))) < 1.5


def test_a_proof_one_hash_too_long_or_too_short_is_refused(village: Village) -> None:
    mercy = village.nodes["Mercy"]
    (tx,) = mercy.db.execute("SELECT tx FROM ledger_tx").fetchone()
    whole = open_tearoff(mercy.vault.transaction(mercy.db, tx).tearoff)
    narrow = whole.narrowed(())
    for proof in (narrow.proof[32:], narrow.proof + bytes(32), narrow.proof[:-1]):
        with pytest.raises(LedgerError):
            open_tearoff(msgspec.structs.replace(narrow, proof=proof))
    assert open_tearoff(narrow).id == TransactionId(tx)


def first_messages(village: Village, liar: Liar) -> dict[str, list[msgspec.Struct]]:
    """A good first message, or several, for each responder that any member may address."""
    mercy, agent = village.nodes["Mercy"], village.nodes["Agent"]
    consent = StateRef(*mercy.db.execute("SELECT tx, idx FROM statement").fetchone())
    record = StateRef(*mercy.db.execute("SELECT tx, idx FROM record").fetchone())
    statement = InForce(liar.party, consent.tx, village.clock.now)
    network = village.parameters.network
    evidence = sign_evidence(liar.node.ground.identity, network, encode(statement))
    patient = PatientId(bytes(16))
    key = Ed25519Signer(bytes(32)).key
    return {
        "answer-application/1": [Application(bytes(16), patient, one(key))],
        "answer-who-is/1": [WhoIs("Dr A. Reed")],
        "give-transactions/1": [Fetch((consent.tx,) * 64)],
        "remind/1": [Recall(0)],
        "answer-introduce/1": [Introduce(record, agent.me)],
        "note-introduction/1": [
            Introduction(bytes(16), patient, agent.me, record, village.clock.now + 1_000)
        ],
        "note-in-force/1": [InForceSince(statement, evidence)],
        "note-withdrawn/1": [Withdrawn(consent.tx, (bytes(32),))],
        "note-superseded/1": [Superseded(consent.tx, bytes(32), 2)],
        "take-custody/1": [Offer(bytes(16), record, None)],
        "give-patient-keys/1": [WantPatientKeys(consent.tx, 1, b"\1" + bytes(32))],
        "return-keys/1": [WantKeysBack(consent.tx, 1, b"\1" + bytes(32))],
        "give-own/1": [WantOwn(consent.tx)],
        "note-keys-ready/1": [KeysReady(consent.tx)],
        "take-delivery/1": [Deliver(consent.tx)],
        "heed-at-once/1": [Heed(consent.tx)],
        "take-readings/1": [TellReadings()],
    }


def test_no_value_in_any_first_message_parks_a_flow() -> None:
    village = Village(seed=23)
    granted(village)
    part = encode(village.nodes["Mercy"].vault.transaction(*_a_transaction(village)))
    liar = Liar(village, "Northside")
    dice = random.Random(9)
    for victim in ("Mercy", "Agent", "Riverside"):
        to = liar.attach(victim)
        for responder, messages in first_messages(village, liar).items():
            letter = responder.startswith(("note-", "take-delivery", "heed-", "take-readings"))
            for message in messages:
                tree = _unpack(encode(message))
                tries = [encode(message), *(encode(mutated(tree, dice)) for _ in range(25))]
                for number, said in enumerate(tries):
                    parts = (part,) if number % 2 else ()
                    liar.open(to, responder, said, parts, letter=letter)
        assert stuck(village.nodes[victim]) == []


def _a_transaction(village: Village) -> tuple[Connection, bytes]:
    db = village.nodes["Mercy"].db
    (tx,) = db.execute("SELECT tx FROM ledger_tx").fetchone()
    return db, tx
