"""A member's node as `carecord node` runs it, with what a benchmark asks of it beside its doors."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter

import msgspec

from app.auth.sessions import Role, Session
from app.bench.observations import observations
from app.bench.town import Place
from app.config import PASSPHRASE, load_config
from app.demo.network import DEMO_PASSPHRASE
from app.fhir.resource import read_resource
from app.gate import Refused
from app.intake import Intake
from app.keystore.errors import KeyExists
from app.node_file import NODE_FILE
from app.web.node_app import MemberProcess
from flows.flow import Flow
from flows.services import Done
from flows.store import Status
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment, Practitioner
from flows.subjects.record import Published, PublishRecords
from flows.turn import TurnResult
from states.encoding import encode
from states.identity import Party
from states.state import StateRef, TransactionId

DOCTOR = bytes(range(16))
HOUR = timedelta(hours=1)
_NEW = "SELECT seq, tx FROM ledger_tx WHERE seq > ? ORDER BY seq"


class Offer(msgspec.Struct, frozen=True, array_like=True, tag="offer"):
    """At a custodian: draw a one-time code for a patient."""

    local: str


class Code(msgspec.Struct, frozen=True, array_like=True, tag="code"):
    """The code."""

    code: bytes


class Admit(msgspec.Struct, frozen=True, array_like=True, tag="admit"):
    """At the agent: enrol a patient with it."""

    patient: bytes
    custodian: str
    code: bytes


class Publish(msgspec.Struct, frozen=True, array_like=True, tag="publish"):
    """At a custodian: validate, seal and publish so many Observations in one transaction."""

    local: str
    count: int


class Took(msgspec.Struct, frozen=True, array_like=True, tag="took"):
    """When it began, when all were sealed and staged, and which transaction it became."""

    begun: float
    staged: float
    tx: bytes


class Read(msgspec.Struct, frozen=True, array_like=True, tag="read"):
    """At a custodian: let one of its clinicians open so many records of a publication, one after the other."""

    tx: bytes
    count: int


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """How long that took, in seconds; each reading was in the durable log before its bytes were."""

    seconds: float


class Stamps(msgspec.Struct, frozen=True, array_like=True, tag="stamps"):
    """When did this node record each of its transactions?"""


class Stamped(msgspec.Struct, frozen=True, array_like=True, tag="stamped"):
    """The moments, in seconds of the machine's own count, by transaction."""

    at: dict[bytes, float]


Command = Offer | Admit | Publish | Read | Stamps
_read_command: Callable[[bytes], Command] = msgspec.msgpack.Decoder(Command).decode


class BenchMember:
    """One member. Documents come from `observations`."""

    def __init__(self, place: Place) -> None:
        config = load_config(place.folder / NODE_FILE, {PASSPHRASE: DEMO_PASSPHRASE})
        self._process = MemberProcess(place.opening, config)
        self._node = self._process.node
        self._assembly = self._node.assembly
        self._seq = 0
        self._stamps: dict[bytes, float] = {}
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        turn = self._assembly.engine.turn

        def told() -> TurnResult:
            result = turn()
            self._watch(result)
            return result

        self._assembly.engine.turn = told  # type: ignore[method-assign]  # after the commit, before anything leaves

    async def start(self) -> None:
        await self._process.start()

    async def stop(self) -> None:
        await self._process.stop()

    @property
    def is_ready(self) -> bool:
        return self._node.is_ready

    async def answer(self, command: bytes) -> bytes:
        asked = _read_command(command)
        match asked:
            case Offer():
                offer = msgspec.msgpack.decode(
                    await self._run(OfferEnrolment(asked.local)), type=EnrolmentOffer
                )
                return encode(Code(self._assembly.enrolments.open_offer(offer)))
            case Admit():
                with suppress(KeyExists):  # she is a patient of this agent already
                    self._node.keys.add_patient(asked.patient)
                await self._run(EnrolPatient(asked.patient, Party(asked.custodian), asked.code))
                return encode(Done())
            case Publish():
                return encode(await self._publish(asked))
            case Read():
                return encode(Opened(self._read(asked)))
            case Stamps():
                return encode(Stamped(self._stamps))

    async def _publish(self, asked: Publish) -> Took:
        given = self._assembly.given
        intake = Intake(given.me, given.keys, given.blobs, self._assembly.enrolments, given.entropy)
        documents = observations(asked.count, given.entropy)
        begun = perf_counter()
        read = [read_resource(document) for document in documents]
        batch = intake.stage(self._node.db, intake.seal(self._node.db, asked.local, read))
        staged = perf_counter()
        published = msgspec.msgpack.decode(await self._run(PublishRecords(batch)), type=Published)
        return Took(begun, staged, published.tx)

    def _read(self, asked: Read) -> float:
        assembly = self._assembly
        doctor = Practitioner(DOCTOR, "Dr B. Bench", "clinician")
        assembly.enrolments.add_practitioner(self._node.db, doctor)
        now = datetime.now(UTC)
        session = Session(
            "bench", "bench", Role.CLINICIAN, DOCTOR.hex(), assembly.me, now, now + HOUR
        )
        begun = perf_counter()
        for at in range(asked.count):
            ref = StateRef(TransactionId(asked.tx), at)
            opened = assembly.gate.read_own(session, ref, "TREAT")
            assert not isinstance(opened, Refused), opened
            assert b"".join(opened.chunks), "a document is not empty"
        return perf_counter() - begun

    async def _run(self, flow: Flow) -> bytes:
        started = self._assembly.engine.start(flow)
        done = self._waiting[started] = asyncio.get_running_loop().create_future()
        self._node.pump.wake()
        result: bytes = await done
        return result

    def _watch(self, result: TurnResult) -> None:
        if not result.finished and not result.started:
            return
        now = perf_counter()
        for seq, tx in self._node.db.execute(_NEW, (self._seq,)):
            self._seq = seq
            self._stamps[tx] = now
        for flow, status, encoded in result.finished:
            done = self._waiting.pop(flow, None)
            if done is not None:
                assert status == Status.DONE, self._assembly.engine.flow(flow)
                done.set_result(encoded)
