"""Who takes part: an organisation is the did:key of its offline founding key (specification §1.5)."""

from functools import lru_cache
from typing import Annotated, NewType

import msgspec

from states.crypto.did import key_of
from states.errors import MalformedBytes

Party = NewType("Party", str)
"""The DID of an organisation's founding key; it never changes, the keys in use do."""

PartyField = Annotated[Party, msgspec.Meta(min_length=12, max_length=128, pattern="^did:key:z")]


@lru_cache(1_024)  # a network has few parties; what is refused is not remembered
def require_did(party: str) -> None:
    """Raise ValueError unless `party` is the one spelling of a key's name (§1.5).

    For every value of the ledger that names a party: the type alone takes any text that begins like one.
    """
    try:
        key_of(party)
    except MalformedBytes as refused:
        raise ValueError(str(refused)) from refused


PatientId = NewType("PatientId", bytes)
"""16 random bytes that name a patient between one custodian (or grantee) and her agent only."""

PatientIdField = Annotated[PatientId, msgspec.Meta(min_length=16, max_length=16)]
