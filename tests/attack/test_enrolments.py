"""An agent that would have another's patient: codes used twice, names that are taken, enrolments exchanged."""

import pytest

from app.vault.reader import NotEnrolled
from flows.store import Status
from flows.subjects.enrolment import (
    AnswerApplication,
    Application,
    CustodianSigned,
    EnrolmentOffer,
    Kept,
    OfferEnrolment,
)
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.policy import One
from states.crypto.signatures import sign_evidence
from states.encoding import encode
from states.enrolment import Enrolment, SignedEnrolment
from states.identity import PatientId
from tests.attack.bad_input import said
from tests.attack.liar import Liar, stuck
from tests.simulation.neighbours import ADA, enrol, result
from tests.simulation.village import Village

MALLORY = Ed25519Signer(b"m" * 32)


@pytest.fixture
def village() -> Village:
    village = Village(seed=13)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    return village


class OtherAgent(Liar):
    """A member that acts as an agent, with keys of its own making."""

    def __init__(self, village: Village) -> None:
        super().__init__(village, "Northside")
        self.mercy = self.attach("Mercy")

    def code(self, local: str) -> bytes:
        """What somebody who stands at the desk is given."""
        flow = self.village.run("Mercy", OfferEnrolment(local))
        offer = result(self.village, "Mercy", flow, EnrolmentOffer)
        return self.village.nodes["Mercy"].enrolments.open_offer(offer)

    def applies(self, code: bytes, patient: bytes) -> bytes:
        application = Application(code, PatientId(patient), One(MALLORY.key))
        return self.open(self.mercy, AnswerApplication.name, application)

    def signs(self, session: bytes, enrolment: Enrolment | None = None) -> None:
        brought, _ = self.heard_of(session, CustodianSigned)
        enrolment = enrolment or brought.enrolment
        body = encode(enrolment)
        mine = sign_evidence(MALLORY, self.village.parameters.network, body)
        self.say(self.mercy, session, SignedEnrolment(enrolment, brought.custodian, (mine,)))


def of_ada(village: Village) -> Enrolment:
    mercy = village.nodes["Mercy"]
    return mercy.enrolments.of_local(mercy.db, mercy.me, "MRN 4711")


def test_a_code_for_one_patient_does_not_take_over_the_name_of_another(village: Village) -> None:
    liar, before = OtherAgent(village), of_ada(village)
    session = liar.applies(liar.code("MRN 6666"), before.patient)
    assert liar.fault_in(session).code == "enrolled"
    assert of_ada(village) == before
    assert stuck(village.nodes["Mercy"]) == []


def test_a_code_is_used_once(village: Village) -> None:
    liar = OtherAgent(village)
    code = liar.code("MRN 6666")
    first = liar.applies(code, b"1" * 16)
    liar.signs(first)
    second = liar.applies(code, b"2" * 16)
    assert liar.fault_in(second).code == "code"


def test_a_used_code_does_not_exchange_the_key_of_the_enrolment_that_it_made(
    village: Village,
) -> None:
    liar = OtherAgent(village)
    code = liar.code("MRN 6666")
    liar.signs(liar.applies(code, b"1" * 16))
    mercy = village.nodes["Mercy"]
    before = mercy.enrolments.of_local(mercy.db, mercy.me, "MRN 6666")
    other = Application(code, PatientId(b"1" * 16), One(Ed25519Signer(b"n" * 32).key))
    session = liar.open(liar.mercy, AnswerApplication.name, other)
    assert liar.fault_in(session).code == "enrolled"
    assert mercy.enrolments.of_local(mercy.db, mercy.me, "MRN 6666") == before


def test_two_codes_for_one_patient_make_one_enrolment(village: Village) -> None:
    liar = OtherAgent(village)
    codes = [liar.code("MRN 6666"), liar.code("MRN 6666")]
    sessions = [liar.applies(code, bytes([n]) * 16) for n, code in enumerate(codes, 1)]
    for session in sessions:
        liar.signs(session)
    mercy = village.nodes["Mercy"]
    found = mercy.db.execute("SELECT patient FROM enrolment WHERE local = 'MRN 6666'").fetchall()
    assert found == [(b"\1" * 16,)]
    assert liar.heard_of(sessions[0], Kept)
    assert liar.fault_in(sessions[1]).code == "enrolled"


def test_a_guessed_code_is_worth_nothing_and_a_late_one_too(village: Village) -> None:
    liar = OtherAgent(village)
    assert liar.fault_in(liar.applies(bytes(16), b"1" * 16)).code == "code"
    code = liar.code("MRN 6666")
    village.pass_time(15 * 60_000)
    assert liar.fault_in(liar.applies(code, b"1" * 16)).code == "code"
    for failed in village.nodes["Mercy"].engine.flows((Status.FAILED,)):
        said("code", failed.why)


def test_another_enrolment_than_the_custodian_signed_is_not_kept(village: Village) -> None:
    liar = OtherAgent(village)
    session = liar.applies(liar.code("MRN 6666"), b"1" * 16)
    ada = of_ada(village)
    forged = Enrolment(ada.custodian, ada.patient, One(MALLORY.key), liar.party, ada.from_time)
    liar.signs(session, forged)
    assert liar.fault_in(session).code == "failed"
    assert of_ada(village) == ada
    mercy = village.nodes["Mercy"]
    with pytest.raises(NotEnrolled):
        mercy.enrolments.of_local(mercy.db, mercy.me, "MRN 6666")
