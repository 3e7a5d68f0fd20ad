"""Headers and components: §2.1, §2.3 to §2.6, §4.1."""

from tests.vectors.second.cases.case import Case, accepted, did, refused, seeded
from tests.vectors.second.cases.policies import ascending, one
from tests.vectors.second.components import header_bytes
from tests.vectors.second.fields import Json, Object
from tests.vectors.second.keys import Threshold
from tests.vectors.second.msgpack import Value, encode

_LEAST = (0, 0, 0, 0, 1, 0, 0, 1, 1, 1)
_STATE_DATA = encode(("consent/1", seeded("patient", 16), True))


def headers() -> list[Case]:
    passed = {
        "least": _LEAST,
        "one of each": (1,) * 10,
        "many outputs": (1, 0, 40, 40, 1, 0, 0, 1, 1, 1),
        "65,536 leaves": (65_531, 0, 0, 0, 1, 0, 0, 1, 1, 1),
        "65,536 leaves, half of them commands": (0, 0, 0, 0, 65_532, 0, 0, 1, 1, 1),
    }
    wrong = {
        "65,537 leaves": (65_532, 0, 0, 0, 1, 0, 0, 1, 1, 1),
        "far too many leaves": (65_535,) * 7 + (1, 1, 1),
        "more outputs than locks": (0, 0, 2, 1, 1, 0, 0, 1, 1, 1),
        "more locks than outputs": (0, 0, 1, 2, 1, 0, 0, 1, 1, 1),
        "no command": (1, 0, 1, 1, 0, 0, 0, 1, 1, 1),
        "no notary": (0, 0, 0, 0, 1, 0, 0, 0, 1, 1),
        "two notaries": (0, 0, 0, 0, 1, 0, 0, 2, 1, 1),
        "no window": (0, 0, 0, 0, 1, 0, 0, 1, 0, 1),
        "two windows": (0, 0, 0, 0, 1, 0, 0, 1, 2, 1),
        "no parameters": (0, 0, 0, 0, 1, 0, 0, 1, 1, 0),
        "two parameters": (0, 0, 0, 0, 1, 0, 0, 1, 1, 2),
    }
    shapes: dict[str, Value] = {
        "nine counts": ("carecord/tx/1", _LEAST[:9]),
        "eleven counts": ("carecord/tx/1", (*_LEAST, 0)),
        "counts without their array": ("carecord/tx/1", *_LEAST),
        "a later version": ("carecord/tx/2", _LEAST),
        "a surplus field": ("carecord/tx/1", _LEAST, 0),
        "a missing field": ("carecord/tx/1",),
        "a count of 65,536": ("carecord/tx/1", (65_536, *_LEAST[1:])),
        "a negative count": ("carecord/tx/1", (-1, *_LEAST[1:])),
        "a count of true": ("carecord/tx/1", (*_LEAST[:9], True)),
        "a count of nil": ("carecord/tx/1", (None, *_LEAST[1:])),
        "untagged": _LEAST,
    }
    least = header_bytes(_LEAST).hex()
    cases = [accepted(name, "2.1", {"hex": header_bytes(c).hex()}) for name, c in passed.items()]
    cases += [refused(name, "2.1", {"hex": header_bytes(c).hex()}) for name, c in wrong.items()]
    cases += [refused(name, "1.3", _hex(value)) for name, value in shapes.items()]
    return [
        *cases,
        refused("a trailing byte", "1.2", {"hex": least + "00"}),
        refused("a count that is not in its shortest form", "1.2", {"hex": least[:-2] + "cc01"}),
        refused("a tag as str 8", "1.2", {"hex": "92d90d" + least[4:]}),
        refused("counts as array 16", "1.2", {"hex": least.replace("9a", "dc000a", 1)}),
        refused("no bytes", "1.2", {"hex": ""}),
    ]


def _hex(value: Value) -> Object:
    return {"hex": encode(value).hex()}


def _state(data: bytes = _STATE_DATA, contract: str = "consent/1") -> Value:
    return ("state/1", contract, did("notary"), data)


def _command(*signers: Value) -> Value:
    return ("command/1", encode(("grant/1",)), signers)


def _signers(count: int) -> list[Value]:
    return [
        policy.value for _, policy in ascending(*((1, one(f"signer {n}")) for n in range(count)))
    ]


def _sealed(*readers: str, about: Value = (2, 0)) -> Value:
    return ("sealed/1", readers, about, b"sealed")


def _group(
    group: str, clause: str, passed: dict[str, Value], wrong: dict[str, Value]
) -> list[Case]:
    cases = [
        accepted(f"{group}: {name}", clause, _hex(value) | {"group": group})
        for name, value in passed.items()
    ]
    return cases + _wrong(group, clause, wrong)


def _wrong(group: str, clause: str, values: dict[str, Value]) -> list[Case]:
    return [
        refused(f"{group}: {name}", clause, _hex(value) | {"group": group})
        for name, value in values.items()
    ]


def components() -> list[Case]:
    return [
        *_references(),
        *_states(),
        *_locks(),
        *_commands(),
        *_seals(),
        *_single(),
        *_bytes(),
    ]


def _references() -> list[Case]:
    tx = seeded("tx")
    wrong: dict[str, Value] = {
        "an index of 65,536": (tx, 65_536),
        "a transaction of 31 bytes": (tx[:31], 0),
        "a transaction of 33 bytes": (tx + b"\x00", 0),
        "a surplus field": (tx, 0, 0),
        "a missing field": (tx,),
        "a transaction as text": (tx.hex(), 0),
        "fields in the other order": (0, tx),
    }
    passed: dict[str, Value] = {"first": (tx, 0), "last": (tx, 65_535)}
    return [
        *_group("inputs", "2.3", passed, {}),
        *_group("references", "2.3", passed, {}),
        *_wrong("inputs", "1.3", wrong),
    ]


def _states() -> list[Case]:
    def named(contract: str) -> Value:
        return _state(encode((contract,)), contract)

    passed = {
        "consent": _state(),
        "a version of four digits": named("a/9999"),
        "a name with a hyphen": named("care-team/12"),
        "a name that ends in a hyphen": named("a-/1"),
    }
    wrong: dict[str, Value] = {
        f"a contract named {name!r}": named(name)
        for name in (
            "consent",
            "consent/0",
            "consent/01",
            "consent/10000",
            "Consent/1",
            "-consent/1",
            "con sent/1",
            "consent/1\n",
            "consent/1/1",
            "/1",
            "",
            "soin-médical/1",
            "consent/\u0661",
        )
    }
    wrong |= {
        "data of another contract": _state(_STATE_DATA, "consent/2"),
        "data of no bytes": _state(b""),
    }
    shapes: dict[str, Value] = {
        "data that is no struct": _state(encode(1)),
        "data without its tag": _state(encode(())),
        "data whose tag is a byte string": _state(encode((b"consent/1",))),
        "data that is a value and not bytes": (
            "state/1",
            "consent/1",
            did("notary"),
            ("consent/1",),
        ),
        "a later tag": ("state/2", "consent/1", did("notary"), _STATE_DATA),
        "a surplus field": ("state/1", "consent/1", did("notary"), _STATE_DATA, None),
        "a missing field": ("state/1", "consent/1", did("notary")),
    }
    cases = _group("outputs", "2.3", passed, wrong) + _wrong("outputs", "1.3", shapes)
    trailing: dict[str, Value] = {"data with a trailing byte": _state(_STATE_DATA + b"\x00")}
    notaries: dict[str, Value] = {
        "a notary that is no DID": ("state/1", "consent/1", "notary", _STATE_DATA),
        "a notary whose name is cut": ("state/1", "consent/1", did("notary")[:-1], _STATE_DATA),
    }
    return [*cases, *_wrong("outputs", "1.2", trailing), *_wrong("outputs", "1.5", notaries)]


def _locks() -> list[Case]:
    label, digest = seeded("label", 16), seeded("digest")
    shapes: dict[str, Value] = {
        "a label of 15 bytes": (label[:15], digest),
        "a label of 17 bytes": (label + b"\x00", digest),
        "a digest of 31 bytes": (label, digest[:31]),
        "a surplus field": (label, digest, 0),
        "a missing field": (label,),
        "fields in the other order": (digest, label),
    }
    return _group("locks", "4.1", {"plain": (label, digest)}, {}) + _wrong("locks", "1.3", shapes)


def _commands() -> list[Case]:
    two = _signers(2)
    team = Threshold(1, ascending((1, one("signer 0")), (1, one("signer 1")))).value
    by_encoding: list[Value] = sorted([team, *two], key=encode)
    passed: dict[str, Value] = {
        "one signer": _command(*two[:1]),
        "two signers": _command(*two),
        "sixteen signers": _command(*_signers(16)),
        "a threshold and a key": _command(*sorted([team, *_signers(3)[:1]], key=encode)),
        "a key in two signers": _command(*by_encoding),
    }
    wrong: dict[str, Value] = {
        "no signer": _command(),
        "data of no bytes": ("command/1", b"", tuple(two)),
        "seventeen signers": _command(*_signers(17)),
        "signers that descend": _command(*two[::-1]),
        "a signer twice": _command(two[0], two[0]),
        "a key of 31 bytes": _command(("one/1", (1, bytes(31)))),
        "a threshold of 0": _command(("any/1", 0, tuple((1, signer) for signer in two))),
    }
    shapes: dict[str, Value] = {
        "a later tag": ("command/2", b"\x90", tuple(two)),
        "a surplus field": ("command/1", b"\x90", tuple(two), None),
        "a missing field": ("command/1", b"\x90"),
        "a signer that is a key and not a policy": _command((1, bytes(32))),
        "data as text": ("command/1", "grant", tuple(two)),
    }
    return _group("commands", "2.4", passed, wrong) + _wrong("commands", "1.3", shapes)


def _seals() -> list[Case]:
    counts: list[Json] = [1, 0, 2, 2, 1, 3, 0, 1, 1, 1]
    eight = tuple("abcdefgh")
    passed = {
        "one reader": _sealed("custodian"),
        "eight readers": _sealed(*eight),
        "a name of sixteen characters": _sealed("a" * 16),
        "a name of hyphens": _sealed("---"),
        "about the last output": _sealed("patient", about=(2, 1)),
        "about a seal": _sealed("patient", about=(5, 2)),
        "about the parameters": _sealed("patient", about=(9, 0)),
    }
    wrong = {
        "no reader": _sealed(),
        "nine readers": _sealed(*eight, "i"),
        "readers that descend": _sealed("patient", "custodian"),
        "a reader twice": _sealed("patient", "patient"),
        "a reader of seventeen characters": _sealed("a" * 17),
        "a reader in upper case": _sealed("Patient"),
        "a reader with a digit": _sealed("patient2"),
        "a reader without a name": _sealed(""),
        "a reader with a newline": _sealed("patient\n"),
        "data of no bytes": ("sealed/1", ("patient",), (2, 0), b""),
        "about an output that does not exist": _sealed("patient", about=(2, 2)),
        "about an attachment, of which there are none": _sealed("patient", about=(6, 0)),
        "about a group that does not exist": _sealed("patient", about=(10, 0)),
    }
    shapes: dict[str, Value] = {
        "about group 256": _sealed("patient", about=(256, 0)),
        "about a group alone": _sealed("patient", about=(2,)),
        "a reader as a byte string": ("sealed/1", (b"patient",), (2, 0), b"sealed"),
        "a later tag": ("sealed/2", ("patient",), (2, 0), b"sealed"),
        "a surplus field": ("sealed/1", ("patient",), (2, 0), b"sealed", 0),
        "a missing field": ("sealed/1", ("patient",), (2, 0)),
    }
    cases = _group("sealed", "2.5", passed, wrong) + _wrong("sealed", "1.3", shapes)
    for case in cases:
        case.given["counts"] = counts
    return cases


def _single() -> list[Case]:
    digest, notary = seeded("digest"), did("notary")
    windows: dict[str, Value] = {
        "one millisecond": (0, 1),
        "an hour": (1_764_000_000_000, 1_764_003_600_000),
        "until the last millisecond": (2**63 - 2, 2**63 - 1),
    }
    empty: dict[str, Value] = {"length 0": (5, 5), "until before from": (5, 4)}
    shapes: dict[str, Value] = {
        "until 2^63": (0, 2**63),
        "from -1": (-1, 1),
        "a surplus field": (0, 1, 2),
        "a missing field": (0,),
        "nil for no bound": (0, None),
    }
    wrong: dict[str, Value] = {
        "31 bytes": digest[:31],
        "33 bytes": digest + b"\x00",
        "in an array": (digest,),
        "as text": digest.hex(),
    }
    notaries: dict[str, Value] = {
        "empty": "",
        "no DID": "notary",
        "a trailing space": notary + " ",
        "a trailing newline": notary + "\n",
        "cut": notary[:-1],
    }
    return [
        *_group("attachments", "2.6", {"plain": digest}, {}),
        *_wrong("attachments", "1.3", wrong),
        *_group("notary", "2.6", {"plain": notary}, {}),
        *_wrong("notary", "1.5", notaries),
        *_wrong("notary", "1.3", {"as bytes": notary.encode()}),
        *_group("window", "2.6", windows, empty),
        *_wrong("window", "1.3", shapes),
        *_group("parameters", "2.6", {"plain": digest}, {}),
        *_wrong("parameters", "1.3", wrong),
    ]


def _bytes() -> list[Case]:
    """Bytes that are no value, or not in its one encoding, whatever the group asks for."""
    digest = seeded("digest").hex()
    return [
        refused("of no bytes", "2.2", {"group": "parameters", "hex": ""}),
        refused("of 65,537 bytes", "2.2", {"group": "outputs", "hex": "00*65537"}),
        refused("a trailing byte", "1.2", {"group": "parameters", "hex": f"c420{digest}00"}),
        refused("bin 16 for 32 bytes", "1.2", {"group": "parameters", "hex": f"c50020{digest}"}),
        refused("a map", "1.1", {"group": "window", "hex": "82a466726f6d00a5756e74696c01"}),
        refused("floats", "1.1", {"group": "window", "hex": "92ca00000000ca3f800000"}),
        refused("a timestamp", "1.1", {"group": "window", "hex": "92d6ff00000000d6ff00000001"}),
        refused("invalid UTF-8", "1.1", {"group": "notary", "hex": "a2c328"}),
        refused("an index as uint 16", "1.2", {"group": "inputs", "hex": f"92c420{digest}cd0001"}),
    ]
