"""TLS 1.3 without a certificate authority: a node's key is pinned by its hash in the network map.

Python's `ssl` can only ask for a client's certificate and check it against an issuer. So every certificate here has
one and the same issuer, whose private key is public knowledge (it is computed below): that anybody can issue one is
the point, for the issuer's word proves nothing. What is believed is the key in the certificate, which the handshake
proves and whose hash the map pins (`app.transport.link` compares it before the first byte is read). A certificate has
no meaningful end; the map's entry has.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from app.keystore.keys import KeyStore
from app.transport.channel import Entropy
from states.crypto.hashes import tagged_hash

TLS_SEED_SIZE = 32
_AAD = b"carecord/tls-key/1"  # names the row in the key store's terms: nothing else opens as this
_ISSUER = "carecord: pinned by the map, issued by nobody"
_BEGIN = datetime(2020, 1, 1)  # noqa: DTZ001  # x509 takes naive times, in UTC
_END = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001  # RFC 5280 §4.1.2.5: no well-defined end


@dataclass(frozen=True, slots=True)
class NewTlsKey:
    """A key just made: what lies in the node's folder, and what its map entry says."""

    sealed: bytes
    pin: bytes


def new_tls_key(keys: KeyStore, entropy: Entropy) -> NewTlsKey:
    """Draw a node's TLS key; it is stored sealed by the key store's storage key."""
    seed = entropy(TLS_SEED_SIZE)
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return NewTlsKey(keys.wrap_at_rest(seed, _AAD), pin_of(private.public_key()))


def open_tls_key(keys: KeyStore, sealed: bytes) -> Ed25519PrivateKey:
    """Return the key that `new_tls_key` sealed; raises WrapRefused."""
    return Ed25519PrivateKey.from_private_bytes(keys.unwrap_at_rest(sealed, _AAD))


def pin_of(public: Ed25519PublicKey) -> bytes:
    """Return the SHA-256 of a key's SubjectPublicKeyInfo: the map entry's `tls_key`."""
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def pin_of_certificate(der: bytes) -> bytes:
    """Return the pin of the key in a certificate; raises ValueError where it cannot be read."""
    try:
        public = x509.load_der_x509_certificate(der).public_key()
    except UnsupportedAlgorithm as refused:
        raise ValueError("a key of an unknown kind") from refused
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def certificate(public: Ed25519PublicKey) -> x509.Certificate:
    """Return the certificate of a key; the same key has the same one."""
    return _issue(f"carecord {pin_of(public).hex()[:32]}", public, authority=False)


def contexts(key: Ed25519PrivateKey, entropy: Entropy) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts with which this key answers and dials."""
    answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    answering.num_tickets = 0  # a connection stays open; a resumed one would prove nothing anew
    dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    dialling.check_hostname = False  # the pin is the name
    for context in (answering, dialling):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=_anchor().public_bytes(Encoding.PEM).decode("ascii"))
    _load(key, entropy, answering, dialling)
    return answering, dialling


def _load(key: Ed25519PrivateKey, entropy: Entropy, *into: ssl.SSLContext) -> None:
    # OpenSSL reads a key from a file only. This one is encrypted under a password that nobody keeps, so what
    # might be left of it on a disk opens nothing.
    password = entropy(32).hex().encode("ascii")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    with TemporaryDirectory(prefix="carecord-") as folder:
        path = Path(folder) / "tls.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem + certificate(key.public_key()).public_bytes(Encoding.PEM))
        for context in into:
            context.load_cert_chain(path, password=password)


def _issuer_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(tagged_hash("tls-issuer"))


def _anchor() -> x509.Certificate:
    return _issue(_ISSUER, _issuer_key().public_key(), authority=True)


def _issue(subject: str, public: Ed25519PublicKey, *, authority: bool) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(_ISSUER))
        .public_key(public)
        .serial_number(int.from_bytes(pin_of(public)[:16]) | 1)
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(_issuer_key(), None)
    )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
