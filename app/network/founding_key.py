"""A founding key: an offline file under a passphrase, read only when something is signed with it.

    file = canonical MessagePack of ["founding-key/1", public 32, memory KiB, iterations, lanes, salt 16, nonce 12,
            ciphertext 48]

Argon2id makes the AES-256-GCM key from passphrase and salt; all fields before the ciphertext are bound to it. The DID
of an organisation is this key, for ever: who loses the file founds another organisation.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from app.blobs.disk import Disk
from app.keystore.sealed_file import (
    COST,
    ITERATIONS_MAX,
    LANES_MAX,
    MEMORY_KIB_MAX,
    PASSPHRASE_BYTES_MAX,
    KdfCost,
)
from app.network.errors import FoundingKeyLocked
from app.transport.channel import Entropy
from states.crypto.did import did_of
from states.crypto.ed25519 import SEED_SIZE, Ed25519Signer
from states.crypto.keys import SCHEME_ED25519, Key
from states.encoding import Codec, encode
from states.errors import LedgerError
from states.identity import Party
from states.sizes import Bytes16, Bytes32

FILE_BYTES_MAX = 1_024
_NONCE_SIZE = 12
_CIPHERTEXT_SIZE = SEED_SIZE + 16


class _Locked(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    public: Bytes32
    memory_kib: Annotated[int, msgspec.Meta(ge=8, le=MEMORY_KIB_MAX)]
    iterations: Annotated[int, msgspec.Meta(ge=1, le=ITERATIONS_MAX)]
    lanes: Annotated[int, msgspec.Meta(ge=1, le=LANES_MAX)]
    salt: Bytes16
    nonce: Annotated[bytes, msgspec.Meta(min_length=_NONCE_SIZE, max_length=_NONCE_SIZE)]


class _File(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="founding-key/1"
):
    head: _Locked
    ciphertext: Annotated[
        bytes, msgspec.Meta(min_length=_CIPHERTEXT_SIZE, max_length=_CIPHERTEXT_SIZE)
    ]


_FILE = Codec(_File, "founding key", FILE_BYTES_MAX)


def create_founding_key(
    path: Path, passphrase: str, entropy: Entropy, cost: KdfCost = COST
) -> Ed25519Signer:
    """Draw a founding key and write its file; FileExistsError rather than replace one."""
    seed = entropy(SEED_SIZE)
    signer = Ed25519Signer(seed)
    head = _Locked(signer.public, *cost, entropy(16), entropy(_NONCE_SIZE))
    ciphertext = AESGCM(_derive(passphrase, head)).encrypt(head.nonce, seed, encode(head))
    disk = Disk()
    disk.make_folder(path.parent)
    disk.write_new(path, [encode(_File(head, ciphertext))])
    disk.sync_folder(path.parent)
    return signer


def open_founding_key(path: Path, passphrase: str) -> Ed25519Signer:
    """Return the signer; raises FoundingKeyLocked, and OSError where there is no file."""
    file = _read(path)
    try:
        seed = AESGCM(_derive(passphrase, file.head)).decrypt(
            file.head.nonce, file.ciphertext, encode(file.head)
        )
    except InvalidTag:
        raise FoundingKeyLocked(path, "another passphrase, or an altered file") from None
    return Ed25519Signer(seed)


def founding_party(path: Path) -> Party:
    """Return the DID that a founding key's file names, without opening it."""
    return Party(did_of(Key(SCHEME_ED25519, _read(path).head.public)))


def _read(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            return _FILE.decode(file.read(FILE_BYTES_MAX + 1))
    except LedgerError as refused:
        raise FoundingKeyLocked(path, "not a founding key's file") from refused


def _derive(passphrase: str, head: _Locked) -> bytes:
    secret = passphrase.encode("utf-8")
    if not 0 < len(secret) <= PASSPHRASE_BYTES_MAX:
        raise ValueError(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return Argon2id(
        salt=head.salt,
        length=32,
        iterations=head.iterations,
        lanes=head.lanes,
        memory_cost=head.memory_kib,
    ).derive(secret)
