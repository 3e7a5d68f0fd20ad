"""A member's entry and how it changes; each change is a new entry with the next serial number and all its history."""

from dataclasses import dataclass

from msgspec.structs import replace

from app.keystore.keys import KeyStore, NodeKey
from states.crypto.keys import Key
from states.identity import Party
from states.parameters import IdentityKey, Member, NotaryInfo, ReadingLogKey

FOREVER = (1 << 63) - 1  # ms since 1970: an identity key has no end until another follows
LOG_KEY_OVERLAP_MS = 86_400_000  # for which a former reading-log key may still sign


@dataclass(frozen=True, slots=True)
class Profile:
    """What an organisation says of itself: name, kind of node, and where it is reached (`host:port`).

    `log` is the origin of a notary's log; empty for all others.
    """

    name: str
    kind: str
    endpoints: tuple[str, ...]
    log: str = ""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The public halves of a node's keys in use; `tls_pin` is the hash of its TLS key."""

    identity: Key
    box: bytes
    tls_pin: bytes
    reading_log: bytes


def public_keys(keys: KeyStore, tls_pin: bytes) -> PublicKeys:
    """Read a key store's public halves."""
    return PublicKeys(
        keys.public(NodeKey.IDENTITY),
        keys.box_public(),
        tls_pin,
        keys.public(NodeKey.READING_LOG).raw,
    )


def notary_info(keys: KeyStore, party: Party, origin: str) -> NotaryInfo:
    """Return what the network's parameters say of a notary; `origin` names its log."""
    log, cosigner = keys.public(NodeKey.NOTARY_LOG), keys.public(NodeKey.NOTARY_COSIGNER)
    return NotaryInfo(party, origin, log.raw, cosigner.raw)


def first_entry(
    network: bytes, party: Party, profile: Profile, keys: PublicKeys, from_time: int
) -> Member:
    """Return a new member's entry; its keys sign from `from_time` (ms since 1970) on."""
    return Member(
        network,
        party,
        profile.name,
        profile.kind,  # type: ignore[arg-type]  # decoding the entry refuses an unknown kind
        (IdentityKey(keys.identity, from_time, FOREVER),),
        keys.box,
        keys.tls_pin,
        (ReadingLogKey(keys.reading_log, from_time, FOREVER),),
        profile.endpoints,
        1,
        active=True,
    )


def rotate_identity(member: Member, following: Key, from_time: int) -> Member:
    """Let another key sign from `from_time` on, and no other; what was signed before stays valid.

    Raises ValueError unless the key in use began before.
    """
    *past, last = member.identity
    if last.from_time >= from_time:
        raise ValueError("a key follows one that began before it")
    ended = replace(last, until_time=min(last.until_time, from_time))
    return _changed(member, identity=(*past, ended, IdentityKey(following, from_time, FOREVER)))


def end_identity(member: Member, at: int) -> Member:
    """Let no key sign from `at` on: the key in use was lost or stolen."""
    identity = tuple(replace(key, until_time=min(key.until_time, at)) for key in member.identity)
    return _changed(member, identity=identity)


def rotate_tls(member: Member, pin: bytes) -> Member:
    """Pin another TLS key; links that stand are dropped when a peer's map has the entry."""
    return _changed(member, tls_key=pin)


def rotate_box(member: Member, box: bytes) -> Member:
    return _changed(member, box_key=box)


def rotate_reading_log(member: Member, key: bytes, from_time: int) -> Member:
    """Let another key sign the reading log from `from_time` on; what the former one vouched for stays valid.

    The former one may sign for a day longer: a reading that is made before the node has switched must be believed.
    Raises ValueError unless the key in use began before.
    """
    *past, last = member.reading_log
    if last.from_time >= from_time:
        raise ValueError("a key follows one that began before it")
    ended = replace(last, until_time=min(last.until_time, from_time + LOG_KEY_OVERLAP_MS))
    following = ReadingLogKey(key, from_time, FOREVER)
    return _changed(member, reading_log=(*past, ended, following))


def move(member: Member, endpoints: tuple[str, ...]) -> Member:
    """Say that the member is reached elsewhere."""
    return _changed(member, endpoints=endpoints)


def leave(member: Member, at: int) -> Member:
    """End a membership by the member's own will; its signatures until `at` stay valid."""
    return replace(end_identity(member, at), active=False)


def _changed(member: Member, **fields: object) -> Member:
    return replace(member, serial=member.serial + 1, **fields)
