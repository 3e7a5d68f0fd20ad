"""Size classes hide lengths, cost little, and leave no chunk too short for its own frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.blobs.cid import CHUNK_SIZE
from app.blobs.sizes import (
    CLASS_MAX,
    CLASS_MIN,
    CONTENT_SIZE,
    LENGTH_MAX,
    chunk_count,
    chunk_size,
    content_chunks,
    content_size,
    is_size_class,
    path_size,
    size_class,
)

lengths = st.integers(0, LENGTH_MAX) | st.integers(0, 3 << 20)


def test_a_record_of_820_bytes_is_4096_bytes_of_ciphertext() -> None:
    assert size_class(820) == 4_096


def test_the_smallest_class_ends_where_its_frame_leaves_no_room() -> None:
    assert (size_class(0), size_class(4_056), size_class(4_057)) == (4_096, 4_096, 8_192)


def test_the_largest_document_is_one_gibibyte_of_ciphertext() -> None:
    assert size_class(LENGTH_MAX) == CLASS_MAX == 1 << 30
    with pytest.raises(ValueError, match="does not fit"):
        size_class(LENGTH_MAX + 1)


@given(lengths)
def test_a_class_is_its_own_class_and_its_chunks_add_up(length: int) -> None:
    size = size_class(length)
    assert is_size_class(size)
    sizes = [chunk_size(size, index) for index in range(chunk_count(size))]
    assert sum(sizes) == size
    assert set(sizes[:-1]) <= {CHUNK_SIZE}
    assert CLASS_MIN <= sizes[-1] <= CHUNK_SIZE


@given(lengths)
def test_content_fills_its_chunks_and_every_one_fits(length: int) -> None:
    size, chunks = size_class(length), content_chunks(length)
    assert chunks <= chunk_count(size)
    assert sum(content_size(length, index) for index in range(chunks)) == length
    for index in {0, chunks // 2, chunks - 1}:
        frame = 16 + 8 + path_size(length, index) + 16
        assert frame + content_size(length, index) <= chunk_size(size, index)


@given(st.integers(CONTENT_SIZE * 5, LENGTH_MAX))
def test_above_a_mebibyte_padding_costs_at_most_an_eighth(length: int) -> None:
    assert size_class(length) <= length * 1.12


@given(lengths, lengths)
def test_a_longer_document_is_never_of_a_smaller_class(one: int, other: int) -> None:
    short, long = sorted((one, other))
    assert size_class(short) <= size_class(long)


def test_there_are_few_classes() -> None:
    step = 4_096
    assert len({size_class(length) for length in range(0, 64 << 20, step)}) < 220


@pytest.mark.parametrize("size", [0, 1, 4_095, 4_097, 12_288, (1 << 20) + 4_096, CLASS_MAX * 2])
def test_other_sizes_are_no_class(size: int) -> None:
    assert not is_size_class(size)
