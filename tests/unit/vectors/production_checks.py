"""What the ledger's own code says to a vector about checks: components, structures, signatures, requests, receipts."""

from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from notaries.request import RequestChecker
from states.checkpoint import LogKeys
from states.command import COMMAND
from states.contract import Contracts
from states.crypto import ed25519
from states.crypto.hashes import tagged_hash
from states.crypto.keys import SCHEME_ED25519, Key
from states.crypto.merkle import leaf_hash
from states.crypto.signatures import (
    evidence_digest,
    evidence_signature_codec,
    signing_digest,
    transaction_signature_codec,
    verify_evidence,
    verify_signature,
)
from states.crypto.webauthn import RelyingParties
from states.encoding import Codec
from states.enrolment import ENROLMENT, SIGNED_ENROLMENT
from states.errors import InvalidSignature, MalformedBytes, Rule
from states.identity import Party
from states.ledger import Data, LedgerTransaction
from states.liveness import LIVENESS, SIGNED_LIVENESS, open_liveness
from states.lock import LOCK
from states.notarisation import (
    ANSWER,
    QUESTION,
    LockSignature,
    NotarisationRequest,
    lock_signing_digest,
)
from states.note import NoteKey
from states.parameters import (
    AllowedContract,
    Limits,
    Member,
    MemberDirectory,
    NetworkParameters,
    NotaryInfo,
    ParametersHistory,
    ReadingLogKey,
)
from states.reading import REPORTED, Restored, SignedHead, open_head, verify_reading
from states.receipt import ReceiptVerifier, entry_bytes, parse_entry
from states.sealed import Sealed
from states.signed import HELD_OR_PROVEN, SignedTransaction
from states.state import STATE_REF, TRANSACTION_STATE, TransactionId, TransactionState
from states.tearoff import TEAROFF
from states.verifier import HASH, WINDOW, Verifier, read_notary
from tests.unit.vectors.production_values import complete, fields_of, key_fields
from tests.vectors.second.cases.case import did, key_of, seeded
from tests.vectors.second.fields import Json, Object, as_number, bytes_of, hexes, list_of, text_of

NO_RELYING = RelyingParties((), ())
SIGNED_HEAD: Codec[SignedHead] = Codec(SignedHead, "signed head")


class Field(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Stands for a subject, whose own fields the vectors leave open."""


def _subject(tag: str, *fields: type) -> type[Data]:
    """A struct with this tag and these fields."""
    named = [(f"field_{n}", kind) for n, kind in enumerate(fields)]
    return msgspec.defstruct(
        "Subject", named, tag=tag, frozen=True, array_like=True, forbid_unknown_fields=True
    )


class AnySeal(Codec[Data]):
    """Reads nothing: what a seal says is its subject's, and the vectors leave it open."""

    def __init__(self) -> None:
        super().__init__(Field, "seal")

    def decode(self, data: bytes) -> Data:  # noqa: ARG002
        return Field()


class Lenient:
    """A contract with one kind of state and command that accepts every transaction."""

    corpus = bytes(32)
    rules = Rule
    sealed = (Field,)

    def __init__(self, name: str, *fields: type) -> None:
        self.name = name
        self.state: type[Data] = _subject(name, *fields)
        self.commands = (_subject("grant/1"),)

    def verify(self, tx: LedgerTransaction) -> None: ...


def _verifier(contract: Lenient) -> Verifier:
    contracts = Contracts([contract])
    contracts.seals = AnySeal()
    return Verifier(HISTORY, contracts, MemberDirectory([]))


FOUNDER = Key(SCHEME_ED25519, key_of("founder").raw)
NOTARY = Party(did("notary"))
NETWORK = tagged_hash("network", msgspec.msgpack.encode(FOUNDER), b"carecord.example")


def _parameters(party: Party, log_key: bytes) -> NetworkParameters:
    return NetworkParameters(
        network=NETWORK,
        name="carecord.example",
        version=1,
        from_time=0,
        founding_key=FOUNDER,
        notaries=(NotaryInfo(party, "notary.carecord.example/log", log_key, bytes(32)),),
        contracts=(AllowedContract("consent/1", Lenient.corpus, 0),),
        limits=Limits(window_ms=(1 << 32) - 1),
        implicit_policy="deny",
        origins=(),
        rp_ids=(),
        issuers=(),
        operators=(),
    )


HISTORY = ParametersHistory([(seeded("parameters"), _parameters(NOTARY, bytes(32)))])


def _state(component: bytes) -> TransactionState:
    """Read a state, then its data by a contract of the name that it gives: the tag alone is judged."""
    state = TRANSACTION_STATE.decode(component)
    fields = (bytes, bool) if state.contract == "consent/1" else ()
    _verifier(Lenient(state.contract, *fields))._state(component)
    return state


def _seal(data: bytes, counts: tuple[int, ...]) -> Sealed:
    return _verifier(Lenient("consent/1"))._seal(counts, 0, data).sealed


_READ: Mapping[str, Callable[[bytes], object]] = {
    "inputs": STATE_REF.decode,
    "references": STATE_REF.decode,
    "outputs": _state,
    "locks": LOCK.decode,
    "commands": COMMAND.decode,
    "attachments": HASH.decode,
    "notary": read_notary,
    "window": WINDOW.decode,
    "parameters": HASH.decode,
}


def component(given: Object) -> Object:
    data, group = bytes_of(given, "hex"), text_of(given, "group")
    if group == "sealed":
        return {"value": fields_of(_seal(data, tuple(map(as_number, list_of(given, "counts")))))}
    return {"value": fields_of(_READ[group](data))}


_VERIFIER = _verifier(Lenient("consent/1", bytes, str))


def structure(given: Object) -> Object:
    """The whole verifier, where nothing but §7.1, 7.2, 7.3 and 7.7 can fail."""
    torn = SignedTransaction(TEAROFF.decode(bytes_of(given, "hex")), ())
    found = _VERIFIER.check(torn, lambda _: None, held=False, partly=True).filtered
    return {"id": found.id.hex(), "complete": complete(found)}


_LOCK_SIGNATURE = Codec(LockSignature, "lock signature", 256)


def signature(given: Object) -> Object:
    network, over, data = (bytes_of(given, name) for name in ("network", "over", "hex"))
    match text_of(given, "kind"):
        case "transaction":
            of_transaction = transaction_signature_codec.decode(data)
            verify_signature(of_transaction, network, over, NO_RELYING)
            digest, key = signing_digest(network, over, of_transaction.meta), of_transaction.key
        case "evidence":
            evidence = evidence_signature_codec.decode(data)
            verify_evidence(evidence, network, over, NO_RELYING)
            digest, key = evidence_digest(network, over), evidence.key
        case "lock":
            of_lock = _LOCK_SIGNATURE.decode(data)
            digest, key = lock_signing_digest(network, TransactionId(over)), of_lock.key
            _require(key, digest, of_lock.raw)
        case other:
            raise AssertionError(other)
    return {"key": key_fields(key), "digest": digest.hex()}


def _require(key: Key, digest: bytes, raw: bytes) -> None:
    """As a notary judges the signatures that its checks leave over."""
    if not ed25519.verify(key.raw, digest, raw):
        raise InvalidSignature("lock signature", "does not verify")


def request(given: Object) -> Object:
    asked = QUESTION.decode(bytes_of(given, "hex"))
    assert isinstance(asked, NotarisationRequest)
    checked = RequestChecker(NOTARY, bytes_of(given, "network"), lambda: HISTORY).check(asked)
    for each in checked.signatures:
        _require(each.key, each.digest, each.raw)
    commit = checked.commit
    return {"transaction": commit.transaction.hex(), "nullifiers": hexes(list(commit.nullifiers))}


_TRAVELLING: tuple[Codec[msgspec.Struct], ...] = tuple(
    cast("Codec[msgspec.Struct]", codec)
    for codec in (
        evidence_signature_codec,
        HELD_OR_PROVEN,
        ENROLMENT,
        SIGNED_ENROLMENT,
        ANSWER,
        QUESTION,
    )
)


def message(given: Object) -> Object:
    """Read by the one codec of an edge that takes it; refused where none does."""
    refused: MalformedBytes | None = None
    for codec in _TRAVELLING:
        try:
            found = codec.decode(bytes_of(given, "hex"))
        except MalformedBytes as malformed:
            refused = malformed
        else:
            return {"tag": found.__struct_config__.tag, "value": fields_of(found)}
    assert refused is not None
    raise refused


def entry(given: Object) -> Object:
    found = parse_entry(bytes_of(given, "hex"))
    line = entry_bytes(found)
    return {
        "transaction": found.transaction.hex(),
        "time": found.at,
        "nullifiers": hexes(list(found.nullifiers)),
        "extra": (line[:1] + line[33:]).hex(),
        "leaf_hash": leaf_hash(line).hex(),
    }


def receipt(given: Object) -> Object:
    log, cosigner = (NoteKey.parse(text_of(given, name)) for name in ("log", "cosigner"))
    verifier = ReceiptVerifier(LogKeys(text_of(given, "origin"), log, cosigner))
    found = verifier.verify(bytes_of(given, "transaction"), text_of(given, "text"))
    tree = found.checkpoint.checkpoint
    return {
        "index": found.index,
        "size": tree.size,
        "root": tree.root.hex(),
        "time": found.entry.at,
        "nullifiers": hexes(list(found.entry.nullifiers)),
        "cosigned_at": found.checkpoint.cosigned_at,
    }


def liveness(given: Object) -> Object:
    data = bytes_of(given, "hex")
    body = SIGNED_LIVENESS.decode(data).body
    found = open_liveness(
        data, _parameters(LIVENESS.decode(body).notary, bytes_of(given, "log_key"))
    )
    return {
        "network": found.network.hex(),
        "notary": found.notary,
        "nullifier": found.nullifier.hex(),
        "size": found.size,
        "root": found.root.hex(),
        "at": found.at,
        "live": found.live,
        "digest": tagged_hash("liveness", body).hex(),
    }


def _reader(given: Object) -> Member:
    log = (ReadingLogKey(bytes_of(given, "log_key"), 0, 1 << 60),)
    return Member(
        network=bytes(32),
        party=Party(text_of(given, "organisation")),
        name="Riverside",
        kind="hospital",
        identity=(),
        box_key=bytes(32),
        tls_key=bytes(32),
        reading_log=log,
        endpoints=(),
        serial=1,
        active=True,
    )


def _restored(found: Restored | None) -> Json:
    if found is None:
        return None
    return {"epoch": found.epoch.hex(), "at": found.at, "after": found.after}


def reading(given: Object) -> Object:
    found = verify_reading(REPORTED.decode(bytes_of(given, "hex")), _reader(given))
    entry, tree = found.entry, found.place.checkpoint.checkpoint
    return {
        "chain": entry.chain.hex(),
        "number": entry.number,
        "previous": entry.previous.hex(),
        "restored": _restored(entry.restored),
        "digest": found.digest.hex(),
        "index": found.place.index,
        "origin": tree.origin,
        "size": tree.size,
        "root": tree.root.hex(),
    }


def head(given: Object) -> Object:
    signed = SIGNED_HEAD.decode(bytes_of(given, "hex"))
    found = open_head(signed, bytes_of(given, "network"), _reader(given))
    return {
        "chain": found.chain.hex(),
        "number": found.number,
        "digest": found.digest.hex(),
        "day": found.day,
        "at": found.at,
        "restored": _restored(found.restored),
    }
