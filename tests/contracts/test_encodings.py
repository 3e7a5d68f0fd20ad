"""One value of a subject has one encoding: every other form of the same bytes' meaning is refused.

Values are generated, encoded, and encoded again by an encoder of this file's own that may take a longer form wherever
MessagePack has one, surplus fields, another order of what is a set.
"""

from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from states.encoding import Codec, encode
from states.errors import MalformedBytes
from states.ledger import Data
from states.subjects.codes import CATEGORIES, LABELS, OBLIGATIONS, PURPOSES
from states.subjects.consent import Consent
from states.subjects.content import Content
from states.subjects.disclosure import ByConsent, Disclosure, Item, Who
from states.subjects.record import About, MedicalRecord
from states.subjects.restriction import Restriction
from states.subjects.terms import Exceptions, Opening, SubjectAt, Terms
from tests.contracts.cast import ADA, ADA_AND_GUARDIAN, AGENT, LABORATORY, MERCY, RIVERSIDE

T = TypeVar("T")


def some_of(codes: tuple[T, ...]) -> st.SearchStrategy[tuple[T, ...]]:
    """Any set of codes, in its one order."""
    return st.sets(st.sampled_from(codes), max_size=6).map(lambda s: tuple(sorted(s, key=repr)))


b16, b32 = st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32)
party = st.sampled_from([MERCY, RIVERSIDE, LABORATORY, AGENT])
policy = st.sampled_from([ADA, ADA_AND_GUARDIAN])
moment = st.integers(0, (1 << 63) - 2)
blob = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=58, max_size=58).map(lambda t: "b" + t)
size = st.integers(1 << 12, 1 << 30)
version = st.integers(1, (1 << 32) - 1)
content = st.builds(
    Content,
    kind=st.sampled_from(["Observation", "Composition"]),
    code=st.text(max_size=16),
    system=st.text(max_size=40),
    category=st.sampled_from(CATEGORIES),
    labels=some_of(LABELS),
    day=st.none() | st.dates().map(str),
)
terms = st.builds(
    Terms,
    decision=st.just("deny"),
    person=st.none() | b16,
    role=st.none(),
    purposes=some_of(PURPOSES),
    categories=some_of(CATEGORIES),
    labels=some_of(LABELS),
    parties=some_of((MERCY, RIVERSIDE)),
)
consent = st.tuples(moment, moment).filter(lambda span: span[0] != span[1]).flatmap(
    lambda span: st.builds(
        Consent, policy, party, party, party, st.just(min(span)), st.just(max(span))
    )
)  # fmt: skip
values: st.SearchStrategy[Data] = st.one_of(
    st.builds(MedicalRecord, party, version, b32, blob, size),
    st.builds(About, b16, content),
    consent,
    terms,
    st.builds(SubjectAt, party, b16),
    st.builds(Opening, st.integers(0, 0xFFFF), b32, b32),
    st.builds(Exceptions, some_of(CATEGORIES), some_of(LABELS)),
    st.builds(Restriction, policy, party, party, moment),
    st.builds(
        Disclosure,
        party,
        party,
        party,
        st.builds(ByConsent, st.integers(0, 0xFFFF)),
        st.integers(1, 60_000),
        moment,
        moment,
        some_of(OBLIGATIONS),
    ),
    st.builds(
        Who,
        b16,
        st.text(max_size=20),
        st.just("clinician"),
        st.sampled_from(PURPOSES),
        st.binary(max_size=300),
    ),
    st.builds(Item, b32, blob, size, version, content),
)

Tree = None | int | str | bytes | list["Tree"]

# (first byte, size of the length or number) of the forms of a head, shortest first; a fix form is written apart.
INTEGERS = ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8))
TEXTS = ((0xD9, 1), (0xDA, 2), (0xDB, 4))
BYTES = ((0xC4, 1), (0xC5, 2), (0xC6, 4))
ARRAYS = ((0xDC, 2), (0xDD, 4))


def heads(number: int, fix: int, fix_limit: int, forms: tuple[tuple[int, int], ...]) -> list[bytes]:
    """All heads that can say `number`, shortest first."""
    found = [bytes([fix | number])] if number < fix_limit else []
    fitting = [(first, size) for first, size in forms if number < 1 << (8 * size)]
    return found + [bytes([first]) + number.to_bytes(size, "big") for first, size in fitting]


def forms_of(tree: Tree, data: st.DataObject) -> bytes:
    """An encoding of `tree` in which each head is one of its forms."""
    if tree is None:
        return b"\xc0"
    if isinstance(tree, int):
        return data.draw(st.sampled_from(heads(tree, 0x00, 0x80, INTEGERS)))
    if isinstance(tree, str):
        raw = tree.encode()
        return data.draw(st.sampled_from(heads(len(raw), 0xA0, 32, TEXTS))) + raw
    if isinstance(tree, bytes):
        return data.draw(st.sampled_from(heads(len(tree), 0, 0, BYTES))) + tree
    head = data.draw(st.sampled_from(heads(len(tree), 0x90, 16, ARRAYS)))
    return head + b"".join(forms_of(each, data) for each in tree)


def codec_of(value: Data) -> Codec[Data]:
    return Codec(type(value), "subject")


@given(values, st.data())
@settings(max_examples=300, deadline=None)
def test_two_byte_forms_of_one_value_are_not_both_accepted(
    value: Data, data: st.DataObject
) -> None:
    canonical = encode(value)
    codec = codec_of(value)
    assert codec.decode(canonical) == value
    tree: Tree = msgspec.msgpack.decode(canonical)
    other = forms_of(tree, data)
    assert msgspec.msgpack.decode(other) == tree, "it says the same"
    if other != canonical:
        with pytest.raises(MalformedBytes):
            codec.decode(other)


@given(values, st.data())
@settings(max_examples=150, deadline=None)
def test_nothing_is_added_and_no_set_has_another_order(value: Data, data: st.DataObject) -> None:
    tree: list[Tree] = msgspec.msgpack.decode(encode(value))
    codec = codec_of(value)
    for wrong in (encode([*tree, None]), encode(tree[:-1]), encode(value) + b"\xc0"):
        with pytest.raises(MalformedBytes):
            codec.decode(wrong)
    sets = [at for at, field in enumerate(tree) if _is_set(field)]
    if sets:
        at = data.draw(st.sampled_from(sets))
        field = tree[at]
        assert isinstance(field, list)
        for wrong_set in ([*reversed(field)], [*field, field[-1]]):
            with pytest.raises(MalformedBytes):
                codec.decode(encode([*tree[:at], wrong_set, *tree[at + 1 :]]))


def _is_set(field: Tree) -> bool:
    """Two or more texts, and no tagged value: there the first text is the tag."""
    texts = isinstance(field, list) and len(field) > 1 and all(isinstance(f, str) for f in field)
    return texts and isinstance(field, list) and "/" not in str(field[0])


@given(values, st.integers(0, 1 << 16), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_other_bytes_are_another_value_or_none(value: Data, at: int, change: int) -> None:
    canonical = bytearray(encode(value))
    canonical[at % len(canonical)] ^= change
    try:
        found = codec_of(value).decode(bytes(canonical))
    except MalformedBytes:
        return
    assert found != value
