"""Who takes part: an organisation is the did:key of its offline founding key (specification §3.1)."""

from typing import Annotated, NewType

import msgspec

Party = NewType("Party", str)
"""The DID of an organisation's founding key; it never changes, the keys in use do."""

PartyField = Annotated[Party, msgspec.Meta(min_length=12, max_length=128, pattern="^did:key:z")]

PatientId = NewType("PatientId", bytes)
"""16 random bytes that name a patient between one custodian (or grantee) and her agent only."""

PatientIdField = Annotated[PatientId, msgspec.Meta(min_length=16, max_length=16)]
