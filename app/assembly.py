"""A member's node without its sockets: engine, vault and subjects on one database. The simulator drives the same."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from sqlite3 import Connection, OperationalError
from typing import Protocol

from app.blobs.store import BlobStore
from app.gate import Gate, Lacking
from app.gate_parts import GateParts
from app.keystore.keys import KeyStore, NodeKey
from app.keystore.signers import HandleSigner
from app.readings.log import ReadingLog
from app.readings.looks import Looks, Members
from app.readings.recall import ReadingRecall
from app.readings.reports import ReadingReports
from app.storage.database import transaction
from app.storage.flow_store import SqliteFlowStore
from app.subjects.catalogue import CONTRACTS, NOTARY_CHANGE, registry
from app.subjects.confirmation import Confirmation
from app.subjects.consent import ConsentSubject
from app.subjects.consumed import ConsumedRecords
from app.subjects.deciding import Deciding
from app.subjects.disclosure import DisclosureSubject
from app.subjects.enrolment import EnrolmentHandlers, Enrolments
from app.subjects.enrolment_recall import EnrolmentRecall
from app.subjects.handover import Handover
from app.subjects.key_return import KeyReturn
from app.subjects.notary_change import NotaryChangeSubject
from app.subjects.notices import Notices
from app.subjects.patient_access import PatientAccess, fetching, obtaining
from app.subjects.record import RecordSubject
from app.subjects.restriction import RestrictionSubject
from app.subjects.statement import Statements
from app.subjects.transfer import Transfers
from app.subjects.transfer_permit import TransferPermits
from app.subjects.wrapped import BLOB_PART
from app.vault.aside import (
    Aside,
    Recovery,
    never_asked,
    recoveries,
    remember_asked,
)
from app.vault.drafts import Drafts
from app.vault.ground import Ground
from app.vault.ledger_handlers import LedgerHandlers
from app.vault.locks import QUESTIONED, Locks
from app.vault.reader import NotHeld
from app.vault.subject import Subjects
from app.vault.vault import Vault
from app.witness import Witnesses
from flows.engine import Engine
from flows.reading_recall import RegainReadings
from flows.recovery import Recover
from flows.services import TRANSACTION_PART
from flows.step import Handlers
from flows.store import Status
from flows.subjects.confirmation import ConfirmDisclosures
from states.crypto.keys import Key
from states.groups import Group
from states.identity import Party
from states.parameters import Directory, ParametersHistory
from states.reading import DAY_MS
from states.state import StateRef, TransactionId
from states.verifier import NOTARY, Verifier

REPORT_AGAIN_MS = 600_000  # before what could not be reported is tried again


class MemberMap(Directory, Members, Protocol):
    """The network map: who signs for a party, and its newest entry."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that a node is given from outside: its name, secrets, map, disks, clock and entropy."""

    me: Party
    db: Connection
    keys: KeyStore
    blobs: BlobStore
    parameters: ParametersHistory
    directory: MemberMap
    party_of: Callable[[Key], Party | None]
    notary: Party
    clock: Callable[[], int]
    entropy: Callable[[int], bytes]
    double_run: bool = False


class Assembly:
    """The parts of a member's node, put together once."""

    def __init__(self, given: Surroundings) -> None:
        self.given = given
        self.me = given.me
        self.db = given.db
        self.ground = _ground(given)
        self.vault = self.ground.vault
        self.enrolments = Enrolments(given.me, given.keys, given.entropy)
        self.transfer_permits = TransferPermits(self.enrolments)
        self.statements = Statements(self.ground, self.enrolments)
        self.readings = ReadingLog(given.me, given.keys, given.entropy)
        self.reading_recall = ReadingRecall(self.readings, self._has_ended)
        self.looks = Looks(given.me, given.directory, given.parameters)
        self.reports = ReadingReports(
            self.readings, given.keys, given.parameters, self.looks.keep_own
        )
        self.deciding = Deciding(self.ground, self.enrolments, self.readings)
        self.records = RecordSubject(self.ground, self.enrolments)
        self.disclosures = DisclosureSubject(self.ground, self.statements, self.deciding)
        self.notices = Notices(self.ground, self.statements)
        self.confirmation = Confirmation(self.ground, self.statements, self.deciding, self.notices)
        self.patient_access = PatientAccess(self.ground, self.enrolments, given.blobs)
        self.key_return = KeyReturn(self.ground, self.enrolments, given.blobs)
        self.handover = Handover(
            self.ground, self.statements, self.deciding, given.blobs, self.patient_access
        )
        self.gate = Gate(
            GateParts(
                me=given.me,
                db=given.db,
                keys=given.keys,
                blobs=given.blobs,
                log=self.readings,
                staff=self.enrolments,
                statements=self.deciding,
                parameters=given.parameters,
                clock=given.clock,
            )
        )
        handlers = self._compose()
        self._create_tables()
        self.witnesses = Witnesses(given.db, self.vault.verifier, given.clock)
        self._regaining: dict[Party, bytes] = {}
        self.engine: Engine[Connection] = Engine(
            store=SqliteFlowStore(given.db, self.witnesses.keep_forks),
            registry=registry(),
            handlers=handlers,
            me=given.me,
            clock=given.clock,
            entropy=given.entropy,
            parts={
                TRANSACTION_PART: lambda part: self.vault.read_part(given.db, part),
                BLOB_PART: self.handover.read_chunk,
            },
            transient=(OperationalError,),
            double_run=given.double_run,
        )

    def _compose(self) -> Handlers[Connection]:
        """Give the vault its subjects, and return who answers the flows' requests."""
        consents = ConsentSubject(self.ground, self.statements, self.deciding)
        restrictions = RestrictionSubject(self.ground, self.statements, self.deciding)
        moves = NotaryChangeSubject(self.ground, self.enrolments, NOTARY_CHANGE)
        transfers = Transfers(self.ground, self.enrolments, self.transfer_permits)
        judges = {
            self.disclosures.contract.name: self.disclosures.judge,
            self.records.contract.name: transfers.judge,
        }
        subjects = (self.records, consents, restrictions, self.disclosures, moves)
        revealers = {self.records.contract.name: transfers.reveal}
        self.vault.adopt(Subjects(subjects, judges, revealers))
        handlers: Handlers[Connection] = Handlers()
        for part in (
            LedgerHandlers(self.vault),
            ConsumedRecords(self.ground),
            EnrolmentHandlers(self.ground, self.enrolments),
            EnrolmentRecall(self.ground, self.enrolments),
            self.records,
            consents,
            restrictions,
            self.disclosures,
            self.handover,
            self.patient_access,
            self.key_return,
            transfers,
            moves,
            self.notices,
            self.confirmation,
            self.reports,
            self.reading_recall,
            self.looks,
        ):
            part.register(handlers)
        return handlers

    def _create_tables(self) -> None:
        parts = (
            self.vault,
            self.enrolments,
            self.statements,
            self.records,
            self.disclosures,
            self.readings,
            self.looks,
        )
        with transaction(self.db):
            for part in parts:
                part.create(self.db)

    def report_readings(self) -> bool:
        """Start telling agents of readings that they have not heard of, and say whether there were any; each second."""
        due = self.reports.report_due(self.db)
        if due is None:
            return False
        flow, key = due
        if self._has_ended(self.engine.start(flow, key)):
            # It failed or was killed: by its key nothing that came since would be told before the day's heads.
            self.engine.start(flow, f"{key}/{self.given.clock() // REPORT_AGAIN_MS}")
        return True

    def report_heads(self) -> None:
        """Start telling agents how far their chains go, once a day, also when nobody read; see what they say here."""
        self.engine.start(*self.reports.heads_due(self.given.clock()))
        with transaction(self.db):
            self.looks.check(self.db, self.given.clock())

    def obtain_keys(self) -> bool:
        """Start asking for missing keys, once a day for each publication.

        At an agent for those of its patients' records that never came, at a custodian for those that a restore lost.
        """
        now = self.given.clock()
        due = self.patient_access.due(self.db, now) + self.key_return.due(self.db, now)
        for flow, key in due:
            self.engine.start(flow, key)
        return bool(due)

    def ask_again(self) -> bool:
        """Start asking anew who has not told this restored node all that it has forgotten: the asking flow has ended.

        What is closed until then stays closed. What nobody has completed for long is no longer kept aside.
        """
        asked = False
        with transaction(self.db):
            Aside.drop_stale(self.db, self.given.clock())
        for each in recoveries(self.db):
            if self._has_ended(each.flow):
                with transaction(self.db):
                    key = f"recover again {each.flow.hex()}"
                    flow = self.engine.start(Recover(each.peer, each.since), key)
                    Aside.follow(self.db, each, flow)
                asked = True
        asked |= self._ask_for_readings_again()
        for custodian, asking in self.confirmation.unended(self.db):
            if self._has_ended(asking):
                with transaction(self.db):
                    key = f"confirm again {asking.hex()}"
                    flow = self.engine.start(ConfirmDisclosures(custodian), key)
                    self.confirmation.begin(self.db, custodian, flow)
                asked = True
        return asked

    def regain_readings(self) -> bool:
        """Start asking again for readings that were left out for want of room, where there is room by now.

        One flow at a time asks an organisation, which says itself how long that takes.
        """
        now, asked = self.given.clock(), False
        for brought in self.looks.left_out(self.db):
            former = self._regaining.get(brought.peer)
            if former is not None and not self._has_ended(former):
                continue
            # What is left out later, also while this flow asks, is asked for by another.
            again = RegainReadings(brought.peer)
            key = f"regain readings {brought.alarm} {brought.lines}"
            with transaction(self.db):
                flow = self.engine.start(again, key)
                row = self.engine.flow(flow)
                if row is not None and row.status > Status.DONE:
                    flow = self.engine.start(again, f"{key} {now // DAY_MS}")
                    row = self.engine.flow(flow)
                if row is not None and row.status == Status.DONE:
                    self.looks.end_left_out(self.db, now, brought)
                    continue
            self._regaining[brought.peer] = flow
            asked = True
        return asked

    def ask_newcomers(self, members: Iterable[Party]) -> bool:
        """Start asking members of the map that a restore could not ask, for its backup did not know them yet.

        As long as one has not answered, what it may have closed stays closed.
        """
        found = never_asked(self.db, [party for party in members if party != self.me])
        incarnation = self.engine.store.incarnation().hex()
        with transaction(self.db):
            for peer, since in found:
                flow = self.engine.start(Recover(peer, since), f"recover {incarnation} {peer}")
                Aside.begin(self.db, Recovery(flow, peer, since))
                remember_asked(self.db, [peer], since)
        return bool(found)

    def _ask_for_readings_again(self) -> bool:
        """Ask anew who has not brought its readings; forget who has."""
        asked = False
        for peer, asking in self.reading_recall.unended(self.db):
            row = self.engine.flow(asking)
            if row is not None and row.status < Status.DONE:
                continue
            with transaction(self.db):
                if row is not None and row.status == Status.DONE:
                    self.reading_recall.end(self.db, peer)
                    continue
                key = f"regain readings again {asking.hex()}"
                flow = self.engine.start(RegainReadings(peer), key)
                self.reading_recall.begin(self.db, peer, flow)
            asked = True
        return asked

    def _has_ended(self, flow: bytes) -> bool:
        row = self.engine.flow(flow)
        return row is None or row.status >= Status.DONE

    def obtain(self, lacking: Lacking) -> None:
        """At an agent: start getting what a patient lacks to read a record of hers; at most once in a while."""
        now = self.given.clock()
        if lacking.key:
            self.engine.start(*obtaining(lacking.custodian, lacking.record.tx, now))
        if lacking.ciphertext:
            self.engine.start(*fetching(lacking.custodian, lacking.record, now))

    def question(self, kind: str, row: bytes) -> tuple[Party, bytes]:
        """Return the notary to ask, and the encoded question that a flow's `AskNotary` names.

        Raises NotHeld where the vault has not got what it is about.
        """
        locks = self.ground.locks
        if kind == "liveness":
            refs = QUESTIONED.decode(row)
            state = self.vault.state(self.db, refs[0]) if refs else None
            if state is None:
                raise NotHeld("the state in question is not here")
            return state.notary, locks.liveness(self.db, refs)
        filtered = self.vault.stored(self.db, row).filtered
        notary = Party(NOTARY.decode(filtered.component(Group.NOTARY, 0) or b""))
        if kind == "enter":
            moved = self.vault.state(self.db, StateRef(TransactionId(row), 0))
            if moved is None:
                raise NotHeld("the change of notary is not recorded here")
            return moved.notary, locks.entry(self.db, row)
        if kind == "notarise":
            return notary, locks.notarise(self.db, row)
        return notary, locks.status(self.db, row)


def _ground(given: Surroundings) -> Ground:
    verifier = Verifier(given.parameters, CONTRACTS, given.directory)
    identity = HandleSigner(given.keys, NodeKey.IDENTITY)
    vault = Vault(given.me, identity, verifier, given.party_of)
    network = given.parameters.in_force(given.clock())[1].network
    return Ground(
        me=given.me,
        keys=given.keys,
        identity=identity,
        parameters=given.parameters,
        directory=given.directory,
        entropy=given.entropy,
        vault=vault,
        locks=Locks(vault, given.keys, given.entropy, network),
        drafts=Drafts(given.parameters, given.notary, given.entropy),
    )
