"""Locks, nullifiers and openings: §4."""

from dataclasses import replace

from tests.vectors.second.cases import ledger
from tests.vectors.second.cases.case import Case, accepted, key_of, refused, seeded
from tests.vectors.second.cases.policies import ascending
from tests.vectors.second.components import LOCKS
from tests.vectors.second.fields import Object
from tests.vectors.second.keys import One, Policy, Threshold, policy_digest
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.spending import lock_digest, nullifier
from tests.vectors.second.transaction import Transaction

_AT = 20_852_163


def locks() -> list[Case]:
    secret, label = seeded("secret").hex(), seeded("label", 16).hex()
    other: Object = {"secret": secret, "label": seeded("another label", 16).hex()}
    issue: Object = {
        "secret": seeded("issue 0 secret").hex(),
        "label": seeded("issue 0 label", 16).hex(),
    }
    return [
        accepted("a secret and a label", "4.2", {"secret": secret, "label": label}),
        accepted("the secret under another label", "4.2", other),
        accepted("a secret of 64 bytes", "4.2", {"secret": secret * 2, "label": label}),
        accepted("a label of zero bytes", "4.2", {"secret": secret, "label": "00*16"}),
        accepted("the lock of the transaction named `issue`", "4.2", issue),
    ]


def nullifiers() -> list[Case]:
    salt, tx = seeded("lock salt"), seeded("transaction")

    def given(
        index: int, salt: bytes = salt, tx: bytes = tx, of_index: int | None = None
    ) -> Object:
        found = nullifier(salt, (tx, index if of_index is None else of_index))
        ref: Object = {"transaction": tx.hex(), "index": index}
        return {"salt": salt.hex()} | ref | {"nullifier": found.hex()}

    wrong_salt = given(1) | {"salt": seeded("another salt").hex()}
    wrong_tx = given(1) | {"transaction": seeded("another transaction").hex()}
    return [
        accepted("index 0", "4.5", given(0)),
        accepted("index 1", "4.5", given(1)),
        accepted("index 256, big-endian", "4.5", given(256)),
        accepted("index 65,535", "4.5", given(65_535)),
        refused("of another index", "4.5", given(1, of_index=2)),
        refused("of the index in little-endian", "4.5", given(1, of_index=256)),
        refused("of another salt", "4.5", wrong_salt),
        refused("of another transaction", "4.5", wrong_tx),
    ]


def openings() -> list[Case]:
    issue, spend = ledger.ISSUE, ledger.SPEND
    shared, team, salt = _team_locked()
    refers: Value = (salt, policy_digest(team), 0, _torn(shared, 0))
    return [
        accepted("to spend", "4.3", _given("spend", issue, 0, _spend("issue 0", issue, 0))),
        accepted(
            "to spend the second", "4.3", _given("spend", spend, 1, _spend("spend 1", spend, 1))
        ),
        accepted("to refer", "4.3", _given("refer", issue, 0, _refer("issue 0", issue, 0))),
        accepted(
            "to spend under a threshold",
            "4.3",
            _given("spend", shared, 0, (salt, team.value, 2**63 - 1, _torn(shared, 0))),
        ),
        accepted("to refer under a threshold", "4.3", _given("refer", shared, 0, refers)),
        *_refused_openings(),
        *_refused_shapes(),
    ]


def _torn(whole: Transaction, *indices: int) -> Value:
    return whole.tear_off([0, *(whole.position(LOCKS, index) for index in indices)]).value


def _spend(owner: str, whole: Transaction, index: int) -> tuple[Value, ...]:
    own = ledger.locked(owner)
    return (own.salt, own.policy.value, _AT, _torn(whole, index))


def _refer(owner: str, whole: Transaction, index: int) -> tuple[Value, ...]:
    own = ledger.locked(owner)
    return (own.salt, policy_digest(own.policy), _AT, _torn(whole, index))


def _given(kind: str, whole: Transaction, index: int, opening: Value) -> Object:
    ref: Object = {"transaction": whole.id().hex(), "index": index}
    return {"kind": kind} | ref | {"hex": encode(opening).hex()}


def _team_locked() -> tuple[Transaction, Policy, bytes]:
    """A transaction whose only lock asks for two of three keys."""
    three = (One(key_of(f"owner {n}")) for n in range(3))
    team = Threshold(2, ascending(*((1, policy) for policy in three)))
    salt = seeded("team salt")
    lock = encode((seeded("team label", 16), lock_digest(salt, policy_digest(team))))
    return ledger.with_group(ledger.ISSUE, LOCKS, lock), team, salt


def _refused_openings() -> list[Case]:
    issue, spend = ledger.ISSUE, ledger.SPEND
    salt, policy, at, torn = _spend("issue 0", issue, 0)
    other = ledger.locked("spend 1")
    _, digest, _, _ = _refer("issue 0", issue, 0)
    altered = replace(issue.tear_off([0, 2]), proof=bytes(32 * 3))
    unfit: dict[str, tuple[str, Value]] = {
        "another salt": ("spend", (other.salt, policy, at, torn)),
        "another policy": ("spend", (salt, other.policy.value, at, torn)),
        "another policy's digest": ("refer", (salt, policy_digest(other.policy), at, torn)),
        "another salt, to refer": ("refer", (other.salt, digest, at, torn)),
    }
    elsewhere: dict[str, Value] = {
        "the header alone": (salt, policy, at, issue.tear_off([0]).value),
        "the output and not its lock": (salt, policy, at, issue.tear_off([0, 1]).value),
        "another transaction's tear-off": (salt, policy, at, _torn(spend, 0)),
        "an altered proof": (salt, policy, at, altered.value),
        "the output beside its lock": (salt, policy, at, issue.tear_off([0, 1, 2]).value),
    }
    cases = [
        refused(name, "4.1", _given(kind, issue, 0, opening))
        for name, (kind, opening) in unfit.items()
    ]
    cases += [
        refused(name, "4.3", _given("spend", issue, 0, opening))
        for name, opening in elsewhere.items()
    ]
    of_first = _spend("spend 0", spend, 0)
    both = (*of_first[:3], _torn(spend, 0, 1))
    return [
        *cases,
        refused("both locks", "4.3", _given("spend", spend, 0, both)),
        refused("the lock of another index", "4.3", _given("spend", spend, 1, of_first)),
        refused("both locks, and the opening of the other", "4.3", _given("spend", spend, 1, both)),
        refused("an index without output", "4.3", _given("spend", spend, 2, of_first)),
    ]


def _refused_shapes() -> list[Case]:
    issue = ledger.ISSUE
    salt, policy, at, torn = _spend("issue 0", issue, 0)
    _, digest, _, _ = _refer("issue 0", issue, 0)
    shapes: dict[str, tuple[str, Value]] = {
        "a salt of 31 bytes": ("spend", (bytes(31), policy, at, torn)),
        "an index in the log of 2^63": ("spend", (salt, policy, 2**63, torn)),
        "a surplus field": ("spend", (salt, policy, at, torn, None)),
        "a missing field": ("spend", (salt, policy, at)),
        "a policy's digest, to spend": ("spend", (salt, digest, at, torn)),
        "a policy, to refer": ("refer", (salt, policy, at, torn)),
        "a tear-off as bytes": ("spend", (salt, policy, at, encode(torn))),
    }
    return [
        refused(name, "1.3", _given(kind, issue, 0, opening))
        for name, (kind, opening) in shapes.items()
    ]
