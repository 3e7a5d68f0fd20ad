"""A resident whose wire is in an attacker's hands: he has her keys and her vault, and says what he likes."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TypeVar

import msgspec

from app.assembly import Assembly
from app.vault.subject import Step
from flows.envelope import FAULT, Envelope, Fault, Hello, Kind, Opening
from flows.session import message_codec
from flows.step import StepContext
from flows.store import FlowRow, Status
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment
from states.encoding import encode
from states.identity import Party
from tests.simulation.neighbours import result
from tests.simulation.village import Village

M = TypeVar("M", bound=msgspec.Struct)


class Liar:
    """Takes a resident's place on the wire. Its node stays, for building what an honest one would not send."""

    def __init__(self, village: Village, name: str) -> None:
        self.village = village
        self.node: Assembly = village.nodes.pop(name)
        self.party: Party = self.node.me
        self.heard: list[tuple[Party, Envelope]] = []
        self._incarnation = village.entropy(16)
        self._numbers: dict[Party, int] = {}
        self._said: dict[bytes, int] = {}
        self.engine = self  # what the village delivers to
        village._by_party[self.party] = SimpleNamespace(engine=self)  # type: ignore[assignment]  # a wire

    # -- what the village's wire calls -------------------------------------------------------------

    def deliver(self, peer: Party, envelopes: Sequence[Envelope]) -> None:
        self.heard += [(peer, envelope) for envelope in envelopes]
        self._engine(peer).acked(self.party, envelopes[-1].number)

    def acked(self, peer: Party, upto: int) -> None:
        """Nothing is kept to be sent again."""

    # -- what an attacker does ---------------------------------------------------------------------

    def attach(self, victim: str) -> Party:
        """Open a connection as somebody who was restored from a backup: all numbers begin again."""
        node = self.village.nodes[victim]
        greeting = node.engine.connected(self.party)
        node.engine.hello(self.party, Hello(self._incarnation, greeting.incarnation, 0, ()))
        self._numbers[node.me] = 0
        self.village.settle()
        return node.me

    def send(
        self, to: Party, kind: Kind, session: bytes, seq: int, body: bytes, parts: tuple[bytes, ...]
    ) -> None:
        self._numbers[to] += 1
        envelope = Envelope(self._numbers[to], int(kind), session, seq, body, parts)
        self._engine(to).deliver(self.party, [envelope])

    def open(
        self,
        to: Party,
        responder: str,
        message: msgspec.Struct | bytes,
        parts: tuple[bytes, ...] = (),
        *,
        letter: bool = False,
        session: bytes | None = None,
    ) -> bytes:
        """Begin a conversation, or send a letter; return the session."""
        session = session or self.village.entropy(16)
        said = message if isinstance(message, bytes) else encode(message)
        body = encode(Opening("attack/1", responder, said))
        self.send(to, Kind.LETTER if letter else Kind.INIT, session, 0, body, parts)
        self._said[session] = 1
        self.village.settle()
        return session

    def say(
        self, to: Party, session: bytes, message: msgspec.Struct, parts: tuple[bytes, ...] = ()
    ) -> None:
        self.send(to, Kind.DATA, session, self._said[session], encode(message), parts)
        self._said[session] += 1
        self.village.settle()

    def heard_in(self, session: bytes) -> list[Envelope]:
        return [envelope for _, envelope in self.heard if envelope.session == session]

    def heard_of(self, session: bytes, kind: type[M]) -> tuple[M, tuple[bytes, ...]]:
        """Return the last message of a session, which is of this kind, and its parts."""
        last = [e for e in self.heard_in(session) if e.kind == Kind.DATA][-1]
        return message_codec(kind).decode(last.body), last.parts

    def fault_in(self, session: bytes) -> Fault:
        """Return how the other side ended the session."""
        last = self.heard_in(session)[-1]
        assert last.kind in (Kind.ERROR, Kind.REJECT), Kind(last.kind)
        return FAULT.decode(last.body)

    def step(self) -> Step:
        """A unit of work on the liar's own database, outside of any flow."""
        return StepContext(
            self.node.engine, bytes(16), self.village.clock.now, self.node.db, doubt=False
        )

    def _engine(self, party: Party):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an Engine[Connection]
        return self.village._by_party[party].engine


def stuck(node: Assembly) -> list[FlowRow]:
    """Return the flows of a node that wait for an operator, or are tried again and again."""
    return node.engine.flows((Status.OBSERVED, Status.RETRYING))


def count(node: Assembly, table: str) -> int:
    """Return how many rows a table of a node has; the name is the test's own."""
    found: int = node.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


def enrol_patient(village: Village, custodian: str, local: str, patient: bytes) -> None:
    """Enrol a patient of the village's agent by its own handle of her."""
    node = village.nodes[custodian]
    flow = village.run(custodian, OfferEnrolment(local))
    offer = result(village, custodian, flow, EnrolmentOffer)
    code = node.enrolments.open_offer(offer)
    flow = village.run("Agent", EnrolPatient(patient, node.me, code))
    row = village.nodes["Agent"].engine.flow(flow)
    assert row is not None
    assert row.status == Status.DONE, row.why
