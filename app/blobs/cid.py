"""The CID that Kubo gives a blob's bytes with `--cid-version=1 --raw-leaves --chunker=size-262144`.

A blob of one chunk is a raw leaf; a longer one a UnixFS file in Kubo's balanced layout: dag-pb
nodes of at most 174 links, every leaf at the same depth. Sources: CIDv1 and multibase
specifications, dag-pb and UnixFS specifications of IPLD/IPFS; the vectors are Kubo's own output.
"""

import re
from base64 import b32decode, b32encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Self

from states.crypto.hashes import HASH_SIZE
from states.errors import MalformedBytes

CHUNK_SIZE = 262_144  # bytes of a leaf
LINKS_MAX = 174  # Kubo's DefaultLinksPerBlock
CID_CHARACTERS = 59  # "b" and 36 bytes in base32 without padding

RAW = 0x55
DAG_PB = 0x70

_VERSION_1 = 1
_SHA2_256 = b"\x12\x20"  # multihash: the function, and its 32 bytes
_CID_BYTES = 2 + len(_SHA2_256) + HASH_SIZE
_MORE = 0x80  # the bit of a varint's byte that says that another follows
_TEXT = re.compile(r"b[a-z2-7]{58}")


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """A CIDv1 with a SHA-256 digest over a raw leaf or a dag-pb node."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in (RAW, DAG_PB):
            raise ValueError(f"codec {self.codec:#x} is neither raw nor dag-pb")
        if len(self.digest) != HASH_SIZE:
            raise ValueError(f"a SHA-256 digest has {HASH_SIZE} bytes, not {len(self.digest)}")

    def __bytes__(self) -> bytes:
        return bytes((_VERSION_1, self.codec)) + _SHA2_256 + self.digest

    def __str__(self) -> str:
        return "b" + b32encode(bytes(self)).decode("ascii").rstrip("=").lower()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the 36 bytes of such a CID; MalformedBytes for anything else."""
        if len(data) != _CID_BYTES or data[0] != _VERSION_1 or data[2:4] != _SHA2_256:
            raise MalformedBytes("CID", "not a CIDv1 with a SHA-256 digest")
        try:
            return cls(data[1], data[4:])
        except ValueError as refused:
            raise MalformedBytes("CID", str(refused)) from refused

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the one text that `str` writes; MalformedBytes for every other, also one of equal meaning.

        So a parsed text is 59 letters and digits, and safe as the name of a file.
        """
        if not _TEXT.fullmatch(text):
            raise MalformedBytes("CID", "not 59 characters of lower-case base32 that begin with b")
        cid = cls.from_bytes(b32decode(text[1:].upper() + "======"))
        if str(cid) != text:
            raise MalformedBytes("CID", "not the canonical text")
        return cid


class _Link(NamedTuple):
    """What a parent says of a child: its CID, the bytes below it with and without the nodes' own."""

    cid: Cid
    tree_size: int
    file_size: int


class CidBuilder:
    """Computes a CID while the bytes go by; keeps one chunk and 174 links a level."""

    def __init__(self, chunk_size: int = CHUNK_SIZE) -> None:
        self._chunk_size = chunk_size
        self._rest = bytearray()
        self._levels: list[list[_Link]] = [[]]
        self.size = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes, of any length."""
        at = 0
        while at < len(data):
            if not self._rest and len(data) - at >= self._chunk_size:
                self._leaf(data[at : at + self._chunk_size])  # whole: needs no copy to the rest
                at += self._chunk_size
                continue
            piece = data[at : at + self._chunk_size - len(self._rest)]
            self._rest += piece
            at += len(piece)
            if len(self._rest) == self._chunk_size:
                self._leaf(bytes(self._rest))
                self._rest.clear()

    def finish(self) -> Cid:
        """Return the CID of all that was taken. The builder is used up."""
        if self._rest or not self.size:
            self._leaf(bytes(self._rest))
            self._rest.clear()
        level = 0
        while level + 1 < len(self._levels) or len(self._levels[level]) > 1:
            if self._levels[level]:
                self._close(level)
            level += 1
        return self._levels[level][0].cid

    def _leaf(self, chunk: bytes) -> None:
        self.add_leaf(sha256(chunk).digest(), len(chunk))

    def add_leaf(self, digest: bytes, size: int) -> None:
        """Take the next chunk by its SHA-256 and length; not to be mixed with a partial `update`."""
        self.size += size
        self._push(0, _Link(Cid(RAW, digest), size, size))

    def _push(self, level: int, link: _Link) -> None:
        if level == len(self._levels):
            self._levels.append([])
        if len(self._levels[level]) == LINKS_MAX:
            self._close(level)
        self._levels[level].append(link)

    def _close(self, level: int) -> None:
        """Make one node of a level's links and hand it to the level above."""
        links, self._levels[level] = self._levels[level], []
        node = _node(links)
        self._push(
            level + 1,
            _Link(
                Cid(DAG_PB, sha256(node).digest()),
                len(node) + sum(link.tree_size for link in links),
                sum(link.file_size for link in links),
            ),
        )


def cid_of(pieces: Iterable[bytes]) -> Cid:
    """Return the CID of all `pieces` in a row, however they are cut."""
    builder = CidBuilder()
    for piece in pieces:
        builder.update(piece)
    return builder.finish()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _MORE:
        out.append(number % _MORE | _MORE)
        number //= _MORE
    out.append(number)
    return bytes(out)


def _field(tag: int, data: bytes) -> bytes:
    return bytes((tag,)) + _varint(len(data)) + data


def _node(links: Iterable[_Link]) -> bytes:
    """Serialise a UnixFS file node as dag-pb: the links first, each with an empty name, then the data."""
    out, sizes, total = bytearray(), bytearray(), 0
    for link in links:
        tree_size = b"\x18" + _varint(link.tree_size)
        out += _field(0x12, _field(0x0A, bytes(link.cid)) + _field(0x12, b"") + tree_size)
        sizes += b"\x20" + _varint(link.file_size)
        total += link.file_size
    file = b"\x08\x02\x18" + _varint(total) + bytes(sizes)  # type File, filesize, blocksizes
    return bytes(out + _field(0x0A, file))
