"""One run of the village in which every flow and every responder of the catalogue takes part, and is written down."""

from collections.abc import Iterator
from sqlite3 import Connection

from app.assembly import Assembly
from app.gate import Opened
from flows.notary_change import ChangeNotary, Moved
from flows.recovery import Recover
from flows.store import FlowRow, JournalRow, Status
from flows.subjects.confirmation import ConfirmDisclosures
from flows.subjects.consent import AmendConsent, ConfirmConsents, GrantConsent, RevokeConsent
from flows.subjects.disclosure import RequestDisclosure
from flows.subjects.enrolment import FindPractitioner
from flows.subjects.patient_access import FetchOwn, ReleaseToPatient
from flows.subjects.record import AmendRecord, Published, PublishRecords, TransferCustody
from flows.subjects.restriction import LiftRestriction, Restrict
from flows.subjects.statement import Stated
from states.identity import Party
from states.state import StateRef, TransactionId
from states.subjects.terms import Exceptions, Terms
from tests.simulation.neighbours import ADA, DAY, REED, enrol, permit, publish, result, stage
from tests.simulation.restoring import greet, image_of, put_back
from tests.simulation.test_recovery import grant_notes
from tests.simulation.test_story import disclosed, granted, reed_signed_in
from tests.simulation.village import Village

SEED = 4_711

# A journal goes when its flow ends, so what is written is copied aside, undone with what is undone.
_WATCH = (
    "CREATE TEMP TABLE seen_flow (number INTEGER PRIMARY KEY, id BLOB NOT NULL)",
    "CREATE TEMP TABLE seen_journal AS SELECT * FROM main.flow_journal WHERE 0",
    """CREATE TEMP TRIGGER see_flow AFTER INSERT ON main.flow
    BEGIN INSERT INTO seen_flow (id) VALUES (new.id); END""",
    """CREATE TEMP TRIGGER see_journal AFTER INSERT ON main.flow_journal
    BEGIN INSERT INTO seen_journal VALUES (new.flow, new.seq, new.kind, new.hash, new.value); END""",
)
_FLOWS = "SELECT flow.* FROM seen_flow JOIN flow USING (id) ORDER BY number"
_JOURNAL = "SELECT * FROM seen_journal WHERE flow = ? ORDER BY seq"


class WholeStory:
    """The village, and the databases of its nodes, also of one that was restored since.

    Every step is run twice (§1.9), and a journal is written before the second run: so a flow's last answers are seen
    though it ends in the same turn.
    """

    def __init__(self) -> None:
        self.village = Village(SEED, double_run=True, two_notaries=True)
        self._watched: list[tuple[Party, Connection]] = []
        for node in self.village.nodes.values():
            self._watch(node)

    def _watch(self, node: Assembly) -> None:
        for statement in _WATCH:
            node.db.execute(statement)
        self._watched.append((node.me, node.db))

    def ended(self) -> Iterator[tuple[Party, FlowRow, list[JournalRow]]]:
        """Yield each flow that has ended: at whom, its row, and all that it was answered."""
        for me, db in self._watched:
            for row in map(FlowRow._make, db.execute(_FLOWS).fetchall()):
                if row.status >= Status.DONE:
                    yield me, row, [*map(JournalRow._make, db.execute(_JOURNAL, (row.id,)))]

    def tell(self) -> None:
        """Let everything happen that flows are for."""
        consent = self._consent_that_moved()
        self._disclosure_and_what_follows(consent)
        self._restored_recipient()
        self._custody()
        self._restored_agent()
        self._restored_custodian()
        self._denial_that_begins_later()

    def _consent_that_moved(self) -> StateRef:
        village = self.village
        old = granted(village)
        village.run("Agent", FindPractitioner(village.party("Riverside"), "Dr A. Reed"))
        village.run("Agent", FindPractitioner(village.party("Riverside"), "Dr Nobody"))
        terms = Terms("permit", None, None, ("TREAT",), ("laboratory",), ())
        change = AmendConsent(old, village.clock.now + 3 * DAY, terms, Exceptions((), ()))
        amended = result(village, "Agent", village.run("Agent", change), Stated).ref
        second = village.founding.notaries[1].party
        moved = village.run("Agent", ChangeNotary(amended, second))
        return result(village, "Agent", moved, Moved).ref

    def _disclosure_and_what_follows(self, consent: StateRef) -> None:
        village = self.village
        made = disclosed(village, consent)
        opened = village.nodes["Riverside"].gate.read_record(
            reed_signed_in(village), TransactionId(made.tx or b""), 0, "TREAT"
        )
        assert isinstance(opened, Opened)
        assert b"".join(opened.chunks)
        for node in village.nodes.values():
            node.report_readings()
            node.report_heads()
        village.settle()
        self._amend("corrected")
        closing = Terms("deny", None, None, (), ("laboratory",), ())
        restrict = village.run("Agent", Restrict(ADA, village.party("Mercy"), closing))
        assert disclosed(village, consent).outcome == "refused"
        village.run("Agent", LiftRestriction(result(village, "Agent", restrict, Stated).ref))
        village.run("Riverside", ConfirmConsents())
        village.run("Agent", RevokeConsent(consent))
        village.run(
            "Riverside", RequestDisclosure(consent, REED, "TREAT", ())
        )  # its own node refuses

    def _amend(self, words: str) -> None:
        mercy = self.village.nodes["Mercy"]
        (old,) = mercy.db.execute(
            "SELECT tx, idx FROM record WHERE category = 'laboratory' AND consumed_seq IS NULL"
        ).fetchall()
        batch = stage(self.village, "Mercy", "MRN 4711", [("laboratory", words.encode())])
        self.village.run("Mercy", AmendRecord(StateRef(*old), batch))

    def _custody(self) -> None:
        village = self.village
        enrol(village, "Northside", "order book 93")
        name = "order book 93"
        published = publish(village, "Northside", name, [("laboratory", b"potassium 4.4")])
        record = StateRef(TransactionId(published.tx), 0)
        move = TransferCustody(record, village.party("Agent"), village.party("Mercy"))
        refused = village.nodes["Northside"].engine.flow(village.run("Northside", move))
        assert refused is not None
        assert refused.status == Status.FAILED, "she has not permitted it"
        permit(village, "Northside", "Mercy")
        image = image_of(village, "Mercy")
        moved = result(village, "Northside", village.run("Northside", move), Published)
        mercy = self._put_back("Mercy", image)
        village.run("Mercy", Recover(village.party("Northside"), 0))
        assert mercy.vault.is_live(mercy.db, StateRef(TransactionId(moved.tx), 0))
        batch = stage(village, "Northside", name, [("note", b"to be explained")], "to-be-discussed")
        held = village.run("Northside", PublishRecords(batch))
        note = result(village, "Northside", held, Published)
        village.run("Northside", ReleaseToPatient(StateRef(TransactionId(note.tx), 0)))
        for tx in (
            published.tx,
            note.tx,
        ):  # the former has passed to Mercy: its ciphertext is served still
            village.run("Agent", FetchOwn(village.party("Northside"), TransactionId(tx), 0))

    def _restored_recipient(self) -> None:
        """A hospital forgets nothing that matters; it asks the custodian all the same, which tells it what it told."""
        self._put_back("Riverside", image_of(self.village, "Riverside"))
        self.village.run("Riverside", ConfirmDisclosures(self.village.party("Mercy")))

    def _restored_agent(self) -> None:
        """The agent loses a publication; an amendment of it makes it fetch that, and then it asks for all."""
        village = self.village
        image = image_of(village, "Agent")
        lost = publish(village, "Northside", "order book 93", [("note", b"a second note")])
        agent = self._put_back("Agent", image)
        batch = stage(village, "Northside", "order book 93", [("note", b"a better note")])
        village.run("Northside", AmendRecord(StateRef(TransactionId(lost.tx), 0), batch))
        held = agent.db.execute("SELECT count(*) FROM ledger_tx WHERE tx = ?", (lost.tx,))
        assert held.fetchone() == (1,), "the agent fetched what the amendment rests on"
        village.run("Agent", Recover(village.party("Mercy"), 0))

    def _restored_custodian(self) -> None:
        """A laboratory loses a publication with its keys: the agent has both."""
        village = self.village
        image = image_of(village, "Northside")
        publish(village, "Northside", "order book 93", [("laboratory", b"sodium 140")])
        northside = self._put_back("Northside", image)
        village.run("Northside", Recover(village.party("Agent"), 0))
        assert northside.obtain_keys()
        village.settle()
        lost = northside.db.execute(
            "SELECT count(*) FROM record WHERE key IS NULL AND consumed_seq IS NULL"
        )
        assert lost.fetchone() == (0,), "it has its key again"

    def _denial_that_begins_later(self) -> None:
        village = self.village
        made = TransactionId(disclosed(village, grant_notes(village)).tx or b"")
        now = village.clock.now
        parties = village.party("Mercy"), village.party("Riverside")
        terms = Terms("deny", REED, None, ("TREAT",), ("note",), ())
        deny = GrantConsent(ADA, *parties, now + 60_000, now + DAY, terms, Exceptions((), ()))
        village.run("Agent", deny)
        village.pass_time(60_000)
        closed = village.nodes["Riverside"].db.execute(
            "SELECT count(*) FROM disclosure_item WHERE tx = ? AND withdrawn_at > 0", (made,)
        )
        assert closed.fetchone() == (1,), "it closes what was disclosed before it"

    def _put_back(self, name: str, image: Connection) -> Assembly:
        node = put_back(self.village, name, image, ())
        self._watch(node)
        greet(self.village, name)
        self.village.settle()
        return node
