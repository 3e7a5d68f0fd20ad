"""Log entries, receipts and statements of liveness: §6.3, §6.4."""

import base64
from dataclasses import dataclass, replace

from tests.vectors.second import ed25519, merkle
from tests.vectors.second.cases import ledger
from tests.vectors.second.cases.case import Case, accepted, did, key_of, refused, seeded
from tests.vectors.second.fields import Object
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.note import COSIGNER, LOG, Checkpoint, VerifierKey, sign_line
from tests.vectors.second.receipt import Entry, Liveness, liveness_digest, proof_text
from tests.vectors.second.spending import nullifier

ORIGIN = "notary.carecord.example/log"
_LOG = VerifierKey(ORIGIN, LOG, key_of("log").raw)
_COSIGNER = VerifierKey("witness.carecord.example", COSIGNER, key_of("witness").raw)
_AT = 1_764_000_120  # seconds
ENTRY = Entry(
    ledger.SPEND.id(),
    ledger.OPENS + 60_000,
    (nullifier(ledger.locked("issue 0").salt, (ledger.ISSUE.id(), 0)),),
)


def entries() -> list[Case]:
    tx = ledger.LEAST.id()
    two = (seeded("nullifier 1"), seeded("nullifier 2"))
    good = ENTRY.line
    no_nullifier = Entry(tx, 0, ()).line
    wrong = {
        "version 0": b"\x00" + good[1:],
        "version 2": b"\x02" + good[1:],
        "no bytes": b"",
        "cut in the transaction": good[:20],
        "cut in the time": good[:37],
        "cut in the count": good[:42],
        "cut in a nullifier": good[:-1],
        "a trailing byte": good + b"\x00",
        "a nullifier fewer than counted": good[:-32],
        "a nullifier more than counted": good + seeded("nullifier 2"),
        "a count in little-endian": good[:41] + b"\x01\x00" + good[43:],
        "a nullifier beside a count of 0": no_nullifier + bytes(32),
        "a nullifier twice": Entry(tx, ledger.OPENS, (two[0], two[0])).line,
    }
    listed = {
        "no nullifier, time 0": Entry(tx, 0, ()),
        "one nullifier": ENTRY,
        "two nullifiers": Entry(tx, ledger.OPENS, two),
        "two nullifiers in the other order": Entry(tx, ledger.OPENS, two[::-1]),
        "the last time": Entry(tx, 2**63 - 1, ()),
        "300 nullifiers": Entry(tx, 1, tuple(seeded(f"nullifier {n}") for n in range(300))),
    }
    cases = [accepted(name, "6.3", {"hex": one.line.hex()}) for name, one in listed.items()]
    return cases + [refused(name, "6.3", {"hex": data.hex()}) for name, data in wrong.items()]


@dataclass(frozen=True)
class _Log:
    """A log of some entries, one of them ENTRY, and the parts of the receipt for it."""

    size: int
    index: int
    origin: str = ORIGIN
    entry: Entry = ENTRY

    @property
    def leaf_hashes(self) -> list[bytes]:
        lines = [seeded(f"entry {n}") for n in range(self.size)]
        lines[self.index] = self.entry.line
        return [merkle.leaf_hash(line) for line in lines]

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.origin, self.size, merkle.root(self.leaf_hashes))

    @property
    def path(self) -> list[bytes]:
        return merkle.path(self.leaf_hashes, self.index)

    def text(self, note: str | None = None) -> str:
        signed = _signed(self.checkpoint.text) if note is None else note
        return proof_text(self.entry.extra, self.index, self.path, signed)


def _signed(text: str) -> str:
    log = sign_line(_LOG, seeded("log"), text)
    return f"{text}\n{log}{sign_line(_COSIGNER, seeded('witness'), text, _AT)}"


def _given(text: str, tx: bytes = ENTRY.tx) -> Object:
    return {
        "text": text,
        "transaction": tx.hex(),
        "origin": ORIGIN,
        "log": _LOG.text,
        "cosigner": _COSIGNER.text,
    }


_SEVEN = _Log(7, 4)


def receipts() -> list[Case]:
    sizes = ((1, 0), (2, 0), (2, 1), (3, 2), (7, 4), (8, 7), (9, 8), (300, 256))
    cases = [
        accepted(f"entry {index} of {size}", "6.3", _given(_Log(size, index).text()))
        for size, index in sizes
    ]
    text = _SEVEN.checkpoint.text
    foreign = VerifierKey("witness.elsewhere.example", COSIGNER, key_of("elsewhere").raw)
    stranger = sign_line(foreign, seeded("elsewhere"), text, _AT)
    extended = text + "an extension line\n"
    empty = Entry(ledger.LEAST.id(), ledger.OPENS, ())
    return [
        *cases,
        accepted("a stranger's cosignature", "6.3", _given(_SEVEN.text(_signed(text) + stranger))),
        refused("an extension line", "6.3", _given(_SEVEN.text(_signed(extended)))),
        accepted("no input", "6.3", _given(_Log(5, 2, entry=empty).text(), empty.tx)),
        *_refused_proofs(),
        *_refused_notes(),
        *_refused_spellings(),
    ]


def _refused_proofs() -> list[Case]:
    log, note = _SEVEN, _signed(_SEVEN.checkpoint.text)
    extra, path = ENTRY.extra, log.path
    later = replace(ENTRY, time=ENTRY.time + 1)
    listed = {
        "another index": proof_text(extra, 5, path, note),
        "an index outside the tree": proof_text(extra, 7, path, note),
        "a path too long": proof_text(extra, 4, [*path, seeded("surplus")], note),
        "a path too short": proof_text(extra, 4, path[:-1], note),
        "no path": proof_text(extra, 4, [], note),
        "an altered path": proof_text(extra, 4, [seeded("altered"), *path[1:]], note),
        "a path in the other order": proof_text(extra, 4, path[::-1], note),
        "a path of 64 hashes": proof_text(extra, 4, [seeded("surplus")] * 64, note),
        "a path with a hash of 31 bytes": proof_text(extra, 4, [path[0][:31], *path[1:]], note),
        "an altered time": proof_text(later.extra, 4, path, note),
        "an altered nullifier": proof_text(extra[:-1] + bytes([extra[-1] ^ 1]), 4, path, note),
        "a nullifier taken away": proof_text(replace(ENTRY, nullifiers=()).extra, 4, path, note),
        "extra that is the whole entry": proof_text(ENTRY.line, 4, path, note),
        "extra of another version": proof_text(b"\x02" + extra[1:], 4, path, note),
        "extra with a trailing byte": proof_text(extra + b"\x00", 4, path, note),
        "empty extra": proof_text(b"", 4, path, note),
    }
    cases = [refused(name, "6.3", _given(text)) for name, text in listed.items()]
    return [*cases, refused("another transaction", "6.3", _given(log.text(), ledger.LEAST.id()))]


def _refused_notes() -> list[Case]:
    log, text = _SEVEN, _SEVEN.checkpoint.text
    ours = sign_line(_LOG, seeded("log"), text)
    theirs = sign_line(_COSIGNER, seeded("witness"), text, _AT)
    other = Checkpoint("another.example/log", log.size, merkle.root(log.leaf_hashes)).text
    larger = Checkpoint(ORIGIN, 9, merkle.root(log.leaf_hashes)).text
    rerooted = Checkpoint(ORIGIN, log.size, seeded("root")).text
    by_other = sign_line(_LOG, seeded("another log"), text)
    as_log = sign_line(replace(_COSIGNER, kind=LOG), seeded("witness"), text)
    renamed = sign_line(replace(_LOG, name="elsewhere"), seeded("log"), text)
    flipped = _flip_cosignature_time(theirs)
    notes = {
        "without cosignature": f"{text}\n{ours}",
        "without the log's signature": f"{text}\n{theirs}",
        "with a stranger's signature only": f"{text}\n{renamed}",
        "signed under another name": f"{text}\n{renamed}{theirs}",
        "signed by another key": f"{text}\n{by_other}{theirs}",
        "cosigned as if it were the log": f"{text}\n{ours}{as_log}",
        "a cosignature of another time": f"{text}\n{ours}{flipped}",
        "signed over another checkpoint": f"{larger}\n{ours}{theirs}",
        "an altered size": _signed(text).replace("\n7\n", "\n8\n", 1),
        "an altered root": _signed(text).replace(text.split("\n")[2], rerooted.split("\n")[2]),
        "a signed size that the path does not fit": _signed(larger),
        "a signed root that the path does not lead to": _signed(rerooted),
        "another log, signed by this key": _signed(other),
        "an extension line that was not signed": f"{text}extension\n\n{ours}{theirs}",
        "a second, false signature of the log": f"{text}\n{ours}{_flip_last(ours)}{theirs}",
    }
    return [
        refused(f"checkpoint: {name}", "6.3", _given(log.text(note)))
        for name, note in notes.items()
    ]


def _flip_cosignature_time(line: str) -> str:
    head, coded = line.rstrip("\n").rsplit(" ", 1)
    raw = bytearray(base64.b64decode(coded))
    raw[11] ^= 1
    return f"{head} {base64.b64encode(raw).decode()}\n"


def _flip_last(line: str) -> str:
    head, coded = line.rstrip("\n").rsplit(" ", 1)
    raw = bytearray(base64.b64decode(coded))
    raw[10] ^= 1
    return f"{head} {base64.b64encode(raw).decode()}\n"


def _refused_spellings() -> list[Case]:
    text = _SEVEN.text()
    lines = text.split("\n")
    loose = lines[1].rstrip("=")
    changes = {
        "another first line": text.replace("@v1", "@v2", 1),
        "no extra": text.replace(lines[1] + "\n", "", 1),
        "no index": text.replace(lines[2] + "\n", "", 1),
        "index before extra": text.replace(f"{lines[1]}\n{lines[2]}", f"{lines[2]}\n{lines[1]}", 1),
        "an index with a leading zero": text.replace("index 4", "index 04", 1),
        "a negative index": text.replace("index 4", "index -4", 1),
        "an index with a plus": text.replace("index 4", "index +4", 1),
        "an index in hexadecimal": text.replace("index 4", "index 0x4", 1),
        "an index in Arabic digits": text.replace("index 4", "index \u0664", 1),
        "extra without padding": text.replace(lines[1], loose, 1),
        "base64 of a second spelling": text.replace(lines[3], lines[3][:-2] + _next(lines[3]), 1),
        "a size with a leading zero": text.replace("\n7\n", "\n07\n", 1),
        "carriage returns": text.replace("\n", "\r\n"),
        "without its last newline": text.removesuffix("\n"),
        "a newline too many": text + "\n",
        "without the blank line before the checkpoint": text.replace("\n\n", "\n", 1),
        "a hyphen for the em dash": text.replace("— ", "- "),
        "nothing": "",
    }
    return [refused(f"text: {name}", "6.3", _given(changed)) for name, changed in changes.items()]


def _next(line: str) -> str:
    """The last two characters of 32 bytes in base64, with a bit set that stands for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return alphabet[alphabet.index(line[-2]) + 1] + "="


LIVENESS = Liveness(
    ledger.NETWORK,
    did("notary"),
    ENTRY.nullifiers[0],
    300,
    seeded("root"),
    ledger.OPENS + 120_000,
    live=True,
)


def liveness() -> list[Case]:
    spent = replace(LIVENESS, live=False)
    empty = replace(LIVENESS, size=0, at=0)
    last = replace(LIVENESS, size=2**63 - 1, at=2**63 - 1)
    body = encode(LIVENESS.value)
    signature = ed25519.sign(seeded("log"), liveness_digest(body))
    other: dict[str, bytes] = {
        "a flipped bit in the nullifier": bytes([*body[:110], body[110] ^ 1, *body[111:]]),
        "live turned to spent": encode(spent.value),
        "another time": encode(replace(LIVENESS, at=LIVENESS.at + 1).value),
        "another root": encode(replace(LIVENESS, root=seeded("another root")).value),
    }
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    naked = ed25519.sign(seeded("log"), body)
    return [
        accepted("live", "6.4", _statement(body)),
        accepted("spent", "6.4", _statement(encode(spent.value))),
        accepted("of an empty log", "6.4", _statement(encode(empty.value))),
        accepted("the largest numbers", "6.4", _statement(encode(last.value))),
        *(refused(name, "6.4", _statement(data, signature)) for name, data in other.items()),
        refused("a flipped bit in the signature", "6.4", _statement(body, flipped)),
        refused("signed without the tagged hash", "6.4", _statement(body, naked)),
        refused("another key", "6.4", _statement(body) | {"log_key": key_of("witness").raw.hex()}),
        *_refused_bodies(signature),
    ]


def _statement(body: bytes, signature: bytes | None = None) -> Object:
    raw = signature or ed25519.sign(seeded("log"), liveness_digest(body))
    value: Value = ("is-live/1", body, raw)
    return {"hex": encode(value).hex(), "log_key": key_of("log").raw.hex()}


def _refused_bodies(signature: bytes) -> list[Case]:
    """Bodies that the log key did sign, and that are no statement all the same."""
    fields = LIVENESS.value
    listed = fields if isinstance(fields, tuple) else ()
    shapes: dict[str, Value] = {
        "a later tag": ("liveness/2", *listed[1:]),
        "a surplus field": (*listed, None),
        "a missing field": listed[:-1],
        "live as 1": (*listed[:-1], 1),
        "a nullifier of 31 bytes": (*listed[:3], bytes(31), *listed[4:]),
        "a size of 2^63": (*listed[:4], 2**63, *listed[5:]),
    }
    body = encode(fields)
    outer: dict[str, Value] = {
        "a later statement": ("is-live/2", body, signature),
        "a signature of 63 bytes": ("is-live/1", body, signature[:63]),
        "a surplus field in the statement": ("is-live/1", body, signature, 0),
        "a body that is not bytes": ("is-live/1", fields, signature),
    }
    key = {"log_key": key_of("log").raw.hex()}
    no_did = (*listed[:2], "notary", *listed[3:])
    return [
        *(refused(name, "1.3", _statement(encode(value))) for name, value in shapes.items()),
        *(refused(name, "1.3", {"hex": encode(v).hex(), **key}) for name, v in outer.items()),
        refused("a notary that is no DID", "1.5", _statement(encode(no_did))),
        refused("a body with a trailing byte", "1.2", _statement(body + b"\x00")),
        refused(
            "a size as uint 32",
            "1.2",
            _statement(body.replace(b"\xcd\x01\x2c", b"\xce\0\0\x01\x2c")),
        ),
    ]
