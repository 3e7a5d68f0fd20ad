"""Entries of reading logs with their proofs, and daily heads: §10."""

import base64
from dataclasses import dataclass

from tests.vectors.second import ed25519, merkle
from tests.vectors.second.cases.case import Case, accepted, did, key_of, refused, seeded
from tests.vectors.second.fields import Object
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.note import LOG, Checkpoint, VerifierKey, sign_line
from tests.vectors.second.reading import entry_digest, head_digest

_AT = 1_764_000_120_000  # ms
_PARTY, _OTHER = did("Riverside"), did("Mercy")
_NETWORK = seeded("network")
_EPOCH = seeded("epoch", 16)
_SALT = seeded("entry salt")
_FIRST = f"{_PARTY}/readings"
_LATER = f"{_FIRST}/{_EPOCH.hex()}"
_NOTHING = bytes(32)

_ENTRY: dict[str, Value] = {
    "organisation": _PARTY,
    "chain": seeded("chain"),
    "number": 1,
    "previous": _NOTHING,
    "at": _AT,
    "person": seeded("person", 16),
    "shown as": "Dr A. Reed",
    "role": "clinician",
    "purpose": "TREAT",
    "by": "person",
    "emergency": False,
    "disclosure": seeded("disclosure"),
    "items": (seeded("item"),),
    "outcome": "read",
    "restored": None,
}
_HEAD: dict[str, Value] = {
    "network": _NETWORK,
    "organisation": _PARTY,
    "chain": seeded("chain"),
    "number": 0,
    "digest": _NOTHING,
    "day": 20_416,
    "at": _AT,
    "restored": None,
}


def _body(tag: str, fields: dict[str, Value], changes: dict[str, Value]) -> bytes:
    assert changes.keys() <= fields.keys()
    return encode((tag, *(fields | changes).values()))


def _entry(**changes: Value) -> bytes:
    return _body("reading/2", _ENTRY, {name.replace("_", " "): v for name, v in changes.items()})


def _head(**changes: Value) -> bytes:
    return _body("reading-head/2", _HEAD, changes)


@dataclass(frozen=True)
class _Log:
    """A log of some entries, one of them in question, and what is reported of it."""

    body: bytes
    size: int = 5
    index: int = 3
    origin: str = _FIRST
    key: str = "reading log"

    @property
    def leaf_hashes(self) -> list[bytes]:
        hashes = [merkle.leaf_hash(seeded(f"reading {n}")) for n in range(self.size)]
        hashes[self.index] = merkle.leaf_hash(b"\x01" + entry_digest(_SALT, self.body))
        return hashes

    def proof(self, index: int | None = None, path: list[bytes] | None = None) -> str:
        text = Checkpoint(self.origin, self.size, merkle.root(self.leaf_hashes)).text
        key = VerifierKey(self.origin, LOG, key_of(self.key).raw)
        note = f"{text}\n{sign_line(key, seeded(self.key), text)}"
        siblings = merkle.path(self.leaf_hashes, self.index) if path is None else path
        lines = "".join(base64.b64encode(one).decode() + "\n" for one in siblings)
        at = self.index if index is None else index
        return f"c2sp.org/tlog-proof@v1\nindex {at}\n{lines}\n{note}"


def _given(log: _Log, proof: str | None = None, salt: bytes = _SALT) -> Object:
    text = log.proof() if proof is None else proof
    return _asked(("reported/1", log.body, salt, text))


def _asked(value: Value) -> Object:
    return {
        "hex": encode(value).hex(),
        "organisation": _PARTY,
        "log_key": key_of("reading log").raw.hex(),
    }


def _after(number: int, epoch: bytes = _EPOCH) -> Value:
    return (epoch, _AT - 1, number)


def readings() -> list[Case]:
    second = _entry(number=2, previous=seeded("first"))
    listed = {
        "the first of a chain": _Log(_entry()),
        "a later one": _Log(second),
        "of an enrolment, by a system, of nothing": _Log(
            _entry(disclosure=None, by="system", items=(), outcome="refused")
        ),
        "in an emergency": _Log(_entry(emergency=True, purpose="ETREAT")),
        "alone in its log": _Log(_entry(), 1, 0),
        "in a log that was restored since": _Log(second, origin=_LATER),
        "the first of an epoch": _Log(
            _entry(number=3, previous=seeded("second"), restored=_after(2)), origin=_LATER
        ),
        "a later one of an epoch": _Log(
            _entry(number=9, previous=seeded("eighth"), restored=_after(2)), origin=_LATER
        ),
        "an epoch that kept nothing of the chain": _Log(_entry(restored=_after(0)), origin=_LATER),
    }
    cases = [accepted(name, "10.3", _given(log)) for name, log in listed.items()]
    return [*cases, *_refused_entries(), *_refused_proofs()]


def _refused_entries() -> list[Case]:
    later: Value = seeded("before")
    fields = tuple(_ENTRY.values())
    listed: dict[str, tuple[str, bytes]] = {
        "number 0": ("10.1", _entry(number=0)),
        "number 0 after another": ("10.1", _entry(number=0, previous=later)),
        "a first entry after another": ("10.1", _entry(previous=later)),
        "a second entry after nothing": ("10.1", _entry(number=2)),
        "a number that its epoch kept": (
            "10.4",
            _entry(number=2, previous=later, restored=_after(2)),
        ),
        "an epoch of zeros": ("10.4", _entry(restored=_after(0, bytes(16)))),
        "an epoch of 15 bytes": ("1.3", _entry(restored=_after(0, bytes(15)))),
        "an epoch without its time": ("1.3", _entry(restored=(_EPOCH, 0))),
        "an outcome that nobody knows": ("10.1", _entry(outcome="seen")),
        "read by a machine": ("10.1", _entry(by="machine")),
        "a role with a capital": ("10.1", _entry(role="Clinician")),
        "no role": ("10.1", _entry(role="")),
        "a name of 1,025 characters": ("10.1", _entry(shown_as="a" * 1_025)),
        "an item of 31 bytes": ("1.3", _entry(items=(bytes(31),))),
        "a person of 15 bytes": ("1.3", _entry(person=bytes(15))),
        "a disclosure of 31 bytes": ("1.3", _entry(disclosure=bytes(31))),
        "an emergency of 1": ("1.3", _entry(emergency=1)),
        "of another organisation": ("10.3", _entry(organisation=_OTHER)),
        "of no name": ("1.5", _entry(organisation="Riverside")),
        "an earlier tag": ("1.3", encode(("reading/1", *fields[:-1]))),
        "a missing field": ("1.3", encode(("reading/2", *fields[:-1]))),
        "a surplus field": ("1.3", encode(("reading/2", *fields, None))),
        "a trailing byte": ("1.2", _entry() + b"\xc0"),
    }
    return [refused(name, clause, _given(_Log(body))) for name, (clause, body) in listed.items()]


def _refused_proofs() -> list[Case]:
    log = _Log(_entry())
    text, path = log.proof(), merkle.path(log.leaf_hashes, log.index)
    with_extra = text.replace("\nindex", "\nextra AA==\nindex", 1)
    zeros = f"{_FIRST}/{bytes(16).hex()}"
    named = {
        "a log of another organisation": f"{_OTHER}/readings",
        "a notary's log": f"{_PARTY}/log",
        "an epoch of zeros in the name": zeros,
        "an epoch in capitals": f"{_FIRST}/{_EPOCH.hex().upper()}",
        "an epoch of 15 bytes in the name": _LATER[:-2],
        "an epoch of 17 bytes in the name": _LATER + "00",
        "two epochs": f"{_LATER}/{_EPOCH.hex()}",
    }
    wrong_names = [
        refused(name, "10.3", _given(_Log(log.body, origin=origin)))
        for name, origin in named.items()
    ]
    return [
        *wrong_names,
        refused("by another key", "6.3", _given(_Log(log.body, key="another log"))),
        refused("another salt", "10.3", _given(log, salt=seeded("another salt"))),
        refused("another index", "10.3", _given(log, log.proof(index=2))),
        refused("an index outside the log", "6.3", _given(log, log.proof(index=5))),
        refused("a path too short", "6.3", _given(log, log.proof(path=path[:-1]))),
        refused("a path of 64 hashes", "10.3", _given(log, log.proof(path=path[:1] * 64))),
        refused("an extra line", "10.3", _given(log, with_extra)),
        refused("no blank line", "10.3", _given(log, text.replace("\n\n", "\n"))),
        refused(
            "the proof of another entry",
            "10.3",
            _given(log, _Log(_entry(outcome="refused")).proof()),
        ),
        refused("a salt of 31 bytes", "1.3", _given(log, salt=bytes(31))),
        refused(
            "a reported entry with a surplus field",
            "1.3",
            _asked(("reported/1", log.body, _SALT, text, None)),
        ),
    ]


def _signed(body: bytes, by: str = "reading log") -> Object:
    value = ("signed-head/1", body, ed25519.sign(seeded(by), head_digest(body)))
    return _asked(value) | {"network": _NETWORK.hex()}


def heads() -> list[Case]:
    said = _head(number=7, digest=seeded("seventh"))
    fields = tuple(_HEAD.values())
    passed = {
        "of a chain that nobody read": _head(),
        "of a chain of seven": said,
        "of an epoch that said nothing yet": _head(
            number=2, digest=seeded("second"), restored=_after(2)
        ),
        "of an epoch that goes on": _head(number=7, digest=seeded("seventh"), restored=_after(2)),
    }
    unsigned = encode(("signed-head/1", said, bytes(64))).hex()
    listed: dict[str, tuple[str, Object]] = {
        "a chain shorter than what its epoch kept": (
            "10.5",
            _signed(_head(number=1, digest=seeded("first"), restored=_after(2))),
        ),
        "of another network": ("10.5", _signed(_head(network=seeded("another network")))),
        "of another organisation": ("10.5", _signed(_head(organisation=_OTHER))),
        "by another key": ("10.5", _signed(said, "another log")),
        "a signature of zeros": ("10.5", _signed(said) | {"hex": unsigned}),
        "a day of 2^32": ("1.3", _signed(_head(day=2**32))),
        "an earlier tag": ("1.3", _signed(encode(("reading-head/1", *fields[:-1])))),
        "a missing field": ("1.3", _signed(encode(("reading-head/2", *fields[:-1])))),
        "a surplus field": ("1.3", _signed(encode(("reading-head/2", *fields, None)))),
        "a trailing byte": ("1.2", _signed(said + b"\xc0")),
        "513 bytes": ("10.5", _signed(said + bytes(513 - len(said)))),
    }
    cases = [accepted(name, "10.5", _signed(body)) for name, body in passed.items()]
    return cases + [refused(name, clause, given) for name, (clause, given) in listed.items()]
