"""Members tell each other what they know of the map, by requests of kind `kinds.MAP`; each part is signed."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated

import msgspec

from app.network.network_map import NetworkMap
from app.transport.kinds import Handler
from states.encoding import Codec, encode
from states.errors import LedgerError
from states.identity import Party, PartyField
from states.parameters import ENTRIES_MAX
from states.sizes import U32, U63

_log = logging.getLogger("carecord.network")

NEWS_BYTES_MAX = 900_000  # below a request's limit; what does not fit comes with the next
ROUNDS_MAX = 64

Ask = Callable[[bytes], Awaitable[bytes]]
"""Sends a body to one member as a request of kind `kinds.MAP`, and returns its answer."""


class Known(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="map-known/1"
):
    """What the asker has: the newest version, and the serial number of each entry and removal."""

    version: U32
    members: Annotated[tuple[tuple[PartyField, U63], ...], msgspec.Meta(max_length=ENTRIES_MAX)]
    removals: Annotated[tuple[tuple[PartyField, U63], ...], msgspec.Meta(max_length=ENTRIES_MAX)]


class News(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="map-news/1"
):
    """Signed parts that the asker lacks, each as it was published."""

    parameters: tuple[bytes, ...]
    members: tuple[bytes, ...]
    removals: tuple[bytes, ...]


KNOWN = Codec(Known, "what is known of the map")
NEWS = Codec(News, "news of the map")


def known(network: NetworkMap) -> Known:
    newest = network.history.newest
    return Known(
        0 if newest is None else newest.version,
        tuple(sorted((party, serial) for party, (serial, _) in network.entries().items())),
        tuple(sorted((party, serial) for party, (serial, _) in network.removals().items())),
    )


def news(network: NetworkMap, asker: Known) -> News:
    """Return what the asker lacks, parameters first, and no more than one answer holds."""
    left = NEWS_BYTES_MAX

    def fitting(parts: Iterable[bytes]) -> tuple[bytes, ...]:
        nonlocal left
        taken = list[bytes]()
        for part in parts:
            if len(part) > left:
                left = 0
                break
            left -= len(part)
            taken.append(part)
        return tuple(taken)

    published = sorted(network.published().items())
    return News(
        fitting(data for version, data in published if version > asker.version),
        fitting(_lacking(network.entries(), dict(asker.members))),
        fitting(_lacking(network.removals(), dict(asker.removals))),
    )


def _lacking(had: dict[Party, tuple[int, bytes]], asker: dict[Party, int]) -> Iterable[bytes]:
    return (data for party, (serial, data) in sorted(had.items()) if asker.get(party, -1) < serial)


def map_handler(network: NetworkMap) -> Handler:
    """Return the handler of `kinds.MAP`; the transport lets members ask only."""

    async def tell(_peer: Party, body: bytes) -> bytes:
        return encode(news(network, KNOWN.decode(body)))

    return tell


async def refresh(network: NetworkMap, ask: Ask) -> bool:
    """Ask one member until it has nothing new; return whether anything changed.

    A part that is refused here is left out: the peer may be old or lie, and its other parts are signed just the
    same. Raises what `ask` raises, and MalformedBytes for an answer that is none.
    """
    changed = False
    for _ in range(ROUNDS_MAX):
        told = NEWS.decode(await ask(encode(known(network))))
        taken = [_try(network.take_parameters, part) for part in told.parameters]
        taken += [_try(network.take_member, part) for part in told.members]
        taken += [_try(network.take_removal, part) for part in told.removals]
        if not any(taken):
            return changed
        changed = True
    return changed


def _try(take: Callable[[bytes], bool], part: bytes) -> bool:
    try:
        return take(part)
    except LedgerError as refused:
        _log.warning("a part of the map was refused: %s", type(refused).__name__)
        return False
