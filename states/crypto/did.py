"""did:key text ⇄ Key (W3C CCG did:key 0.7; multicodec, base58btc)."""

from functools import lru_cache

from states.crypto.keys import SCHEME_ED25519, SCHEME_P256, Key
from states.errors import MalformedBytes

DID_CHARACTERS_MAX = 64  # the longest that is accepted, P-256, has 58

_PREFIX = "did:key:z"  # z: base58btc (multibase)
_MULTICODEC = {SCHEME_ED25519: b"\xed\x01", SCHEME_P256: b"\x80\x24"}  # varints of 0xed and 0x1200
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {character: value for value, character in enumerate(_ALPHABET)}


def did_of(key: Key) -> str:
    """Return the did:key text of an Ed25519 or P-256 key.

    Raises ValueError for another scheme: the text has no place to say that a key is a WebAuthn
    credential.
    """
    codec = _MULTICODEC.get(key.scheme)
    if codec is None:
        raise ValueError(f"a key of scheme {key.scheme} has no did:key")
    return _PREFIX + _base58(codec + key.raw)


@lru_cache(1_024)  # a network has few parties; what is refused is not remembered
def key_of(did: str) -> Key:
    """Return the key that `did` names.

    Raises MalformedBytes for another method, algorithm or length of key and for any text that
    `did_of` would not have written (a fragment, a leading "1").
    """
    if len(did) > DID_CHARACTERS_MAX:
        raise MalformedBytes("did:key", f"longer than {DID_CHARACTERS_MAX} characters")
    if not did.startswith(_PREFIX):
        raise MalformedBytes("did:key", f"does not begin with {_PREFIX}")
    key = _key_in(_unbase58(did[len(_PREFIX) :]))
    if did_of(key) != did:
        raise MalformedBytes("did:key", "not the canonical text")
    return key


def _key_in(data: bytes) -> Key:
    for scheme, codec in _MULTICODEC.items():
        if data.startswith(codec):
            try:
                return Key(scheme, data[len(codec) :])
            except ValueError as refused:
                raise MalformedBytes("did:key", str(refused)) from refused
    raise MalformedBytes("did:key", "neither an Ed25519 nor a P-256 key")


def _base58(data: bytes) -> str:
    """Encode bytes that do not begin with a zero byte, as no multicodec prefix here does."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return text


def _unbase58(text: str) -> bytes:
    number = 0
    for character in text:
        digit = _DIGIT.get(character)
        if digit is None:
            raise MalformedBytes("did:key", f"{character!r} is no digit of base58")
        number = number * 58 + digit
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
