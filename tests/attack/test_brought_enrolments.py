"""A peer that brings a restored node enrolments that never were: only what each side can prove is taken back."""

import pytest

from app.subjects.enrolment_recall import BroughtEnrolment
from app.vault.reader import NotEnrolled
from flows.enrolment_recall import BringEnrolments
from flows.recovery import Recover
from flows.store import FlowRow
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
from states.crypto.signatures import Signer, sign_evidence
from states.encoding import encode
from states.enrolment import Enrolment, SignedEnrolment
from states.identity import Party, PatientId
from tests.attack.liar import Liar, count
from tests.simulation.neighbours import ADA, enrol, result
from tests.simulation.restoring import image_of, put_back
from tests.simulation.test_story import granted
from tests.simulation.village import Village

MALLORY = Ed25519Signer(b"m" * 32)
LOCAL = "MRN 6666"


@pytest.fixture
def village() -> Village:
    village = Village(seed=14)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    return village


class Bringer(Liar):
    """A peer that a restored node asks, and that says what it likes."""

    def asked_by(self, victim: str) -> FlowRow:
        """Let the victim recover from this peer alone."""
        self._victim = self.village.nodes[victim]
        self._flow = self._victim.engine.start(Recover(self.party, 0))
        self.village.settle()
        return self.how_it_went()

    def brings(self, *brought: BroughtEnrolment) -> None:
        session = self.heard[-1][1].session
        self._said.setdefault(session, 0)
        self.say(self._victim.me, session, BringEnrolments(), (encode(brought),))

    def ends(self) -> FlowRow:
        self.say(self._victim.me, self.heard[-1][1].session, BringEnrolments())
        return self.how_it_went()

    def how_it_went(self) -> FlowRow:
        row = self._victim.engine.flow(self._flow)
        assert row is not None
        return row

    def signed(self, signer: Signer, enrolment: Enrolment) -> SignedEnrolment:
        network = self.village.parameters.network
        custodian = sign_evidence(self.node.ground.identity, network, encode(enrolment))
        patient = sign_evidence(signer, network, encode(enrolment))
        return SignedEnrolment(enrolment, custodian, (patient,))


def applied(village: Village, liar: Liar) -> tuple[bytes, SignedEnrolment]:
    """Let a liar, as an agent, get Mercy's signature by a code; it has not sent its own yet."""
    mercy = village.party("Mercy")
    offer = result(village, "Mercy", village.run("Mercy", OfferEnrolment(LOCAL)), EnrolmentOffer)
    code = village.nodes["Mercy"].enrolments.open_offer(offer)
    application = Application(code, PatientId(b"1" * 16), One(MALLORY.key))
    session = liar.open(mercy, AnswerApplication.name, application)
    said, _ = liar.heard_of(session, CustodianSigned)
    mine = sign_evidence(MALLORY, village.parameters.network, encode(said.enrolment))
    return session, SignedEnrolment(said.enrolment, said.custodian, (mine,))


def lives_at_mercy(village: Village) -> bool:
    mercy = village.nodes["Mercy"]
    try:
        mercy.enrolments.of_local(mercy.db, mercy.me, LOCAL)
    except NotEnrolled:
        return False
    return True


def test_what_the_custodian_signed_and_never_kept_is_not_taken_back(village: Village) -> None:
    liar = Bringer(village, "Northside")
    liar.attach("Mercy")
    image = image_of(village, "Mercy")
    _, signed = applied(village, liar)
    keepsake = liar.node.enrolments.keepsake(signed, LOCAL)  # sealed by somebody else's key
    put_back(village, "Mercy", image, ())
    liar.attach("Mercy")
    liar.asked_by("Mercy")
    liar.brings(BroughtEnrolment(signed, keepsake))
    liar.ends()
    assert not lives_at_mercy(village)


def test_what_the_custodian_kept_is_taken_back_by_its_own_keepsake_alone(village: Village) -> None:
    liar = Bringer(village, "Northside")
    liar.attach("Mercy")
    image = image_of(village, "Mercy")
    session, signed = applied(village, liar)
    liar.say(village.party("Mercy"), session, signed)
    kept, _ = liar.heard_of(session, Kept)
    put_back(village, "Mercy", image, ())
    liar.attach("Mercy")
    liar.asked_by("Mercy")
    assert kept.keepsake.count(LOCAL.encode()) == 0
    liar.brings(BroughtEnrolment(signed, kept.keepsake))
    liar.ends()
    assert lives_at_mercy(village)


def test_a_keepsake_proves_no_other_enrolment(village: Village) -> None:
    liar = Bringer(village, "Northside")
    liar.attach("Mercy")
    image = image_of(village, "Mercy")
    session, signed = applied(village, liar)
    liar.say(village.party("Mercy"), session, signed)
    kept, _ = liar.heard_of(session, Kept)
    village.pass_time(1_000)
    _, later = applied(village, liar)
    assert later.enrolment != signed.enrolment
    put_back(village, "Mercy", image, ())
    liar.attach("Mercy")
    liar.asked_by("Mercy")
    liar.brings(BroughtEnrolment(later, kept.keepsake))
    liar.ends()
    assert not lives_at_mercy(village)


def test_an_agent_takes_back_none_that_its_patients_key_did_not_sign(village: Village) -> None:
    liar = Bringer(village, "Mercy")
    liar.attach("Agent")
    agent = village.nodes["Agent"]
    now = village.clock.now
    theirs = Enrolment(liar.party, PatientId(b"1" * 16), One(MALLORY.key), agent.me, now)
    mine = Enrolment(
        liar.party,
        PatientId(b"2" * 16),
        One(agent.enrolments.authority(ADA, liar.party).key),
        agent.me,
        village.clock.now,
    )
    liar.asked_by("Agent")
    liar.brings(BroughtEnrolment(liar.signed(MALLORY, theirs), b"keepsake"))
    assert count(agent, "enrolment") == 0, "no patient of this agent has that key"
    liar.brings(BroughtEnrolment(liar.signed(MALLORY, mine), b"keepsake"))
    assert liar.how_it_went().why.startswith("InvalidSignature")
    assert count(agent, "enrolment") == 0


def test_a_custodian_does_not_exchange_what_lives_at_the_agent(village: Village) -> None:
    enrol(village, "Mercy", LOCAL)
    agent = village.nodes["Agent"]
    before = agent.db.execute("SELECT * FROM enrolment").fetchall()
    liar = Bringer(village, "Mercy")
    liar.attach("Agent")
    ada = agent.enrolments.authority(ADA, liar.party)
    other = Enrolment(liar.party, PatientId(b"2" * 16), One(ada.key), agent.me, village.clock.now)
    liar.asked_by("Agent")
    liar.brings(BroughtEnrolment(liar.signed(ada, other), b"keepsake"))
    liar.ends()
    assert agent.db.execute("SELECT * FROM enrolment").fetchall() == before


def test_a_grantee_does_not_become_a_custodian_by_the_name_that_a_consent_told_it() -> None:
    """It publishes about her, is asked for an enrolment, and brings one for whose authority it has the key itself."""
    village = Village(seed=15)
    granted(village)
    agent = village.nodes["Agent"]
    liar = Bringer(village, "Riverside")
    liar.attach("Agent")
    told = liar.node.db.execute("SELECT pairwise FROM statement").fetchone()[0]
    theirs = Enrolment(liar.party, PatientId(told), One(MALLORY.key), agent.me, village.clock.now)
    liar.asked_by("Agent")
    liar.brings(BroughtEnrolment(liar.signed(MALLORY, theirs), b"keepsake"))
    liar.ends()
    with pytest.raises(NotEnrolled):
        agent.enrolments.of_local(agent.db, liar.party, ADA.hex())
    with pytest.raises(NotEnrolled):
        agent.enrolments.of_patient(agent.db, liar.party, PatientId(told))


def test_a_peer_that_brings_enrolments_without_end_does_not_fill_the_disk(
    village: Village,
) -> None:
    """They ascend, and none is of a patient here: what was taken of them is not kept."""
    liar = Bringer(village, "Mercy")
    liar.attach("Agent")
    agent = village.nodes["Agent"]
    liar.asked_by("Agent")
    for number in range(1, 9):
        name, now = PatientId(number.to_bytes(16, "big")), village.clock.now
        theirs = Enrolment(liar.party, name, One(MALLORY.key), agent.me, now)
        liar.brings(BroughtEnrolment(liar.signed(MALLORY, theirs), b"keepsake"))
        assert count(agent, "flow_part") <= 1
    liar.ends()
    assert count(agent, "flow_part") == 0


@pytest.mark.parametrize("fault", ["descends", "between others", "empty", "keepsake"])
def test_a_page_that_is_not_what_was_asked_for_ends_the_conversation(
    village: Village, fault: str
) -> None:
    liar = Bringer(village, "Mercy")
    liar.attach("Agent")
    agent = village.nodes["Agent"]
    ada = agent.enrolments.authority(ADA, liar.party)

    def of(patient: bytes, custodian: Party, keepsake: bytes = b"keepsake") -> BroughtEnrolment:
        names = custodian, PatientId(patient * 16), One(ada.key), agent.me, village.clock.now
        return BroughtEnrolment(liar.signed(ada, Enrolment(*names)), keepsake)

    liar.asked_by("Agent")
    pages = {
        "descends": (of(b"2", liar.party), of(b"1", liar.party)),
        "between others": (of(b"1", village.party("Riverside")),),
        "empty": (),
        "keepsake": (of(b"1", liar.party, b"k" * 2_000),),
    }
    liar.brings(*pages[fault])
    assert liar.how_it_went().why.startswith("MalformedBytes")
    assert count(agent, "enrolment") == 0
