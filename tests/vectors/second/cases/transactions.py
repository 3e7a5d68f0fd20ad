"""Transaction ids and proofs for several leaves: §2.1, §2.2, §2.7."""

from tests.vectors.second import merkle
from tests.vectors.second.cases import ledger
from tests.vectors.second.cases.case import Case, accepted, refused, seeded
from tests.vectors.second.components import (
    ATTACHMENTS,
    COMMANDS,
    GROUPS,
    LOCKS,
    NOTARY,
    OUTPUTS,
    PARAMETERS,
    SEALED,
    WINDOW,
)
from tests.vectors.second.fields import Json, Object, hexes
from tests.vectors.second.transaction import Component, Hidden, Sealed, Transaction


def transactions() -> list[Case]:
    cases = [accepted(name, "2.2", given(whole)) for name, whole in ledger.SHAPES.items()]
    return [*cases, *_sizes(), *_refused_counts(), *_refused_components()]


def given(whole: Transaction) -> Object:
    groups: Object = {
        name: [_component(one) for one in group]
        for name, group in zip(GROUPS, whole.groups, strict=True)
    }
    return {"salt": whole.salt.hex(), "groups": groups}


def _component(component: Component) -> Json:
    if isinstance(component, Hidden):
        return {"leaf_hash": component.leaf_hash.hex()}
    if isinstance(component, Sealed):
        return {"nonce": component.nonce.hex(), "component": component.component.hex()}
    return component.hex()


def _with_text(whole: Transaction, group: int, *components: Json) -> Object:
    """The input with one group written by hand: for long components, and for wrong ones."""
    changed = given(whole)
    groups = changed["groups"]
    if isinstance(groups, dict):
        groups[GROUPS[group]] = list(components)
    return changed


def _sizes() -> list[Case]:
    longest = _with_text(ledger.LEAST, ATTACHMENTS, "00*65536")
    note = "What a component says plays no part in the id."
    return [
        accepted("a component of one byte", "2.2", _with_text(ledger.LEAST, COMMANDS, "c0"), note),
        accepted("a component of 65,536 bytes", "2.2", longest, note),
        refused("an empty component", "2.2", _with_text(ledger.LEAST, COMMANDS, "")),
        refused("65,537 bytes", "2.2", _with_text(ledger.LEAST, COMMANDS, "00*65537")),
    ]


def _refused_counts() -> list[Case]:
    least, issue, twice = ledger.LEAST, ledger.ISSUE, ("c0", "c1")
    return [
        refused("an output without lock", "2.1", _with_text(issue, LOCKS)),
        refused("a lock without output", "2.1", _with_text(issue, OUTPUTS)),
        refused("no command", "2.1", _with_text(least, COMMANDS)),
        refused("two notaries", "2.1", _with_text(least, NOTARY, *twice)),
        refused("no notary", "2.1", _with_text(least, NOTARY)),
        refused("two windows", "2.1", _with_text(least, WINDOW, *twice)),
        refused("no parameters", "2.1", _with_text(least, PARAMETERS)),
    ]


def _refused_components() -> list[Case]:
    own: Object = {"nonce": seeded("nonce").hex(), "component": "c0"}
    short: Object = {"nonce": seeded("nonce", 31).hex(), "component": "c0"}
    empty: Object = {"nonce": seeded("nonce").hex(), "component": ""}
    hidden: Object = {"leaf_hash": seeded("hidden").hex()}
    cut: Object = {"leaf_hash": seeded("hidden", 31).hex()}
    least = ledger.LEAST
    return [
        refused("a salt of 31 bytes", "2.2", given(least) | {"salt": seeded("salt", 31).hex()}),
        refused("a seal without nonce", "2.2", _with_text(least, SEALED, "c0")),
        refused("a seal whose nonce has 31 bytes", "2.2", _with_text(least, SEALED, short)),
        refused("an empty seal", "2.2", _with_text(least, SEALED, empty)),
        refused("a leaf hash of 31 bytes", "2.2", _with_text(least, SEALED, cut)),
        refused("a command with a nonce of its own", "2.2", _with_text(least, COMMANDS, own)),
        refused("a command by its leaf hash", "2.2", _with_text(least, COMMANDS, hidden)),
    ]


def multiproofs() -> list[Case]:
    cases = [
        accepted(f"{size} leaves, shown {list(shown)}", "2.7", _proof(size, shown))
        for size, shown in (
            (1, (0,)),
            (2, (0,)),
            (2, (0, 1)),
            (3, (0,)),
            (3, (0, 2)),
            (5, (0, 4)),
            (7, (0, 3, 6)),
            (8, (0,)),
            (8, (0, 7)),
            (8, tuple(range(8))),
            (13, (0, 1, 2, 12)),
            (64, (0, 31, 32)),
            (65, (0, 64)),
            (100, (0, 10, 20, 30, 99)),
        )
    ]
    return cases + _refused_proofs()


def _leaf_hashes(size: int) -> list[bytes]:
    return [merkle.leaf_hash(seeded(f"leaf {n}")) for n in range(size)]


def _proof(size: int, shown: tuple[int, ...]) -> Object:
    hashes = _leaf_hashes(size)
    leaves: list[Json] = [{"position": n, "leaf_hash": hashes[n].hex()} for n in shown]
    proof = hexes(merkle.multiproof(hashes, frozenset(shown)))
    return {"size": size, "shown": leaves, "proof": proof}


def _refused_proofs() -> list[Case]:
    shown = (0, 3, 6)
    whole = _proof(7, shown)
    hashes = whole["proof"]
    proof = list(hashes) if isinstance(hashes, list) else []
    more = seeded("surplus").hex()
    return [
        refused("no proof", "2.7", whole | {"proof": []}),
        refused("a hash too few, at the end", "2.7", whole | {"proof": proof[:-1]}),
        refused("a hash too few, at the beginning", "2.7", whole | {"proof": proof[1:]}),
        refused("a hash too many", "2.7", whole | {"proof": [*proof, more]}),
        refused("a hash where all leaves are shown", "2.7", _proof(2, (0, 1)) | {"proof": [more]}),
        refused("a position outside the tree", "2.7", _proof(7, shown) | {"size": 6}),
        refused("a proof for a larger tree", "2.7", _proof(9, shown) | {"size": 7}),
    ]
