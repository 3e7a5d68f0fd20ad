"""Blobs and wrapped keys are the frozen bytes, and travel from a custodian's store to a reader's."""

import io
import json
from hashlib import shake_256
from pathlib import Path
from typing import TypedDict

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.blobs.cipher import BlobOpener, seal
from app.blobs.folder import FolderBlobStore
from app.blobs.memory import MemoryBlobStore
from app.blobs.sizes import CONTENT_SIZE
from app.blobs.wrap import WRAP_X25519, EpochKey, WrapContext, wrap_data_key
from app.keystore.memory import memory_key_store
from states.crypto.hashes import hkdf

VECTORS = Path(__file__).parents[3] / "vectors" / "blob"


class SealedVector(TypedDict):
    length: int
    size_class: int
    commitment: str
    cid: str


class WrappedVector(TypedDict):
    epoch_public: str
    wrapped: str


class Vectors(TypedDict):
    sealed: list[SealedVector]
    wrapped: WrappedVector


FROZEN: Vectors = json.loads((VECTORS / "sealed.json").read_text("utf-8"))
CONTEXT = WrapContext(b"\x11" * 32, 1, 202_611)


def shake(text: str, size: int) -> bytes:
    return shake_256(text.encode("ascii")).digest(size)


KEY = shake("carecord blob key", 32)


@pytest.mark.parametrize("case", FROZEN["sealed"], ids=lambda case: str(case["length"]))
def test_a_sealed_document_is_the_frozen_one(case: SealedVector) -> None:
    sealing = seal(io.BytesIO(shake("carecord blob document", case["length"])), KEY)
    assert sum(map(len, sealing)) == case["size_class"]
    assert sealing.sealed.commitment.hex() == case["commitment"]
    assert sealing.sealed.cid == case["cid"]


def test_a_wrapped_key_is_the_frozen_one() -> None:
    reader = EpochKey(shake("carecord epoch seed", 32), WRAP_X25519)
    wrapped = wrap_data_key(KEY, reader.public, CONTEXT, lambda n: shake("carecord ephemeral", n))
    assert FROZEN["wrapped"] == {"epoch_public": reader.public.hex(), "wrapped": wrapped.hex()}


def test_a_wrapped_key_is_the_formula_of_the_specification() -> None:
    public = bytes.fromhex(FROZEN["wrapped"]["epoch_public"])
    ephemeral = X25519PrivateKey.from_private_bytes(shake("carecord ephemeral", 32))
    half = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[1:]))
    cipher = AESGCM(hkdf(shared, half + public, "data-key-wrap"))
    aad = b"\1" + b"\x11" * 32 + b"\0\0\0\1" + (202_611).to_bytes(4, "big")
    body = cipher.encrypt(bytes(12), KEY, aad)
    assert FROZEN["wrapped"]["wrapped"] == (b"\1" + half + body).hex()


def test_a_record_goes_from_a_custodian_to_a_reader_chunk_by_chunk(tmp_path: Path) -> None:
    custodian, reader = memory_key_store(b"Mercy"), memory_key_store(b"Riverside")
    kept, fetched = FolderBlobStore(tmp_path / "blobs"), MemoryBlobStore()
    document = shake("an image", 3 * CONTENT_SIZE + 100)

    key = custodian.new_data_key()
    sealing = seal(io.BytesIO(document), key)
    cid = kept.put(sealing)
    assert cid == sealing.sealed.cid
    row = custodian.wrap_at_rest(key, cid.encode())

    public = reader.new_epoch(CONTEXT.epoch)
    released = custodian.unwrap_at_rest(row, cid.encode())
    wrapped = wrap_data_key(released, public, CONTEXT, lambda n: shake("drawn", n))

    count = BlobOpener(key, sealing.commitment, sealing.size_class).chunks
    fetched.put((kept.chunk(cid, index) for index in range(count)), expected=cid)
    opener = BlobOpener(
        reader.open_epoch(CONTEXT.epoch, wrapped, CONTEXT), sealing.commitment, kept.size(cid)
    )
    assert (
        opener.open_chunk(2, fetched.chunk(cid, 2)) == document[2 * CONTENT_SIZE :][:CONTENT_SIZE]
    )
    assert b"".join(opener.open_stream(fetched.stream(cid))) == document
