"""The cast of the contract tests: seeded keys, parties, parameters. Nothing here is random."""

from hashlib import sha256

from states.contract import Contracts
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import Key
from states.crypto.policy import One, Policy, any_of
from states.encoding import encode
from states.identity import Party, PatientId
from states.parameters import (
    AllowedContract,
    Limits,
    NetworkParameters,
    NotaryInfo,
    UnknownParty,
    network_id,
    parameters_id,
)
from states.subjects.consent import ConsentContract
from states.subjects.disclosure import DisclosureContract
from states.subjects.notary_change import with_notary_change
from states.subjects.record import RecordContract
from states.subjects.restriction import RestrictionContract

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
NOW = 1_795_341_600_000  # 2026-11-22, 10:00 UTC

NO_CORPUS = bytes(32)
"""Stands for each corpus in the corpus' own parameters: a file cannot hold its own hash."""


def seeded(*what: str | int) -> bytes:
    """32 bytes that look random and are the same every time."""
    return sha256(repr(("contract tests", *what)).encode()).digest()


def signer(name: str) -> Ed25519Signer:
    return Ed25519Signer(seeded("key", name))


def party(name: str) -> Party:
    return Party(did_of(signer(name + ", founding").key))


MERCY, RIVERSIDE, LABORATORY = party("Mercy"), party("Riverside"), party("laboratory")
AGENT, OTHER_AGENT = party("agent"), party("another agent")
NOTARY, OTHER_NOTARY = party("notary"), party("another notary")
STRANGER = party("nobody in the map")

ORGANISATIONS = {MERCY: "Mercy", RIVERSIDE: "Riverside", LABORATORY: "laboratory", AGENT: "agent"}
SIGNERS = {
    found.key: found
    for found in map(
        signer, (*ORGANISATIONS.values(), "Mercy, next", "Ada", "Ada, new", "guardian", "Mallory")
    )
}

ADA: Policy = One(signer("Ada").key)
ADA_AND_GUARDIAN: Policy = any_of(
    2, [(1, One(signer("Ada, new").key)), (1, One(signer("guardian").key))]
)
MALLORY: Policy = One(signer("Mallory").key)
ADA_AT_MERCY = PatientId(seeded("Ada at Mercy")[:16])
ADA_AT_RIVERSIDE = PatientId(seeded("Ada at Riverside")[:16])
DR_REED = seeded("s19")[:16]


def identity(organisation: Party) -> Policy:
    """The policy of an organisation's identity key."""
    return One(signer(ORGANISATIONS[organisation]).key)


CONTRACTS = Contracts(
    with_notary_change(
        [
            RecordContract(NO_CORPUS),
            ConsentContract(NO_CORPUS),
            RestrictionContract(NO_CORPUS),
            DisclosureContract(NO_CORPUS),
        ],
        NO_CORPUS,
    )
)


def _parameters() -> NetworkParameters:
    founding = signer("network").key
    notaries = tuple(
        NotaryInfo(did, f"notary.example/{at}", seeded("log", at), seeded("cosigner", at))
        for at, did in enumerate((NOTARY, OTHER_NOTARY))
    )
    return NetworkParameters(
        network=network_id(founding, "contract tests"),
        name="contract tests",
        version=1,
        from_time=0,
        founding_key=founding,
        notaries=notaries,
        contracts=tuple(AllowedContract(name, NO_CORPUS, 0) for name in sorted(CONTRACTS.by_name)),
        limits=Limits(),
        implicit_policy="deny",
        origins=(),
        rp_ids=(),
        issuers=(),
        operators=(),
    )


PARAMETERS = _parameters()
PARAMETERS_ID = parameters_id(encode(PARAMETERS))


class Keys:
    """A directory of identity keys, each good at any time."""

    def __init__(self, keys: dict[Party, frozenset[Key]]) -> None:
        self.keys = keys

    def identity_keys(self, organisation: Party, at: int) -> frozenset[Key]:
        assert at >= 0
        try:
            return self.keys[organisation]
        except KeyError:
            raise UnknownParty(organisation) from None


DIRECTORY = Keys(
    {did: frozenset({signer(name).key}) for did, name in ORGANISATIONS.items()}
    | {MERCY: frozenset({signer("Mercy").key, signer("Mercy, next").key})}
)
