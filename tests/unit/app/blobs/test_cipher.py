"""A document comes back whole or not at all, and a refusal says which fault it met."""

import io
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256, shake_256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.blobs import errors
from app.blobs.cid import CHUNK_SIZE, cid_of
from app.blobs.cipher import BlobOpener, Sealed, open_chunk, open_stream, seal
from app.blobs.sizes import CONTENT_SIZE, LENGTH_MAX, size_class
from states.crypto.hashes import hkdf, hmac_sha256
from states.crypto.merkle import root_of
from states.errors import OverLimit
from tests.attack.bad_input import said

KEY = sha256(b"data key").digest()
OTHER_KEY = sha256(b"another data key").digest()


def document(length: int) -> bytes:
    return shake_256(b"document").digest(length)


def sealed(content: bytes, key: bytes = KEY) -> tuple[list[bytes], Sealed]:
    sealing = seal(io.BytesIO(content), key)
    chunks = list(sealing)
    return chunks, sealing.sealed


SMALL = document(820)
LARGE = document(3 * CONTENT_SIZE + 5)
SMALL_CHUNKS, SMALL_SEALED = sealed(SMALL)
LARGE_CHUNKS, LARGE_SEALED = sealed(LARGE)


def opener(of: Sealed, key: bytes = KEY) -> BlobOpener:
    return BlobOpener(key, of.commitment, of.size_class)


def opened(chunks: list[bytes], of: Sealed, key: bytes = KEY) -> bytes:
    return b"".join(open_stream(chunks, key, of.commitment, of.size_class))


@pytest.mark.parametrize(
    "length",
    [
        0, 1, 820, 4_056, 4_057, 65_000, CONTENT_SIZE - 1, CONTENT_SIZE, CONTENT_SIZE + 1,
        2 * CONTENT_SIZE, 4 * CONTENT_SIZE + 9, 19 * CONTENT_SIZE + 3,
    ],
)  # fmt: skip
def test_a_document_comes_back_as_it_was(length: int) -> None:
    content = document(length)
    chunks, of = sealed(content)
    assert opened(chunks, of) == content
    assert sum(map(len, chunks)) == of.size_class == size_class(length)
    assert {len(chunk) for chunk in chunks[:-1]} <= {CHUNK_SIZE}
    assert of.cid == str(cid_of(chunks))
    assert of.length == length


@given(st.binary(max_size=9_000), st.binary(min_size=32, max_size=32))
def test_any_document_under_any_key_comes_back(content: bytes, key: bytes) -> None:
    chunks, of = sealed(content, key)
    assert opened(chunks, of, key) == content


def test_the_commitment_is_the_formula_of_the_specification() -> None:
    salt = hkdf(KEY, b"", "commitment-salt")
    leaves = [
        sha256(
            b"\0"
            + hmac_sha256(salt, index.to_bytes(8, "big"))
            + LARGE[index * 261_720 : (index + 1) * 261_720]
        ).digest()
        for index in range(4)
    ]
    assert LARGE_SEALED.commitment == root_of(leaves)
    assert CONTENT_SIZE == 261_720


def test_a_chunk_is_the_bytes_of_the_specification() -> None:
    place = hmac_sha256(hkdf(KEY, b"", "blob-place"), b"\0\0\0\0\1")[:16]
    body = (820).to_bytes(8, "big") + SMALL
    cipher = AESGCM(hkdf(KEY, b"", "blob-cipher"))
    assert [
        place + cipher.encrypt(bytes(11) + b"\1", body + bytes(4_064 - len(body)), None)
    ] == SMALL_CHUNKS


def test_sealing_again_gives_the_same_bytes_and_another_key_quite_others() -> None:
    assert sealed(SMALL) == (SMALL_CHUNKS, SMALL_SEALED)
    _, other = sealed(SMALL, OTHER_KEY)
    assert other.commitment != SMALL_SEALED.commitment
    assert other.cid != SMALL_SEALED.cid


def test_chunks_open_alone_and_in_any_order() -> None:
    for index in (3, 0, 2, 1):
        content = open_chunk(
            index, LARGE_CHUNKS[index], KEY, LARGE_SEALED.commitment, LARGE_SEALED.size_class
        )
        assert content == LARGE[index * CONTENT_SIZE : (index + 1) * CONTENT_SIZE]


def test_padding_chunks_hold_nothing_and_are_checked_too() -> None:
    content = document(2 * CONTENT_SIZE + 5)
    chunks, of = sealed(content)
    assert len(chunks) == 4
    assert opener(of).open_chunk(3, chunks[3]) == b""
    with pytest.raises(errors.ChunkTampered):
        opened([*chunks[:3], flipped(chunks[3], 40_000)], of)


def flipped(chunk: bytes, at: int, bit: int = 0) -> bytes:
    return chunk[:at] + bytes((chunk[at] ^ 1 << bit,)) + chunk[at + 1 :]


@given(st.integers(0, 4_095), st.integers(0, 7))
def test_no_bit_can_be_flipped(at: int, bit: int) -> None:
    with pytest.raises(errors.ChunkTampered) as refusal:
        opened([flipped(SMALL_CHUNKS[0], at, bit)], SMALL_SEALED)
    assert refusal.value.index == 0


def test_nothing_of_an_altered_chunk_is_released_and_all_before_it_is() -> None:
    chunks = [*LARGE_CHUNKS]
    chunks[2] = flipped(chunks[2], 100_000)
    stream = open_stream(chunks, KEY, LARGE_SEALED.commitment, LARGE_SEALED.size_class)
    assert next(stream) + next(stream) == LARGE[: 2 * CONTENT_SIZE]
    with pytest.raises(errors.ChunkTampered) as refusal:
        next(stream)
    assert refusal.value.index == 2


def test_swapped_chunks_are_named() -> None:
    first, second, *rest = LARGE_CHUNKS
    with pytest.raises(errors.ChunkMisplaced) as refusal:
        opened([second, first, *rest], LARGE_SEALED)
    assert (refusal.value.index, refusal.value.belongs_at) == (0, 1)


def test_a_blob_cut_between_chunks_is_truncated() -> None:
    stream = open_stream(LARGE_CHUNKS[:-1], KEY, LARGE_SEALED.commitment, LARGE_SEALED.size_class)
    with pytest.raises(errors.BlobTruncated) as refusal:
        list(stream)
    assert refusal.value.index == 3
    said("truncated", refusal.value)


def test_a_blob_cut_inside_a_chunk_is_truncated() -> None:
    with pytest.raises(errors.BlobTruncated):
        opened([*LARGE_CHUNKS[:-1], LARGE_CHUNKS[-1][:-1]], LARGE_SEALED)
    with pytest.raises(errors.BlobTruncated):
        opened([b""], SMALL_SEALED)


def test_a_cut_blob_is_noticed_even_where_its_size_class_was_changed_to_fit() -> None:
    half = BlobOpener(KEY, LARGE_SEALED.commitment, 2 * CHUNK_SIZE)
    with pytest.raises(errors.BlobMalformed):
        half.open_chunk(0, LARGE_CHUNKS[0])
    with pytest.raises(errors.BlobTruncated):
        half.open_chunk(1, LARGE_CHUNKS[1])


def test_a_chunk_after_the_last_is_refused() -> None:
    with pytest.raises(errors.BlobOverlong):
        opened([*LARGE_CHUNKS, LARGE_CHUNKS[0]], LARGE_SEALED)


def test_another_key_is_told_from_an_altered_chunk() -> None:
    with pytest.raises(errors.WrongDataKey):
        opened(SMALL_CHUNKS, SMALL_SEALED, OTHER_KEY)


def test_a_whole_blob_under_another_commitment_is_refused() -> None:
    other, other_sealed = sealed(document(819))
    with pytest.raises(errors.WrongCommitment):
        opened(other, SMALL_SEALED)
    with pytest.raises(errors.WrongCommitment):
        opened(SMALL_CHUNKS, other_sealed)


def test_one_changed_chunk_by_who_holds_the_key_is_refused_at_that_chunk() -> None:
    changed, _ = sealed(LARGE[: 2 * CONTENT_SIZE] + b"x" + LARGE[2 * CONTENT_SIZE + 1 :])
    stream = open_stream(
        [LARGE_CHUNKS[0], LARGE_CHUNKS[1], *changed[2:]],
        KEY,
        LARGE_SEALED.commitment,
        LARGE_SEALED.size_class,
    )
    assert next(stream) + next(stream) == LARGE[: 2 * CONTENT_SIZE]
    with pytest.raises(errors.WrongCommitment) as refusal:
        next(stream)
    assert refusal.value.index == 2


def resealed(body: bytes) -> list[bytes]:
    """A chunk 0 that only a dishonest holder of the key makes."""
    place = hmac_sha256(hkdf(KEY, b"", "blob-place"), b"\0\0\0\0\1")[:16]
    return [place + AESGCM(hkdf(KEY, b"", "blob-cipher")).encrypt(bytes(11) + b"\1", body, None)]


def test_padding_can_carry_nothing() -> None:
    body = (820).to_bytes(8, "big") + SMALL
    with pytest.raises(errors.BlobMalformed):
        opened(resealed(body.ljust(4_063, b"\0") + b"x"), SMALL_SEALED)
    assert opened(resealed(body.ljust(4_064, b"\0")), SMALL_SEALED) == SMALL


@pytest.mark.parametrize("claimed", [0, 819, 821, 4_056])
def test_a_document_can_be_given_no_other_length(claimed: int) -> None:
    body = claimed.to_bytes(8, "big") + SMALL
    with pytest.raises(errors.BlobRefused):
        opened(resealed(body.ljust(4_064, b"\0")), SMALL_SEALED)


@pytest.mark.parametrize("claimed", [4_057, LENGTH_MAX + 1, (1 << 64) - 1])
def test_a_length_of_another_class_is_refused(claimed: int) -> None:
    with pytest.raises(errors.BlobMalformed):
        opened(resealed(claimed.to_bytes(8, "big").ljust(4_064, b"\0")), SMALL_SEALED)


def test_chunks_of_two_blobs_that_disagree_about_the_length_do_not_mix() -> None:
    longer, _ = sealed(LARGE + b"y")
    whole = opener(LARGE_SEALED)
    whole.open_chunk(0, LARGE_CHUNKS[0])
    with pytest.raises(errors.BlobMalformed):
        whole.open_chunk(1, longer[1])


def test_a_refused_chunk_does_not_spoil_the_right_ones() -> None:
    longer, _ = sealed(LARGE + b"y")
    whole = opener(LARGE_SEALED)
    with pytest.raises(errors.WrongCommitment):
        whole.open_chunk(3, longer[3])
    assert whole.open_chunk(0, LARGE_CHUNKS[0]) == LARGE[:CONTENT_SIZE]


@pytest.mark.parametrize("size", [0, -4_096, 4_097, 1 << 31])
def test_a_size_that_is_no_class_is_refused_before_anything_is_opened(size: int) -> None:
    with pytest.raises(ValueError, match="size class"):
        BlobOpener(KEY, SMALL_SEALED.commitment, size)


class ChangingReader(io.BytesIO):
    """A file that somebody writes to between the two readings."""

    def __init__(self, before: bytes, after: bytes) -> None:
        super().__init__(before)
        self._after: bytes | None = after

    def seek(self, position: int, whence: int = 0) -> int:
        if super().tell() and self._after is not None:
            super().seek(0)
            super().truncate()
            super().write(self._after)
            self._after = None
        return super().seek(position, whence)


@pytest.mark.parametrize("after", [b"b" * 500, b"a" * 499, b"a" * 501])
def test_a_document_that_changes_while_it_is_sealed_is_noticed(after: bytes) -> None:
    with pytest.raises(errors.SourceChanged):
        list(seal(ChangingReader(b"a" * 500, after), KEY))


class ShortReader(io.BytesIO):
    """An unbuffered source: it gives less than it is asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 1_000) if size is not None and size > 0 else size)


def test_a_reader_that_gives_little_at_a_time_makes_the_same_blob() -> None:
    sealing = seal(ShortReader(LARGE), KEY)
    assert list(sealing) == LARGE_CHUNKS


class EndlessReader(io.BytesIO):
    """More than a blob may hold, without the memory for it."""

    def read(self, size: int | None = -1) -> bytes:
        return bytes(size or 0)


def test_a_document_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.blobs.cipher.LENGTH_MAX", 4 * CONTENT_SIZE)
    with pytest.raises(OverLimit):
        seal(EndlessReader(), KEY)


def test_sealed_is_not_known_before_the_last_chunk() -> None:
    sealing = seal(io.BytesIO(LARGE), KEY)
    chunks = iter(sealing)
    next(chunks)
    with pytest.raises(ValueError, match="not all chunks"):
        _ = sealing.sealed


def _peak_bytes(work: Callable[[], int]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_fifty_megabytes_are_sealed_and_opened_in_a_few_chunks_of_memory() -> None:
    content = document(50_000_000)
    reader = io.BytesIO(content)

    def through() -> Iterator[bytes]:
        sealing = seal(reader, KEY)
        blob = BlobOpener(KEY, sealing.commitment, sealing.size_class)
        return blob.open_stream(iter(sealing))

    def work() -> int:
        digest = sha256()
        for piece in through():
            digest.update(piece)
        assert digest.digest() == sha256(content).digest()
        return 0

    assert _peak_bytes(work) < 16 * CHUNK_SIZE
