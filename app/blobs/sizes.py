"""How long a blob is: content in chunks, and classes that hide a document's true length."""

from app.blobs.cid import CHUNK_SIZE
from states.crypto.hashes import HASH_SIZE

PLACE_SIZE = 16  # in the clear before each chunk: which chunk of which key this is
TAG_SIZE = 16  # AES-GCM, after each chunk
HEAD_SIZE = 8  # the document's length, first in each chunk's plaintext
PATH_HASHES_MAX = 12
CONTENT_CHUNKS_MAX = 1 << PATH_HASHES_MAX  # keeps a blob within 1 GiB and a path within 384 bytes
BODY_SIZE = CHUNK_SIZE - PLACE_SIZE - TAG_SIZE
CONTENT_SIZE = BODY_SIZE - HEAD_SIZE - PATH_HASHES_MAX * HASH_SIZE
"""Bytes of the document in each chunk but the last: 261,720."""
LENGTH_MAX = CONTENT_CHUNKS_MAX * CONTENT_SIZE  # bytes of a document: 1,072,005,120

CLASS_MIN = 4_096
CLASS_MAX = CONTENT_CHUNKS_MAX * CHUNK_SIZE  # 1 GiB
_DOUBLING_MAX = 1 << 20


def content_chunks(length: int) -> int:
    """Return how many chunks hold something of a document; an empty one has one, too."""
    return max(1, -(-length // CONTENT_SIZE))


def content_size(length: int, index: int) -> int:
    """Return how many bytes of the document chunk `index` holds; 0 where it is all padding."""
    return min(CONTENT_SIZE, max(0, length - index * CONTENT_SIZE))


def path_size(length: int, index: int) -> int:
    """Return the bytes of the RFC 9162 inclusion path of content chunk `index`."""
    last = content_chunks(length) - 1
    inner = (index ^ last).bit_length()
    return HASH_SIZE * (inner + (index >> inner).bit_count())


def size_class(length: int) -> int:
    """Return the bytes of ciphertext that a document of `length` bytes becomes.

    Powers of two from 4 KiB to 1 MiB; above, Padmé (Nikitin et al., PURBs, PETS 2019 §4), which adds
    at most 1/32 there. Each class leaves a last chunk of at least 4 KiB. ValueError above LENGTH_MAX.
    """
    if not 0 <= length <= LENGTH_MAX:
        raise ValueError(f"a document of {length} bytes does not fit a blob")
    last = content_chunks(length) - 1
    unpadded = PLACE_SIZE + HEAD_SIZE + path_size(length, last) + TAG_SIZE
    return _padded(last * CHUNK_SIZE + unpadded + content_size(length, last))


def is_size_class(size: int) -> bool:
    return CLASS_MIN <= size <= CLASS_MAX and _padded(size) == size


def chunk_count(blob_size: int) -> int:
    return -(-blob_size // CHUNK_SIZE)


def chunk_size(blob_size: int, index: int) -> int:
    """Return the ciphertext bytes of chunk `index` of a blob of `blob_size` bytes."""
    return min(CHUNK_SIZE, blob_size - index * CHUNK_SIZE)


def _padded(size: int) -> int:
    if size <= _DOUBLING_MAX:
        return max(CLASS_MIN, 1 << (size - 1).bit_length())
    exponent = size.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())  # at least 32 KiB here
    return -(-size // step) * step
