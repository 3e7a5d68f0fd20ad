"""A document ⇄ its encrypted chunks, each of which proves alone that it is what the ledger promises.

A document version has a data key K of its own: 32 random bytes. Three keys come from it by
`states.crypto.hashes.hkdf(K, b"", purpose)`: the cipher key ("blob-cipher"), the place key
("blob-place") and the salt ("commitment-salt"), so that one destroyed key ends both the
ciphertext and every test of a guess against the commitment.

*Content chunk* i is bytes [i · 261,720, (i + 1) · 261,720) of the document; there are
m = max(1, ⌈length / 261,720⌉) of them, the last one shorter. With HMAC over SHA-256 and u64
big-endian,

    leaf i      = SHA-256(0x00 ‖ HMAC(salt, u64(i)) ‖ content chunk i)
    commitment  = the Merkle tree hash of RFC 9162 §2.1.1 over leaf 0 … leaf m-1

(`leaf_hash` and `root_of` of states.crypto.merkle). Padding is not committed to; i and the end of
the document are: by the salted index in the leaf, and by the shape of the last leaf's path.

*Ciphertext chunk* i is 262,144 bytes, the last one what remains of the size class:

    place   16  HMAC(place key, u32(i) ‖ last)[:16], in the clear; last is 1 for the last chunk, else 0
    body        AES-256-GCM(cipher key, nonce = 0⁷ ‖ u32(i) ‖ last, no further data) of
                    u64(length of the document)
                  ‖ inclusion path of leaf i, 32 bytes a hash (only where i < m)
                  ‖ content chunk i (only where i < m)
                  ‖ zero bytes up to the size of the chunk
    tag     16

This is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015): counter and last flag in the
nonce bind order and end. Its random nonce prefix is zero because the key is used for one document
version only, and sealing is deterministic: sealing it again after a crash gives the same bytes.
The place tag decides nothing; it tells a reader *why* a chunk does not open.

Each chunk carries its own path, so a reader may fetch chunks in any order, resume, or read a range,
and verifies each before it releases a byte; nothing but key, commitment and size class is needed.
The price is 8 + 32 · ⌈log2 m⌉ bytes in 262,144. Paths come first in the stream and depend on the
whole document, so sealing reads it twice; it never holds more than a few chunks.
"""

from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.blobs.cid import CidBuilder
from app.blobs.errors import (
    BlobMalformed,
    BlobOverlong,
    BlobTruncated,
    ChunkMisplaced,
    ChunkTampered,
    SourceChanged,
    WrongCommitment,
    WrongDataKey,
)
from app.blobs.sizes import (
    CONTENT_SIZE,
    HEAD_SIZE,
    LENGTH_MAX,
    PLACE_SIZE,
    TAG_SIZE,
    chunk_count,
    chunk_size,
    content_chunks,
    content_size,
    is_size_class,
    path_size,
    size_class,
)
from states.crypto.hashes import HASH_SIZE, hkdf, hmac_sha256
from states.crypto.merkle import GrowingTree, leaf_hash, split_hashes, verify_inclusion
from states.errors import InvalidProof, OverLimit

DATA_KEY_SIZE = 32
_NONCE_PREFIX = bytes(7)


class _Keys:
    """What a data key is good for."""

    __slots__ = ("_cipher", "_place", "_salt")

    def __init__(self, data_key: bytes) -> None:
        if len(data_key) != DATA_KEY_SIZE:
            raise ValueError(f"a data key is {DATA_KEY_SIZE} bytes")
        self._cipher = AESGCM(hkdf(data_key, b"", "blob-cipher"))
        self._place = hkdf(data_key, b"", "blob-place")
        self._salt = hkdf(data_key, b"", "commitment-salt")

    def leaf(self, index: int, content: bytes) -> bytes:
        return leaf_hash(hmac_sha256(self._salt, index.to_bytes(8, "big")) + content)

    def place(self, index: int, *, last: bool) -> bytes:
        return hmac_sha256(self._place, _position(index, last=last))[:PLACE_SIZE]

    def encrypt(self, index: int, body: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(_NONCE_PREFIX + _position(index, last=last), body, None)

    def decrypt(self, index: int, body: bytes, *, last: bool) -> bytes | None:
        try:
            return self._cipher.decrypt(_NONCE_PREFIX + _position(index, last=last), body, None)
        except InvalidTag:
            return None


def _position(index: int, *, last: bool) -> bytes:
    return index.to_bytes(4, "big") + (b"\1" if last else b"\0")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the ledger and the vault keep of a sealed document; `length` is for the vault alone."""

    commitment: bytes
    cid: str
    size_class: int
    """Bytes of ciphertext."""
    length: int
    """Bytes of the document."""


class Sealing:
    """One document on its way into ciphertext; iterate over it once, then ask for `sealed`."""

    def __init__(self, reader: BinaryIO, data_key: bytes) -> None:
        self._reader = reader
        self._keys = _Keys(data_key)
        leaves: list[bytes] = []
        length = 0
        reader.seek(0)
        while (content := _read(reader, CONTENT_SIZE)) or not leaves:
            length += len(content)
            if length > LENGTH_MAX:
                raise OverLimit("document in bytes", length, LENGTH_MAX)
            leaves.append(self._keys.leaf(len(leaves), content))
        tree = GrowingTree().append(leaves)
        self._leaves, self._paths = leaves, tree.path_texts
        self.commitment = tree.root
        self.length = length
        self.size_class = size_class(length)
        self._cid: str | None = None

    @property
    def sealed(self) -> Sealed:
        """Known when the last chunk has been taken; ValueError before."""
        if self._cid is None:
            raise ValueError("not all chunks have been taken yet")
        return Sealed(self.commitment, self._cid, self.size_class, self.length)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the ciphertext chunks. Raises SourceChanged if the document is not what it was."""
        builder = CidBuilder()
        self._reader.seek(0)
        for index in range(chunk_count(self.size_class)):
            chunk = self._chunk(index)
            builder.update(chunk)
            yield chunk
        if self._reader.read(1):
            raise SourceChanged(len(self._leaves))
        self._cid = str(builder.finish())

    def _chunk(self, index: int) -> bytes:
        last = index == chunk_count(self.size_class) - 1
        body = self.length.to_bytes(HEAD_SIZE, "big")
        if index < len(self._leaves):
            content = _read(self._reader, content_size(self.length, index))
            # A path of the first reading with other content would be a blob that nobody can open.
            if self._keys.leaf(index, content) != self._leaves[index]:
                raise SourceChanged(index)
            body += b"".join(map(a2b_base64, self._paths[index].splitlines())) + content
        size = chunk_size(self.size_class, index) - PLACE_SIZE - TAG_SIZE
        sealed = self._keys.encrypt(index, body.ljust(size, b"\0"), last=last)
        return self._keys.place(index, last=last) + sealed


def seal(reader: BinaryIO, data_key: bytes) -> Sealing:
    """Begin to seal the whole of `reader`, which must be seekable; reads it once now, once later.

    `data_key` must be fresh for this document version: two documents under one key would share
    nonces, which breaks AES-GCM. Raises OverLimit above LENGTH_MAX bytes.
    """
    return Sealing(reader, data_key)


class BlobOpener:
    """Opens the chunks of one blob, in any order, and releases only what the commitment promises.

    Raises ValueError for a size that is no class, so that a peer's number is checked where it enters.
    """

    def __init__(self, data_key: bytes, commitment: bytes, blob_size: int) -> None:
        if len(commitment) != HASH_SIZE:
            raise ValueError(f"a commitment is {HASH_SIZE} bytes")
        if not is_size_class(blob_size):
            raise ValueError(f"{blob_size} is no size class")
        self._keys = _Keys(data_key)
        self._commitment = commitment
        self._blob_size = blob_size
        self.chunks = chunk_count(blob_size)
        self.length: int | None = None
        """As the first chunk that was opened says; proven when the last content chunk was opened."""

    def open_chunk(self, index: int, chunk: bytes) -> bytes:
        """Return the content in ciphertext chunk `index`; empty where the chunk is all padding.

        Raises a BlobRefused: which one says what is wrong.
        """
        if not 0 <= index < self.chunks:
            raise BlobOverlong(self.chunks)
        expected = chunk_size(self._blob_size, index)
        if len(chunk) != expected:
            raise BlobTruncated(index, f"{len(chunk)} bytes where {expected} belong")
        body = self._decrypt(index, chunk)
        length = self._agreed_length(index, body)
        content = self._committed(index, body, length)
        self.length = length  # only now: a chunk that was refused must not decide over the others
        return content

    def _committed(self, index: int, body: bytes, length: int) -> bytes:
        """Return the content in `body` if the commitment covers it."""
        if index >= content_chunks(length):
            self._check_padding(index, body, HEAD_SIZE)
            return b""
        start = HEAD_SIZE + path_size(length, index)
        end = start + content_size(length, index)
        self._check_padding(index, body, end)
        content = body[start:end]
        try:
            verify_inclusion(
                index,
                content_chunks(length),
                self._keys.leaf(index, content),
                split_hashes(body[HEAD_SIZE:start]),
                self._commitment,
            )
        except InvalidProof as refused:
            raise WrongCommitment(index) from refused
        return content

    def open_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the document in order, each piece verified before it is released.

        A blob that ends early raises BlobTruncated after its verified beginning was yielded: who must
        not act on a part waits for the end.
        """
        found = 0
        for chunk in chunks:
            content = self.open_chunk(found, chunk)
            found += 1
            if content:
                yield content
        if found < self.chunks:
            raise BlobTruncated(found, f"one of {self.chunks} chunks that are not there")

    def _decrypt(self, index: int, chunk: bytes) -> bytes:
        last = index == self.chunks - 1
        place = chunk[:PLACE_SIZE]
        in_place = place == self._keys.place(index, last=last)
        body = self._keys.decrypt(index, chunk[PLACE_SIZE:], last=last)
        if in_place and body is not None:
            return body
        if in_place or body is not None:
            raise ChunkTampered(index)
        if place == self._keys.place(index, last=not last):
            raise BlobTruncated(
                index, "cut off here" if last else "the blob was sealed to end here"
            )
        for other in range(self.chunks):
            if place == self._keys.place(other, last=other == self.chunks - 1):
                raise ChunkMisplaced(index, other)
        raise WrongDataKey(index)

    def _agreed_length(self, index: int, body: bytes) -> int:
        length = int.from_bytes(body[:HEAD_SIZE], "big")
        if length > LENGTH_MAX or size_class(length) != self._blob_size:
            raise BlobMalformed(index, f"a document of {length} bytes is of another size class")
        if self.length not in (None, length):
            raise BlobMalformed(index, "another chunk gives the document another length")
        return length

    @staticmethod
    def _check_padding(index: int, body: bytes, end: int) -> None:
        # Not committed to: whatever stood here, two readers could be shown different things.
        if body.count(0, end) != len(body) - end:
            raise BlobMalformed(index, "padding that is not zero")


def open_chunk(
    index: int, chunk: bytes, data_key: bytes, commitment: bytes, blob_size: int
) -> bytes:
    """`BlobOpener.open_chunk` for one chunk alone."""
    return BlobOpener(data_key, commitment, blob_size).open_chunk(index, chunk)


def open_stream(
    chunks: Iterable[bytes], data_key: bytes, commitment: bytes, blob_size: int
) -> Iterator[bytes]:
    """`BlobOpener.open_stream` of a whole blob; `chunks` are cut at CHUNK_SIZE."""
    return BlobOpener(data_key, commitment, blob_size).open_stream(chunks)


def _read(reader: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, or to the end: an unbuffered reader may return less than it was asked for."""
    out = reader.read(size)
    while len(out) < size and (more := reader.read(size - len(out))):
        out += more
    return out
