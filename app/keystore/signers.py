"""A signer over a handle: the key store signs, the holder of this never sees the key."""

from app.keystore.keys import KeyStore, Signing
from states.crypto.keys import Key


class HandleSigner:
    """A `states.crypto.signatures.Signer` for one key of a key store."""

    __slots__ = ("_handle", "_keys", "key")

    def __init__(self, keys: KeyStore, handle: Signing) -> None:
        self.key: Key = keys.public(handle)
        self._keys = keys
        self._handle = handle

    def sign(self, message: bytes) -> bytes:
        return self._keys.sign(self._handle, message)
