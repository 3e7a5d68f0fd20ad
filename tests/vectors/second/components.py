"""The header and the ten kinds of component, each read strictly (§2.1, §2.3 to §2.6, §4.1)."""

import re
from collections.abc import Callable, Iterator

from tests.vectors.second import shapes
from tests.vectors.second.keys import read_did, read_policy, strictly_ascending
from tests.vectors.second.msgpack import Value, decode, encode
from tests.vectors.second.refusal import require

GROUPS = (
    "inputs",
    "references",
    "outputs",
    "locks",
    "commands",
    "sealed",
    "attachments",
    "notary",
    "window",
    "parameters",
)
INPUTS, REFERENCES, OUTPUTS, LOCKS, COMMANDS, SEALED, ATTACHMENTS, NOTARY, WINDOW, PARAMETERS = (
    range(10)
)
MOST_LEAVES = 65_536
MOST_BYTES = 65_536
_CONTRACT = re.compile(r"[a-z][a-z-]*/[1-9][0-9]{0,3}", re.ASCII)
_READER = re.compile(r"[a-z-]{1,16}", re.ASCII)

Counts = tuple[int, ...]


def header_bytes(counts: Counts) -> bytes:
    return encode(("carecord/tx/1", tuple(counts)))


def read_header(data: bytes) -> Counts:
    """The counts of the ten groups (§2.1)."""
    (counts_value,) = shapes.tagged(decode(data), "carecord/tx/1", 1)
    counts = tuple(shapes.integer(one, shapes.U16) for one in shapes.untagged(counts_value, 10))
    check_counts(counts)
    return counts


def check_counts(counts: Counts) -> None:
    require(counts[OUTPUTS] == counts[LOCKS], "2.1", "outputs and locks differ in number")
    require(counts[COMMANDS] >= 1, "2.1", "no command")
    for group in (NOTARY, WINDOW, PARAMETERS):
        require(counts[group] == 1, "2.1", f"not just one {GROUPS[group]}")
    require(1 + sum(counts) <= MOST_LEAVES, "2.1", "more than 65,536 leaves")


def places(counts: Counts) -> Iterator[tuple[int, int]]:
    """Group and index of each leaf behind the header, in order (§2.2)."""
    for group, count in enumerate(counts):
        for index in range(count):
            yield group, index


def position_of(counts: Counts, group: int, index: int) -> int:
    """Which leaf a component is (§2.2)."""
    require(index < counts[group], "2.1", "a component that does not exist")
    return 1 + sum(counts[:group]) + index


def check_size(component: bytes) -> None:
    require(1 <= len(component) <= MOST_BYTES, "2.2", "a component outside 1 … 65,536 bytes")


def read_component(group: int, component: bytes, counts: Counts | None = None) -> Value:
    """The value of a component, if it is what its group asks for.

    With the header's counts, what a seal is about must also exist (§2.5).
    """
    check_size(component)
    value = decode(component)
    if group == SEALED:
        _check_sealed(value, counts)
    else:
        _CHECKS[group](value)
    return value


def _check_reference(value: Value) -> None:
    read_state_ref(value)


def read_state_ref(value: Value) -> tuple[bytes, int]:
    """`{tx b32, index u16}` (§2.3)."""
    tx, index = shapes.untagged(value, 2)
    return shapes.exactly(tx, 32), shapes.integer(index, shapes.U16)


def _check_state(value: Value) -> None:
    """`state/1{contract text, notary DID, data bytes}` (§2.3)."""
    contract_value, notary, data_value = shapes.tagged(value, "state/1", 3)
    contract, data = shapes.text(contract_value), shapes.blob(data_value)
    require(_CONTRACT.fullmatch(contract) is not None, "2.3", "a contract's name misspelt")
    read_did(shapes.text(notary))
    require(1 <= len(data) <= MOST_BYTES, "2.3", "data outside 1 … 65,536 bytes")
    require(shapes.tag_of(decode(data)) == contract, "2.3", "data of another tag than its contract")


def read_lock(value: Value) -> tuple[bytes, bytes]:
    """`{label b16, digest b32}` (§4.1)."""
    label, digest = shapes.untagged(value, 2)
    return shapes.exactly(label, 16), shapes.exactly(digest, 32)


def _check_lock(value: Value) -> None:
    read_lock(value)


def _check_command(value: Value) -> None:
    """`command/1{data bytes, signers (Policy, …)}` (§2.4)."""
    data, signers_value = shapes.tagged(value, "command/1", 2)
    require(len(shapes.blob(data)) >= 1, "2.4", "data of no bytes")
    signers = shapes.items(signers_value)
    require(1 <= len(signers) <= 16, "2.4", "signers outside 1 … 16")
    encodings = (encode(read_policy(signer).value) for signer in signers)
    require(strictly_ascending(encodings), "2.4", "signers that do not ascend by their encoding")


def _check_sealed(value: Value, counts: Counts | None) -> None:
    """`sealed/1{readers (text, …), about {group u8, index u16}, data bytes}` (§2.5)."""
    readers_value, about, data = shapes.tagged(value, "sealed/1", 3)
    readers = [shapes.text(reader) for reader in shapes.items(readers_value)]
    require(1 <= len(readers) <= 8, "2.5", "readers outside 1 … 8")
    spelt = all(_READER.fullmatch(reader) for reader in readers)
    require(spelt, "2.5", "a reader's name misspelt")
    in_order = strictly_ascending(reader.encode() for reader in readers)
    require(in_order, "2.5", "readers that do not ascend")
    group_value, index_value = shapes.untagged(about, 2)
    group = shapes.integer(group_value, shapes.U8)
    index = shapes.integer(index_value, shapes.U16)
    require(len(shapes.blob(data)) >= 1, "2.5", "data of no bytes")
    if counts is not None:
        exists = group < len(counts) and index < counts[group]
        require(exists, "2.5", "a seal about a component that does not exist")


def _check_digest(value: Value) -> None:
    shapes.exactly(value, 32)


def _check_notary(value: Value) -> None:
    read_did(shapes.text(value))


def read_window(value: Value) -> tuple[int, int]:
    """`{from ms, until ms}`, half open (§2.6)."""
    start_value, until_value = shapes.untagged(value, 2)
    start = shapes.integer(start_value, shapes.U63)
    until = shapes.integer(until_value, shapes.U63)
    require(start < until, "2.6", "a window that is empty")
    return start, until


def _check_window(value: Value) -> None:
    read_window(value)


_CHECKS: dict[int, Callable[[Value], None]] = {
    INPUTS: _check_reference,
    REFERENCES: _check_reference,
    OUTPUTS: _check_state,
    LOCKS: _check_lock,
    COMMANDS: _check_command,
    ATTACHMENTS: _check_digest,
    NOTARY: _check_notary,
    WINDOW: _check_window,
    PARAMETERS: _check_digest,
}
