"""Tear-offs, and what verification asks of them: §2.7, §7."""

from collections.abc import Sequence
from dataclasses import replace

from tests.vectors.second.cases import ledger
from tests.vectors.second.cases.case import Case, accepted, refused, seeded
from tests.vectors.second.components import (
    COMMANDS,
    INPUTS,
    LOCKS,
    NOTARY,
    OUTPUTS,
    PARAMETERS,
    REFERENCES,
    SEALED,
    WINDOW,
    header_bytes,
)
from tests.vectors.second.fields import Object
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.tearoff import Tearoff
from tests.vectors.second.transaction import Component, Hidden, Transaction

_REQUEST = (INPUTS, REFERENCES, NOTARY, WINDOW, PARAMETERS)


def _hex(value: Value) -> Object:
    return {"hex": encode(value).hex()}


def everything(whole: Transaction) -> list[int]:
    """Every position that can be shown."""
    leaves = whole.leaves()
    return [position for position, leaf in enumerate(leaves) if not isinstance(leaf, Hidden)]


def of_groups(whole: Transaction, *groups: int) -> list[int]:
    """The header and all of these groups."""
    places = [(g, n) for g, count in enumerate(whole.counts) for n in range(count)]
    return [0, *(1 + at for at, (group, _) in enumerate(places) if group in groups)]


def without(whole: Transaction, *hidden: tuple[int, int]) -> list[int]:
    gone = {whole.position(group, index) for group, index in hidden}
    return [position for position in everything(whole) if position not in gone]


def tearoffs() -> list[Case]:
    cases = [
        accepted(f"{name}: {what}", "2.7", _hex(whole.tear_off(positions).value))
        for name, whole in ledger.SHAPES.items()
        for what, positions in (
            ("the header alone", [0]),
            ("what a notary sees", of_groups(whole, *_REQUEST)),
            ("everything", everything(whole)),
        )
    ]
    spend = ledger.SPEND
    last = [0, sum(spend.counts)]
    cases += [
        accepted("the last leaf", "2.7", _hex(spend.tear_off(last).value)),
        accepted("every other leaf", "2.7", _hex(spend.tear_off(everything(spend)[::2]).value)),
        accepted(
            "without one seal", "9.1", _hex(spend.tear_off(without(spend, (SEALED, 0))).value)
        ),
        accepted("one of two references", "2.7", _hex(spend.tear_off([0, 2]).value)),
    ]
    return [*cases, *_altered(), *_refused_positions(), *_refused_leaves(), *_refused_shapes()]


def _altered() -> list[Case]:
    """Changes that no check inside a tear-off can see: they lead to another id."""
    torn = ledger.SPEND.tear_off([0, 1, 4])
    leaf = torn.leaves[1]
    note = "Leads to another id than the transaction's; the id is all that a tear-off proves."
    changed = {
        "an altered nonce": _with_leaf(torn, 1, bytes([leaf[0] ^ 1]) + leaf[1:]),
        "an altered component": _with_leaf(torn, 1, leaf[:-1] + bytes([leaf[-1] ^ 1])),
        "an altered proof": replace(torn, proof=bytes([torn.proof[0] ^ 1]) + torn.proof[1:]),
        "hashes of the proof in another order": replace(
            torn, proof=torn.proof[32:64] + torn.proof[:32] + torn.proof[64:]
        ),
    }
    return [accepted(name, "2.7", _hex(one.value), note) for name, one in changed.items()]


def _with_leaf(torn: Tearoff, at: int, leaf: bytes) -> Tearoff:
    return replace(torn, leaves=(*torn.leaves[:at], leaf, *torn.leaves[at + 1 :]))


def _refused_positions() -> list[Case]:
    spend = ledger.SPEND
    torn = spend.tear_off([0, 2, 4])
    beyond = 1 + sum(spend.counts)
    listed = {
        "no position": Tearoff((), (), torn.proof),
        "positions that do not begin with 0": Tearoff((2, 4), torn.leaves[1:], torn.proof),
        "a position twice": Tearoff((0, 2, 2), (*torn.leaves[:2], torn.leaves[1]), torn.proof),
        "the header twice": Tearoff((0, 0, 2), (torn.leaves[0], *torn.leaves[:2]), torn.proof),
        "positions that descend": Tearoff((0, 4, 2), torn.leaves, torn.proof),
        "a position outside the tree": replace(torn, positions=(0, 2, beyond)),
        "the last position that a u16 names": replace(torn, positions=(0, 2, 65_535)),
        "a leaf fewer than positions": replace(torn, leaves=torn.leaves[:-1]),
        "a leaf more than positions": replace(torn, leaves=(*torn.leaves, torn.leaves[-1])),
        "no leaf": replace(torn, leaves=()),
        "a proof with a hash too many": replace(torn, proof=torn.proof + bytes(32)),
        "a proof with a hash too few": replace(torn, proof=torn.proof[:-32]),
        "no proof": replace(torn, proof=b""),
        "a proof with a byte too many": replace(torn, proof=torn.proof + b"\x00"),
        "a proof with a byte too few": replace(torn, proof=torn.proof[:-1]),
        "a hash where everything is shown": replace(
            spend.tear_off(everything(spend)), proof=bytes(32)
        ),
    }
    return [refused(name, "2.7", _hex(torn.value)) for name, torn in listed.items()]


def _refused_leaves() -> list[Case]:
    torn = ledger.SPEND.tear_off([0, 1, 2])
    header, first = torn.leaves[0], torn.leaves[1]
    two_notaries = header_bytes((*ledger.SPEND.counts[:7], 2, 1, 1))
    later = header.replace(b"carecord/tx/1", b"carecord/tx/2")
    other = {
        "a leaf of another group": _with_leaf(torn, 1, first[:32] + b"\x01" + first[33:]),
        "leaves of two groups exchanged": replace(torn, leaves=(header, *torn.leaves[:0:-1])),
        "a leaf of group 255": _with_leaf(torn, 1, first[:32] + b"\xff" + first[33:]),
    }
    short = {
        "a leaf without component": _with_leaf(torn, 1, first[:33]),
        "a leaf without group": _with_leaf(torn, 1, first[:32]),
        "an empty leaf": _with_leaf(torn, 1, b""),
        "a component of 65,537 bytes": _with_leaf(torn, 1, first[:33] + bytes(65_537)),
    }
    cases = [refused(name, "2.7", _hex(one.value)) for name, one in other.items()]
    for name, one in short.items():
        given = _hex(one.value)
        if len(one.leaves[1]) > 65_536:
            whole = str(given["hex"])
            given = {"hex": whole.replace("00" * 65_537, " 00*65537 ")}
        cases.append(refused(name, "2.2", given))
    return [
        *cases,
        refused("a header with two notaries", "2.1", _hex(_with_leaf(torn, 0, two_notaries).value)),
        refused("a header of a later version", "1.3", _hex(_with_leaf(torn, 0, later).value)),
        refused("an empty header", "1.2", _hex(_with_leaf(torn, 0, b"").value)),
        refused(
            "a header with a trailing byte",
            "1.2",
            _hex(_with_leaf(torn, 0, header + b"\x00").value),
        ),
    ]


def _refused_shapes() -> list[Case]:
    torn = ledger.LEAST.tear_off([0, 1])
    shapes: dict[str, Value] = {
        "a later tag": ("tearoff/2", torn.positions, torn.leaves, torn.proof),
        "no tag": (torn.positions, torn.leaves, torn.proof),
        "a surplus field": ("tearoff/1", torn.positions, torn.leaves, torn.proof, None),
        "a missing field": ("tearoff/1", torn.positions, torn.leaves),
        "a proof as an array of hashes": ("tearoff/1", torn.positions, torn.leaves, (torn.proof,)),
        "a position of 65,536": ("tearoff/1", (0, 65_536), torn.leaves, torn.proof),
        "a negative position": ("tearoff/1", (-1, 1), torn.leaves, torn.proof),
        "a position that is false": ("tearoff/1", (False, 1), torn.leaves, torn.proof),
        "a leaf that is text": ("tearoff/1", torn.positions, (torn.leaves[0], "leaf"), torn.proof),
        "a leaf that is nil": ("tearoff/1", torn.positions, (torn.leaves[0], None), torn.proof),
    }
    good = encode(torn.value).hex()
    return [
        *(refused(name, "1.3", _hex(value)) for name, value in shapes.items()),
        refused("a trailing byte", "1.2", {"hex": good + "00"}),
        refused("cut short", "1.2", {"hex": good[:-2]}),
        refused("a position as uint 8", "1.2", {"hex": good.replace("920001", "9200cc01", 1)}),
        refused("a map of fields", "1.1", {"hex": "84" + good[2:]}),
        refused("nothing", "1.2", {"hex": ""}),
    ]


def structures() -> list[Case]:
    cases = [
        accepted(f"{name}: everything", "7.3", _shown(whole, everything(whole)))
        for name, whole in ledger.SHAPES.items()
    ]
    spend = ledger.SPEND
    pair, seals = [(OUTPUTS, 1), (LOCKS, 1)], [(SEALED, 0), (SEALED, 1)]
    cases += [
        accepted("without seals", "7.3", _shown(spend, without(spend, *seals))),
        accepted("an output with its lock hidden", "7.3", _shown(spend, without(spend, *pair))),
        accepted("a lock without its output", "7.7", _shown(spend, without(spend, pair[0]))),
        refused("an output without its lock", "7.7", _shown(spend, without(spend, pair[1]))),
    ]
    cases += [
        refused(f"without {name}", "7.2", _shown(spend, without(spend, (group, 0))))
        for name, group in (
            ("its input", INPUTS),
            ("one reference", REFERENCES),
            ("its command", COMMANDS),
            ("notary", NOTARY),
            ("window", WINDOW),
            ("parameters", PARAMETERS),
        )
    ]
    return [*cases, *_refused_components()]


def _shown(whole: Transaction, positions: Sequence[int]) -> Object:
    return _hex(whole.tear_off(positions).value)


def _refused_components() -> list[Case]:
    spend, label = ledger.SPEND, seeded("label", 16)
    locks = [encode((label, seeded(f"digest {n}"))) for n in range(2)]
    absent = ledger.seal("absent", (2, 9))
    both = ledger.with_group(spend, REFERENCES, *spend.groups[INPUTS])
    listed: dict[str, tuple[str, Transaction]] = {
        "an input twice": ("7.3", ledger.TWICE),
        "an input that is also a reference": ("7.3", both),
        "a label twice": ("7.7", ledger.with_group(spend, LOCKS, *locks)),
        "a window of length 0": ("2.6", _replaced(WINDOW, encode((5, 5)))),
        "a notary that is no DID": ("1.5", _replaced(NOTARY, encode("notary"))),
        "parameters of 31 bytes": ("1.3", _replaced(PARAMETERS, encode(bytes(31)))),
        "a seal about what does not exist": ("2.5", _replaced(SEALED, absent)),
        "a command in which bytes trail": (
            "1.2",
            _replaced(COMMANDS, ledger.command("patient") + b"\x00"),
        ),
        "a later command": ("1.3", _replaced(COMMANDS, encode(("command/2", b"\x90", ())))),
    }
    return [
        refused(name, clause, _shown(whole, everything(whole)))
        for name, (clause, whole) in listed.items()
    ]


def _replaced(group: int, component: Component) -> Transaction:
    return ledger.with_group(ledger.SPEND, group, component)
