"""What the whole network has agreed: parameters, members, and who is who when (specification §3)."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Literal, Protocol

import msgspec

from states.checkpoint import LogKeys
from states.crypto.did import key_of
from states.crypto.hashes import tagged_hash
from states.crypto.keys import Key
from states.crypto.signatures import EvidenceSignature, verify_evidence
from states.crypto.webauthn import RelyingParties
from states.encoding import Codec, encode
from states.errors import InvalidSignature, LedgerError
from states.identity import Party, PartyField
from states.note import COSIGNATURE, ED25519, NoteKey
from states.sizes import U32, U63, Bytes32, Millis, Name, Text
from states.state import ContractName

ENTRIES_MAX = 1_024
PARAMETERS_BYTES_MAX = 1 << 18


class UnknownParameters(LedgerError):
    """No parameters with this id are known here, or none are in force at that time."""


class UnknownParty(LedgerError):
    """The network map has no member with this DID, or no key of it for that time."""

    def __init__(self, party: Party) -> None:
        super().__init__(f"{party} is not a member with a key in use at that time")
        self.party = party


class NotaryInfo(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="notary/1"
):
    """A notary: its DID, its log's origin, and the two Ed25519 keys that sign a checkpoint."""

    party: PartyField
    origin: Name
    log_key: Bytes32
    cosigner_key: Bytes32

    @property
    def log_keys(self) -> LogKeys:
        """The log as members pin it: every checkpoint has both signatures."""
        return LogKeys(
            self.origin,
            NoteKey(self.origin, ED25519, self.log_key),
            NoteKey(self.origin, COSIGNATURE, self.cosigner_key),
        )


class AllowedContract(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A contract that the network allows, by name, version and corpus hash, from a moment on."""

    name: ContractName
    corpus: Bytes32
    from_time: Millis


class Limits(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Limits that every member keeps and checks. Bytes, counts and milliseconds."""

    envelope_bytes: U32 = 1 << 20
    window_ms: U32 = 600_000
    components: U32 = 65_535
    lease_ms: U32 = 3_600_000
    release_ms: U32 = 300_000
    release_grace_ms: U32 = 10_000


class NetworkParameters(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="parameters/1"
):
    """One version of the network's parameters; their id is the SHA-256 of these bytes."""

    network: Bytes32
    name: Name
    version: U32
    from_time: Millis
    founding_key: Key
    notaries: Annotated[tuple[NotaryInfo, ...], msgspec.Meta(max_length=64)]
    contracts: Annotated[tuple[AllowedContract, ...], msgspec.Meta(max_length=ENTRIES_MAX)]
    limits: Limits
    implicit_policy: Literal["deny", "break-glass-only"]
    origins: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]
    rp_ids: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]
    issuers: Annotated[tuple[PartyField, ...], msgspec.Meta(max_length=ENTRIES_MAX)]
    operators: Annotated[tuple[Key, ...], msgspec.Meta(max_length=16)]

    def __post_init__(self) -> None:
        if self.network != network_id(self.founding_key, self.name):
            raise ValueError("the network's id is the hash of its founding key and name")

    @property
    def relying(self) -> RelyingParties:
        return RelyingParties(self.origins, self.rp_ids)

    def notary(self, party: Party) -> NotaryInfo | None:
        return next((notary for notary in self.notaries if notary.party == party), None)

    def allows(self, contract: str, corpus: bytes, at: int) -> bool:
        """Whether the contract with this corpus is in force at `at`."""
        return any(
            allowed.name == contract and allowed.corpus == corpus and allowed.from_time <= at
            for allowed in self.contracts
        )


class SignedParameters(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="signed-params/1"
):
    """Parameters as published: their bytes, signed by the network's founding key."""

    body: Annotated[bytes, msgspec.Meta(max_length=PARAMETERS_BYTES_MAX)]
    signature: EvidenceSignature


class IdentityKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A key that signs transactions for a member, and when: [from_time, until_time)."""

    key: Key
    from_time: Millis
    until_time: Millis


class ReadingLogKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A key that signs the checkpoints and daily heads of a member's reading log: in [from_time, until_time)."""

    raw: Bytes32
    from_time: Millis
    until_time: Millis


class Member(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="member/1"
):
    """An entry of the network map. `identity` and `reading_log` keep their history; `serial` grows with each one."""

    network: Bytes32
    party: PartyField
    name: Name
    kind: Literal["hospital", "laboratory", "insurer", "research", "agent", "authority", "notary"]
    identity: Annotated[tuple[IdentityKey, ...], msgspec.Meta(min_length=1, max_length=256)]
    box_key: Bytes32
    tls_key: Bytes32
    reading_log: Annotated[tuple[ReadingLogKey, ...], msgspec.Meta(min_length=1, max_length=256)]
    endpoints: Annotated[tuple[Text, ...], msgspec.Meta(max_length=8)]
    serial: U63
    active: bool

    def keys_at(self, at: int) -> frozenset[Key]:
        return frozenset(k.key for k in self.identity if k.from_time <= at < k.until_time)

    def reading_log_keys(self, at: int) -> tuple[bytes, ...]:
        """Return the keys that may vouch for an entry or head made at `at`, the newest first.

        Later keys as well: a log signs all that it holds anew with each checkpoint. A key that had ended may not.
        """
        return tuple(key.raw for key in reversed(self.reading_log) if key.until_time > at)


class SignedMember(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="signed-member/1"
):
    """A map entry, signed by the member's founding key and by an operator of the map."""

    body: Annotated[bytes, msgspec.Meta(max_length=1 << 16)]
    founding: EvidenceSignature
    operator: EvidenceSignature


PARAMETERS = Codec(NetworkParameters, "network parameters", PARAMETERS_BYTES_MAX)
SIGNED_PARAMETERS = Codec(SignedParameters, "signed parameters", PARAMETERS_BYTES_MAX + 512)
MEMBER = Codec(Member, "map entry", 1 << 16)
SIGNED_MEMBER = Codec(SignedMember, "signed map entry", (1 << 16) + 1_024)


def network_id(founding_key: Key, name: str) -> bytes:
    """H("network", key ‖ name)."""
    return tagged_hash("network", encode(founding_key), name.encode())


def parameters_id(body: bytes) -> bytes:
    """Return the id of published parameters: SHA-256 of their bytes."""
    return sha256(body).digest()


def open_parameters(published: SignedParameters, network: bytes) -> NetworkParameters:
    """Return the parameters that the founding key of `network` (the pinned id) signed.

    Raises MalformedBytes, InvalidSignature.
    """
    parameters = PARAMETERS.decode(published.body)
    if parameters.network != network:
        raise InvalidSignature("network parameters", "they are of another network")
    if published.signature.key != parameters.founding_key:
        raise InvalidSignature("network parameters", "not signed by the founding key")
    verify_evidence(published.signature, network, published.body, parameters.relying)
    return parameters


def open_member(entry: SignedMember, parameters: NetworkParameters) -> Member:
    """Return a map entry whose founding key and operator signed it. Raises as `open_parameters`."""
    member = MEMBER.decode(entry.body)
    if member.network != parameters.network:
        raise InvalidSignature("map entry", "it is of another network")
    if entry.founding.key != key_of(member.party):
        raise InvalidSignature("map entry", "not signed by the key that its DID names")
    if entry.operator.key not in parameters.operators:
        raise InvalidSignature("map entry", "not signed by an operator of the map")
    verify_evidence(entry.founding, parameters.network, entry.body, parameters.relying)
    verify_evidence(entry.operator, parameters.network, entry.body, parameters.relying)
    return member


class ParametersHistory:
    """All versions that a node knows, by id and by time."""

    def __init__(self, versions: Iterable[tuple[bytes, NetworkParameters]]) -> None:
        self._by_id = dict(versions)
        self._in_order = sorted(self._by_id.items(), key=lambda item: item[1].from_time)

    def by_id(self, id_: bytes) -> NetworkParameters:
        """Return the parameters with this id; raises UnknownParameters."""
        try:
            return self._by_id[id_]
        except KeyError:
            raise UnknownParameters(f"no parameters {id_.hex()[:16]} are known here") from None

    def in_force(self, at: int) -> tuple[bytes, NetworkParameters]:
        """Return (id, parameters) in force at `at`; raises UnknownParameters before the first."""
        found = None
        for id_, parameters in self._in_order:
            if parameters.from_time <= at:
                found = id_, parameters
        if found is None:
            raise UnknownParameters(f"no parameters are in force at {at}")
        return found


class Directory(Protocol):
    """Who signs for an organisation: the network map, or the entries that a proof bundle carries."""

    def identity_keys(self, party: Party, at: int) -> frozenset[Key]:
        """Return the keys that may sign transactions for `party` at `at`; raises UnknownParty."""


class MemberDirectory:
    """A directory over verified map entries, the newest version of each member."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members: dict[Party, Member] = {}
        for member in members:
            known = self.members.get(member.party)
            if known is None or known.serial < member.serial:
                self.members[member.party] = member

    def latest(self, party: Party) -> Member | None:
        """Return the newest entry of a member, past ones included."""
        return self.members.get(party)

    def identity_keys(self, party: Party, at: int) -> frozenset[Key]:
        member = self.members.get(party)
        keys = member.keys_at(at) if member is not None else frozenset()
        if not keys:
            raise UnknownParty(party)
        return keys
