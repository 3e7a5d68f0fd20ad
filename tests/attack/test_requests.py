"""A recipient that asks for what is not his: replays, late signatures, keys after the end, chunks of others."""

import msgspec
import pytest

from flows.finality import Proposal
from flows.services import Signatures
from flows.subjects.blob import Keys, NotReleased
from flows.subjects.consent import RevokeConsent
from flows.subjects.disclosure import (
    DISCLOSURE,
    Asked,
    AskFor,
    MakeDisclosure,
    WriteRequest,
)
from flows.subjects.restriction import Restrict
from states.crypto.signatures import sign_evidence
from states.encoding import encode
from states.state import TransactionId
from states.subjects.terms import Terms
from tests.attack.bad_input import said
from tests.attack.liar import Liar, count, stuck
from tests.simulation.neighbours import ADA, REED
from tests.simulation.test_story import granted
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=11)


class Recipient(Liar):
    """Riverside, which has Ada's consent, and whose wire lies."""

    def __init__(self, village: Village) -> None:
        self.consent = granted(village)
        super().__init__(village, "Riverside")
        self.mercy = self.attach("Mercy")
        self.attach("Agent")

    def asks(self, **changes: object) -> Asked:
        """Write a request as an honest node would, change it, and sign it again."""
        written = self.node.disclosures.write_request(
            self.step(), WriteRequest(self.consent, REED, "TREAT", ())
        )
        assert written.asked is not None
        return self.signs(msgspec.structs.replace(written.asked.request, **changes))

    def signs(self, request: AskFor) -> Asked:
        network = self.village.parameters.network
        return Asked(request, sign_evidence(self.node.ground.identity, network, encode(request)))

    def request(self, asked: Asked) -> bytes:
        return self.open(self.mercy, MakeDisclosure.name, asked)

    def is_offered(self, session: bytes) -> tuple[TransactionId, bytes]:
        proposal, parts = self.heard_of(session, Proposal)
        return proposal.tx, parts[0]

    def holds(self, asked: Asked, part: bytes) -> Signatures:
        held = self.node.vault.hold_proposal(
            self.step(), self.mercy, part, DISCLOSURE, asked.request.number
        )
        return Signatures(held.tx, self.node.vault.own_signatures(self.node.db, held.tx))


@pytest.fixture
def recipient(village: Village) -> Recipient:
    return Recipient(village)


def test_a_request_with_a_number_that_was_used_is_refused_and_parks_nothing(
    village: Village, recipient: Recipient
) -> None:
    asked = recipient.asks()
    recipient.is_offered(recipient.request(asked))
    again = recipient.request(asked)
    village.pass_time(60_000)
    assert recipient.fault_in(again).code == "asked-before"
    assert stuck(village.nodes["Mercy"]) == []
    assert count(village.nodes["Mercy"], "disclosure_request") == 1


@pytest.mark.parametrize("key", [b"", b"\1" + bytes(32), b"\7" * 40, b"\2" + b"\xff" * 1_216])
def test_a_request_with_a_key_that_nothing_can_be_wrapped_for_discloses_nothing(
    village: Village, recipient: Recipient, key: bytes
) -> None:
    asked = recipient.asks(epoch_key=key)
    session = recipient.request(asked)
    assert recipient.fault_in(session).code in ("failed", "epoch-key")
    village.pass_time(60_000)
    mercy = village.nodes["Mercy"]
    assert stuck(mercy) == []
    assert count(mercy, "disclosure") == 0
    assert count(mercy, "ledger_tx") == 2, "no draft is left either"


def test_a_recipient_gets_no_key_of_what_was_closed_while_he_kept_his_signature_back(
    village: Village, recipient: Recipient
) -> None:
    asked = recipient.asks()
    session = recipient.request(asked)
    _, part = recipient.is_offered(session)
    signatures = recipient.holds(asked, part)
    closing = Terms("deny", None, None, (), ("laboratory",), ())
    village.run("Agent", Restrict(ADA, recipient.mercy, closing))
    village.pass_time(60_000)
    recipient.say(recipient.mercy, session, signatures)
    assert isinstance(recipient.heard_of(session, Keys | NotReleased)[0], NotReleased)  # type: ignore[arg-type]


def test_a_recipient_gets_no_key_after_revocation(village: Village, recipient: Recipient) -> None:
    asked = recipient.asks()
    session = recipient.request(asked)
    _, part = recipient.is_offered(session)
    signatures = recipient.holds(asked, part)
    village.run("Agent", RevokeConsent(recipient.consent))
    recipient.say(recipient.mercy, session, signatures)
    said("kept back", recipient.heard_of(session, NotReleased)[0])
    assert count(village.nodes["Mercy"], "disclosure") == 0
