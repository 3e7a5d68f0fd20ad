"""Making a network and its members; no private key leaves the folder of who holds it.

    network's founder   publish_first, announce                       → signed parameters
    node                init_node                                     → its keys, and a request file
    node, later         request_entry(entries.rotate_…(…))            → a request file
    operator            countersign(request), removal.remove(…)       → signed entry, signed removal

What is signed is brought to one member by file (`admit`) and travels to the others by `exchange`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from app.blobs.disk import Disk
from app.keystore.file import create_key_store
from app.keystore.keys import KeyStore
from app.keystore.sealed_file import COST, KdfCost
from app.network.entries import Profile, first_entry, notary_info, public_keys
from app.network.errors import MapRefused, MapRule, naming
from app.network.founding_key import create_founding_key
from app.network.network_map import NetworkMap
from app.transport.certificate import new_tls_key
from app.transport.channel import Entropy
from states.crypto.did import did_of, key_of
from states.crypto.keys import Key
from states.crypto.signatures import (
    EvidenceSignature,
    Signer,
    sign_evidence,
    verify_evidence,
)
from states.crypto.webauthn import RelyingParties
from states.encoding import Codec, encode
from states.errors import InvalidSignature, MalformedBytes
from states.identity import Party
from states.parameters import (
    MEMBER,
    PARAMETERS,
    AllowedContract,
    Limits,
    Member,
    NetworkParameters,
    NotaryInfo,
    SignedMember,
    SignedParameters,
    network_id,
)

ANNOUNCED_MS = 24 * 60 * 60 * 1_000
KEY_FILE = "keys.store"
FOUNDING_FILE = "founding.key"
TLS_FILE = "tls.key"
REQUEST_FILE = "member.request"

_NOBODY = RelyingParties((), ())  # founding keys are no WebAuthn credentials


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version of the parameters says beside who made it and when it begins."""

    name: str
    notaries: tuple[NotaryInfo, ...]
    contracts: tuple[AllowedContract, ...]
    operators: tuple[Key, ...]
    limits: Limits = field(default_factory=Limits)
    implicit_policy: Literal["deny", "break-glass-only"] = "deny"
    origins: tuple[str, ...] = ()
    rp_ids: tuple[str, ...] = ()
    issuers: tuple[Party, ...] = ()


class MemberRequest(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="member-request/1"
):
    """An entry that its member has signed, for an operator to countersign; a notary's says which log it keeps."""

    body: bytes
    founding: EvidenceSignature
    notary: bytes
    notary_founding: EvidenceSignature | None


MEMBER_REQUEST = Codec(MemberRequest, "request of a member", 1 << 17)
_NOTARY = Codec(NotaryInfo, "log of a notary", 1 << 12)


# -- the network's founder --------------------------------------------------------------------------------------


def publish_first(founding: Signer, terms: Terms, from_time: int) -> bytes:
    """Return the first signed parameters of a network; its id is `network_id(founding.key, terms.name)`."""
    return _signed_parameters(founding, _parameters(founding.key, terms, 1, from_time))


def announce(
    founding: Signer, current: NetworkParameters, terms: Terms, from_time: int, now: int
) -> bytes:
    """Return signed parameters that follow `current`; MapRefused unless they begin a day from now or later."""
    if from_time < now + ANNOUNCED_MS:
        raise MapRefused(MapRule.ANNOUNCED, f"version {current.version + 1} of the parameters")
    if from_time <= current.from_time:
        raise MapRefused(MapRule.NEWER_VERSION, f"version {current.version + 1} of the parameters")
    following = _parameters(founding.key, terms, current.version + 1, from_time)
    if following.network != current.network:
        raise InvalidSignature("network parameters", "another name or key makes another network")
    return _signed_parameters(founding, following)


def _parameters(founder: Key, terms: Terms, version: int, from_time: int) -> NetworkParameters:
    return NetworkParameters(
        network=network_id(founder, terms.name),
        name=terms.name,
        version=version,
        from_time=from_time,
        founding_key=founder,
        notaries=terms.notaries,
        contracts=terms.contracts,
        limits=terms.limits,
        implicit_policy=terms.implicit_policy,
        origins=terms.origins,
        rp_ids=terms.rp_ids,
        issuers=terms.issuers,
        operators=terms.operators,
    )


def _signed_parameters(founding: Signer, parameters: NetworkParameters) -> bytes:
    body = encode(parameters)
    PARAMETERS.decode(body)  # what nobody could read is not signed
    return encode(SignedParameters(body, sign_evidence(founding, parameters.network, body)))


# -- a node ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Passphrases:
    """Two, kept apart: the key store's is typed at each start, the founding key's once in years.

    `cost` is what each guess of either costs.
    """

    key_store: str
    founding: str
    cost: KdfCost = COST


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node just made."""

    party: Party
    keys: KeyStore
    request: bytes


def init_node(
    folder: Path,
    network: bytes,
    profile: Profile,
    passphrases: Passphrases,
    entropy: Entropy,
    now: int,
) -> NewNode:
    """Make a node's keys in `folder` and the request for its entry; KeyExists where there are keys already.

    Its identity key signs from `now` (ms since 1970) on. The founding key's file belongs on a medium that is not in
    the machine.
    """
    cost = passphrases.cost
    keys = create_key_store(folder / KEY_FILE, passphrases.key_store, entropy, cost=cost)
    founding = create_founding_key(folder / FOUNDING_FILE, passphrases.founding, entropy, cost)
    party = Party(did_of(founding.key))
    tls = new_tls_key(keys, entropy)
    member = first_entry(network, party, profile, public_keys(keys, tls.pin), now)
    info = notary_info(keys, party, profile.log) if profile.log else None
    request = request_entry(member, founding, info)
    disk = Disk()
    disk.write_new(folder / TLS_FILE, [tls.sealed])
    disk.write_new(folder / REQUEST_FILE, [request])
    disk.sync_folder(folder)
    return NewNode(party, keys, request)


def request_entry(member: Member, founding: Signer, notary: NotaryInfo | None = None) -> bytes:
    """Return an entry signed by its member's founding key, for an operator.

    Raises MalformedBytes for an entry that nobody would take, ValueError for another founding key.
    """
    if founding.key != key_of(member.party):
        raise ValueError("the founding key is not the one that the DID names")
    body = encode(member)
    MEMBER.decode(body)
    signature = sign_evidence(founding, member.network, body)
    if notary is None:
        return encode(MemberRequest(body, signature, b"", None))
    log = encode(notary)
    return encode(MemberRequest(body, signature, log, sign_evidence(founding, member.network, log)))


# -- an operator ------------------------------------------------------------------------------------------------------


def read_request(data: bytes, network: bytes) -> tuple[Member, NotaryInfo | None]:
    """Return what a request asks for, so that a person can compare it with what the organisation said by phone.

    Raises MalformedBytes, InvalidSignature.
    """
    request = MEMBER_REQUEST.decode(data)
    member = MEMBER.decode(request.body)
    if member.network != network:
        raise InvalidSignature("request of a member", "it is of another network")
    _require_founding(member.party, request.founding, network, request.body)
    if request.notary_founding is None:
        return member, None
    _require_founding(member.party, request.notary_founding, network, request.notary)
    return member, _NOTARY.decode(request.notary)


def _require_founding(
    party: str, signature: EvidenceSignature, network: bytes, body: bytes
) -> None:
    if signature.key != key_of(party):
        raise InvalidSignature("request of a member", "not signed by the key that its DID names")
    verify_evidence(signature, network, body, _NOBODY)


def countersign(data: bytes, operator: Signer, known: NetworkMap) -> bytes:
    """Return the signed entry that a request asks for, after it entered the operator's own map.

    Raises what `read_request` and `NetworkMap.take_member` raise.
    """
    read_request(data, known.network)
    request = MEMBER_REQUEST.decode(data)
    entry = encode(
        SignedMember(
            request.body, request.founding, sign_evidence(operator, known.network, request.body)
        )
    )
    known.take_member(entry)
    return entry


def recertify(entry: SignedMember, operator: Signer, network: bytes) -> bytes:
    """Countersign a known entry anew: before an operator leaves, others take over what it signed."""
    return encode(
        SignedMember(entry.body, entry.founding, sign_evidence(operator, network, entry.body))
    )


# -- files ------------------------------------------------------------------------------------------------------------


def admit(known: NetworkMap, *files: Path) -> int:
    """Take signed files into a map, whatever each of them is; return how many were new.

    Parameters before entries before removals, so the order of the files does not matter. Raises FileRefused for the
    first that is refused; those before it were taken. Nothing is taken where a file is no part of a map at all.
    """
    takers = (known.take_parameters, known.take_member, known.take_removal)
    parts: list[tuple[int, bytes, Path]] = []
    for path in files:
        part = path.read_bytes()
        with naming(path):
            parts.append((_rank(part), part, path))
    count = 0
    for rank, part, path in sorted(parts):
        with naming(path):
            count += takers[rank](part)
    return count


_TAGS = (b"signed-params/1", b"signed-member/1", b"signed-removal/1")
_TAG_AT = 2  # after the markers of the array and of the text


def _rank(part: bytes) -> int:
    for rank, tag in enumerate(_TAGS):
        if part.startswith(tag, _TAG_AT):
            return rank
    raise MalformedBytes("part of a map", "neither parameters nor an entry nor a removal")
