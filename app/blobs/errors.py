"""What can be wrong with a blob, a wrapped key, or a store of blobs."""

from states.errors import LedgerError


class BlobRefused(LedgerError):
    """Bytes are not the blob that the ledger names; nothing of the failing chunk was released."""


class ChunkTampered(BlobRefused):
    """The chunk was sealed for this place under this key, and altered afterwards."""

    def __init__(self, index: int) -> None:
        super().__init__(f"chunk {index} was altered")
        self.index = index


class ChunkMisplaced(BlobRefused):
    """The chunk is one of this blob, but of another place."""

    def __init__(self, index: int, belongs_at: int) -> None:
        super().__init__(f"chunk {belongs_at} is offered as chunk {index}")
        self.index = index
        self.belongs_at = belongs_at


class BlobTruncated(BlobRefused):
    """The blob ends elsewhere than where it was sealed to end; `index` is the first chunk that shows it."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"chunk {index}: {why}")
        self.index = index
        self.why = why


class BlobOverlong(BlobRefused):
    """A chunk comes after the last one."""

    def __init__(self, chunks: int) -> None:
        super().__init__(f"more than the {chunks} chunks of this blob")
        self.chunks = chunks


class WrongDataKey(BlobRefused):
    """The chunk was sealed under another key (or nothing of it is left as it was)."""

    def __init__(self, index: int) -> None:
        super().__init__(f"chunk {index} does not open under this key")
        self.index = index


class WrongCommitment(BlobRefused):
    """The chunk is whole, but its content is not what the commitment on the ledger promises."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the content of chunk {index} is not the committed one")
        self.index = index


class BlobMalformed(BlobRefused):
    """Who held the key sealed something that no honest sealer makes; `why` says what."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"chunk {index}: {why}")
        self.index = index
        self.why = why


class WrongCid(BlobRefused):
    """What was offered for a CID is something else; nothing of it was kept."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"blob {found} is offered as {expected}")
        self.expected = expected
        self.found = found


class SourceChanged(Exception):
    """A document changed between the two times that sealing reads it: a fault of ours, not of a peer."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the content of chunk {index} changed while it was being sealed")
        self.index = index


class WrapRefused(LedgerError):
    """A wrapped key does not open: altered, for another reader, or bound to another context."""

    def __init__(self, why: str) -> None:
        super().__init__(f"wrapped key: {why}")
        self.why = why


class BlobMissing(Exception):
    """The store has no blob of this CID."""

    def __init__(self, cid: str) -> None:
        super().__init__(f"no blob {cid}")
        self.cid = cid


class BlobDamaged(Exception):
    """What the store kept is not what its CID names; it is not served, and somebody must be told."""

    def __init__(self, cid: str, why: str) -> None:
        super().__init__(f"blob {cid}: {why}")
        self.cid = cid
        self.why = why
