"""Enrolment: which key is this patient's at this custodian, and who is her agent (§5.1)."""

import msgspec

from states.crypto.policy import Policy, is_satisfied
from states.crypto.signatures import EvidenceSignature, verify_evidence
from states.encoding import Codec, encode
from states.errors import InvalidSignature
from states.identity import PartyField, PatientIdField, require_did
from states.parameters import Directory, NetworkParameters
from states.sizes import Millis


class Enrolment(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="enrolment/1"
):
    """Agreed at the desk with a one-time code: it alone pins a patient's authority at a custodian."""

    custodian: PartyField
    patient: PatientIdField
    authority: Policy
    agent: PartyField
    from_time: Millis

    def __post_init__(self) -> None:
        require_did(self.custodian)
        require_did(self.agent)


class SignedEnrolment(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="signed-enrolment/1",
):
    """An enrolment signed by the custodian's identity key and by the patient's authority."""

    enrolment: Enrolment
    custodian: EvidenceSignature
    patient: tuple[EvidenceSignature, ...]


ENROLMENT = Codec(Enrolment, "enrolment", 1 << 14)
SIGNED_ENROLMENT = Codec(SignedEnrolment, "signed enrolment", 1 << 15)


def check_enrolment(
    signed: SignedEnrolment, parameters: NetworkParameters, directory: Directory
) -> Enrolment:
    """Return the enrolment if both sides signed its encoding. Raises InvalidSignature, UnknownParty."""
    enrolment = signed.enrolment
    body = encode(enrolment)
    keys = directory.identity_keys(enrolment.custodian, enrolment.from_time)
    if signed.custodian.key not in keys:
        raise InvalidSignature("enrolment", "not signed by the custodian")
    for signature in (signed.custodian, *signed.patient):
        verify_evidence(signature, parameters.network, body, parameters.relying)
    if not is_satisfied(enrolment.authority, frozenset(s.key for s in signed.patient)):
        raise InvalidSignature("enrolment", "not signed by the patient's authority")
    return enrolment
