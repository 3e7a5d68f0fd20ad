"""What an offline verifier pins: a network's name, id and founding key, in one line of text (`network.pub`)."""

from dataclasses import dataclass

from states.crypto.did import did_of, key_of
from states.crypto.keys import Key
from states.errors import MalformedBytes, OverLimit
from states.identity import Party
from states.parameters import network_id

TRUST_CHARS_MAX = 512
_PARTS = 3
_WHAT = "trust file"


@dataclass(frozen=True, slots=True)
class Trust:
    """A pinned network. All else that a bundle needs is signed, directly or not, by `founding`."""

    name: str
    network: bytes
    founding: Party

    @property
    def line(self) -> str:
        """`name id did`, and a newline; the name may contain spaces, the others not."""
        return f"{self.name} {self.network.hex()} {self.founding}\n"


def trust_in(name: str, founding_key: Key) -> Trust:
    """Pin the network of this name and founding key."""
    return Trust(name, network_id(founding_key, name), Party(did_of(founding_key)))


def read_trust(text: str) -> Trust:
    """Read a trust file. Raises OverLimit, MalformedBytes; also where the id is not that of key and name."""
    if len(text) > TRUST_CHARS_MAX:
        raise OverLimit(_WHAT + " in characters", len(text), TRUST_CHARS_MAX)
    line = text.removesuffix("\n")
    parts = line.rsplit(" ", _PARTS - 1)
    if len(parts) != _PARTS or not parts[0] or not line.isprintable():
        raise MalformedBytes(_WHAT, "not one line of name, id and founding key")
    name, digits, did = parts
    try:
        network = bytes.fromhex(digits)
    except ValueError as refused:
        raise MalformedBytes(_WHAT, "the id is not hexadecimal") from refused
    trust = Trust(name, network_id(key_of(did), name), Party(did))
    if trust.network != network or trust.line != line + "\n":
        raise MalformedBytes(_WHAT, "the id is not that of this founding key and name")
    return trust
