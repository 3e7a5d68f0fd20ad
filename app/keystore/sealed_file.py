"""The key file's bytes: secrets under a passphrase, and why they do not open when they do not.

    file  = body ‖ SHA-256(body)
    body  = canonical MessagePack of ["keystore/1", memory KiB, iterations, lanes, salt 16, check 32,
            nonce 12, ciphertext]

Argon2id (RFC 9106) makes 64 bytes of passphrase and salt: an AES-256 key, and a secret whose SHA-256 is
`check`. The plain hash at the end finds accidents without the passphrase, `check` tells a wrong
passphrase from a damaged file, and AES-256-GCM, with all fields before the nonce as further data,
decides. The nonce is random and new at each writing; the key changes with the passphrase only.
"""

import hmac
from hashlib import sha256
from typing import Annotated, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from app.blobs.wrap import Entropy
from app.keystore.errors import KeyStoreDamaged, WrongPassphrase
from app.keystore.secrets import SECRETS, SECRETS_BYTES_MAX, Secrets
from states.crypto.hashes import HASH_SIZE
from states.encoding import Codec, encode
from states.errors import LedgerError
from states.sizes import Bytes16, Bytes32

FILE_BYTES_MAX = SECRETS_BYTES_MAX + 4_096
MEMORY_KIB_MAX = 1 << 20  # an altered file may not make this process ask for more than 1 GiB
ITERATIONS_MAX = 64
LANES_MAX = 16
PASSPHRASE_BYTES_MAX = 1_024
_SALT_SIZE = 16
_NONCE_SIZE = 12
_KEY_SIZE = 32


class KdfCost(NamedTuple):
    """How dear each guess of the passphrase is."""

    memory_kib: int
    iterations: int
    lanes: int


COST = KdfCost(memory_kib=1 << 16, iterations=3, lanes=4)  # RFC 9106 §4, second recommendation


class _Header(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    memory_kib: Annotated[int, msgspec.Meta(ge=8 * LANES_MAX, le=MEMORY_KIB_MAX)]
    iterations: Annotated[int, msgspec.Meta(ge=1, le=ITERATIONS_MAX)]
    lanes: Annotated[int, msgspec.Meta(ge=1, le=LANES_MAX)]
    salt: Bytes16
    check: Bytes32


class _File(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="keystore/1"
):
    header: _Header
    nonce: Annotated[bytes, msgspec.Meta(min_length=_NONCE_SIZE, max_length=_NONCE_SIZE)]
    ciphertext: bytes


_FILE = Codec(_File, "key file", FILE_BYTES_MAX)


class FileSeal:
    """What a passphrase became: seals the secrets again and again without asking for it."""

    __slots__ = ("_cipher", "_entropy", "_header")

    def __init__(self, header: _Header, key: bytes, entropy: Entropy) -> None:
        self._header = header
        self._cipher = AESGCM(key)
        self._entropy = entropy

    def seal(self, secrets: Secrets) -> bytes:
        """Return the bytes of a whole key file."""
        nonce = self._entropy(_NONCE_SIZE)
        ciphertext = self._cipher.encrypt(nonce, encode(secrets), encode(self._header))
        body = encode(_File(self._header, nonce, ciphertext))
        return body + sha256(body).digest()

    def unseal(self, file: _File) -> Secrets:
        try:
            plaintext = self._cipher.decrypt(file.nonce, file.ciphertext, encode(file.header))
            return SECRETS.decode(plaintext)
        except (InvalidTag, LedgerError):
            # No cause is shown: what a decoder says is about the plaintext.
            raise KeyStoreDamaged("altered after it was written") from None


def new_seal(passphrase: str, entropy: Entropy, cost: KdfCost = COST) -> FileSeal:
    """Make a seal for a new file; ValueError for an empty or endless passphrase."""
    salt = entropy(_SALT_SIZE)
    key, check = _derive(passphrase, salt, cost)
    return FileSeal(_Header(*cost, salt, check), key, entropy)


def open_sealed(data: bytes, passphrase: str, entropy: Entropy) -> tuple[Secrets, FileSeal]:
    """Open a key file; raises KeyStoreDamaged or WrongPassphrase."""
    body, digest = data[:-HASH_SIZE], data[-HASH_SIZE:]
    if sha256(body).digest() != digest:
        raise KeyStoreDamaged("cut or altered: its checksum differs")
    try:
        file = _FILE.decode(body)
    except LedgerError as refused:
        raise KeyStoreDamaged("not in a form that is known here") from refused
    header = file.header
    cost = KdfCost(header.memory_kib, header.iterations, header.lanes)
    key, check = _derive(passphrase, header.salt, cost)
    if not hmac.compare_digest(check, header.check):
        raise WrongPassphrase
    seal = FileSeal(header, key, entropy)
    return seal.unseal(file), seal


def _derive(passphrase: str, salt: bytes, cost: KdfCost) -> tuple[bytes, bytes]:
    secret = passphrase.encode("utf-8")
    if not 0 < len(secret) <= PASSPHRASE_BYTES_MAX:
        raise ValueError(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    made = Argon2id(
        salt=salt,
        length=2 * _KEY_SIZE,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    ).derive(secret)
    return made[:_KEY_SIZE], sha256(made[_KEY_SIZE:]).digest()
