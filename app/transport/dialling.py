"""Where a member is reached, and how long to wait before it is dialled again."""

from typing import NamedTuple

from app.transport.channel import Entropy
from app.transport.limits import DoorLimits
from states.errors import MalformedBytes

PORT_MAX = 65_535
_EXPONENT_MAX = 16
_JITTER_BYTES = 4


class Endpoint(NamedTuple):
    """A host and a port; written `host:port`, an IPv6 address in brackets."""

    host: str
    port: int


def parse_endpoint(text: str) -> Endpoint:
    """Read an endpoint as a map entry writes it; raises MalformedBytes."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise MalformedBytes("endpoint", "an IPv6 address is written in brackets")
    if not colon or not host or not host.isascii() or not host.isprintable() or " " in host:
        raise MalformedBytes("endpoint", "not host:port")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port[:6]) <= PORT_MAX:
        raise MalformedBytes("endpoint", f"a port is a number from 1 to {PORT_MAX}")
    return Endpoint(host, int(port))


def back_off(attempt: int, limits: DoorLimits, entropy: Entropy) -> float:
    """Return seconds to wait: full jitter, anything from 0 to the doubled bound.

    Nodes that lost the same peer at the same moment must not come back at the same moment.
    """
    bound = limits.back_off_seconds * (1 << min(attempt, _EXPONENT_MAX))
    share = int.from_bytes(entropy(_JITTER_BYTES)) / (1 << 8 * _JITTER_BYTES)
    return share * min(bound, limits.back_off_seconds_max)
