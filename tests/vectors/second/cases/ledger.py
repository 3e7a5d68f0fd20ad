"""Transactions of several shapes, from which ids, tear-offs and openings are made."""

from tests.vectors.second.cases.case import did, key_of, seeded
from tests.vectors.second.components import INPUTS
from tests.vectors.second.digests import network_id
from tests.vectors.second.keys import One
from tests.vectors.second.merkle import leaf_hash
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.spending import OwnLock, own_lock
from tests.vectors.second.transaction import Component, Hidden, Sealed, Transaction

NETWORK = network_id(key_of("founder").value, "carecord.example")
NOTARY = did("notary")
OPENS = 1_764_000_000_000
_HOUR = 3_600_000


def state(name: str, contract: str = "consent/1") -> bytes:
    data = encode((contract, seeded(f"{name} patient", 16), name))
    return encode(("state/1", contract, NOTARY, data))


def locked(name: str) -> OwnLock:
    return own_lock(seeded(f"{name} secret"), seeded(f"{name} label", 16))


def command(*signers: str) -> bytes:
    policies: list[Value] = sorted((One(key_of(name)).value for name in signers), key=encode)
    return encode(("command/1", encode(("grant/1",)), tuple(policies)))


def reference(name: str, index: int = 0) -> bytes:
    return encode((seeded(f"{name} transaction"), index))


def seal(name: str, about: tuple[int, int]) -> Sealed:
    sealed = encode(("sealed/1", ("custodian", "patient"), about, name.encode()))
    return Sealed(seeded(f"{name} nonce"), sealed)


def hide(sealed: Sealed) -> Hidden:
    return Hidden(leaf_hash(sealed.nonce + b"\x05" + sealed.component))


def transaction(
    name: str,
    outputs: int = 0,
    inputs: tuple[bytes, ...] = (),
    references: tuple[bytes, ...] = (),
    sealed: tuple[Component, ...] = (),
    attachments: int = 0,
) -> Transaction:
    """A transaction of that many parts; its locks are `locked(f"{name} {index}")`."""
    names = [f"{name} {index}" for index in range(outputs)]
    return Transaction(
        seeded(f"{name} salt"),
        (
            inputs,
            references,
            tuple(map(state, names)),
            tuple(encode(locked(one).value) for one in names),
            (command("patient", "custodian"),),
            sealed,
            tuple(encode(seeded(f"{name} attachment {n}")) for n in range(attachments)),
            (encode(NOTARY),),
            (encode((OPENS, OPENS + _HOUR)),),
            (encode(seeded("parameters")),),
        ),
    )


def with_group(whole: Transaction, group: int, *components: Component) -> Transaction:
    groups = (*whole.groups[:group], components, *whole.groups[group + 1 :])
    return Transaction(whole.salt, groups)


LEAST = transaction("least")
ISSUE = transaction("issue", outputs=1)
MANY = transaction("many", outputs=12, attachments=3)
SPEND = transaction(
    "spend",
    outputs=2,
    inputs=(encode((ISSUE.id(), 0)),),
    references=(reference("directory"), reference("directory", 1)),
    sealed=(seal("diagnosis", (2, 0)), seal("reason", (4, 0))),
    attachments=1,
)
HIDDEN = with_group(SPEND, 5, seal("diagnosis", (2, 0)), hide(seal("reason", (4, 0))))
ALL_HIDDEN = with_group(SPEND, 5, hide(seal("diagnosis", (2, 0))), hide(seal("reason", (4, 0))))
EIGHT = transaction("eight", outputs=1, attachments=1)  # eight leaves: a full tree
NINE = transaction("nine", outputs=1, attachments=2)
TWICE = with_group(SPEND, INPUTS, reference("directory", 7), reference("directory", 7))

SHAPES = {
    "least: no inputs, no outputs": LEAST,
    "one output": ISSUE,
    "a full tree of eight leaves": EIGHT,
    "nine leaves": NINE,
    "twelve outputs": MANY,
    "inputs, references, seals": SPEND,
    "one seal by its leaf hash": HIDDEN,
    "all seals by their leaf hashes": ALL_HIDDEN,
}
