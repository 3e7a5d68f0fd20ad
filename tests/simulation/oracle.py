"""What must hold at every step and at the end, judged by one who sees all nodes, the wire and the notary's log."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from sqlite3 import Connection
from typing import TYPE_CHECKING

from app.subjects.catalogue import CONTRACTS
from flows.store import Status
from flows.turn import TurnResult
from states.command import COMMAND
from states.crypto.merkle import leaf_hash, root_of
from states.crypto.policy import keys_of
from states.groups import Group
from states.notarisation import ANSWER, Committed
from states.receipt import LogEntry, ReceiptVerifier, entry_bytes, read_receipt
from states.sealed import SEALED
from states.state import STATE_REF, TRANSACTION_STATE, StateRef, TransactionState
from states.subjects.record import About, MedicalRecord
from states.subjects.terms import SubjectAt
from states.tearoff import TEAROFF, FilteredTransaction, open_tearoff
from tests.simulation.canaries import Canaries
from tests.simulation.node import SimNode
from tests.simulation.observer import (
    Closed,
    Confirmed,
    Introduced,
    Judged,
    Released,
    SignedFor,
    Violation,
)
from tests.simulation.openings import Openings
from tests.simulation.permits import Permits

if TYPE_CHECKING:
    from tests.simulation.world import World

_BAD_RULES = ("cannot be replayed", "does not fit the code", "unknown", "unknown, after retries")
_ENROLLED = (
    "SELECT custodian, patient FROM enrolment"
    " WHERE signed IS NOT NULL AND (custodian = ? OR keepsake IS NOT NULL)"
)
_TEAROFF = "SELECT tearoff FROM ledger_tx WHERE tx = ?"
_COMMITMENT = "SELECT commitment FROM record WHERE tx = ? AND idx = ?"
_NAMES_PARTIES = ("custodian", "grantee", "recipient", "agent")


Patient = tuple[str, bytes]
"""A custodian, and its and the agent's name of a patient."""


@dataclass(frozen=True, slots=True)
class Known:
    """A transaction as its builder holds it: whom it concerns, who signs, what it consumes and rests on."""

    holders: frozenset[str]
    signers: frozenset[str]
    inputs: tuple[StateRef, ...]
    references: tuple[StateRef, ...]
    until: int
    patients: frozenset[Patient]
    seals: tuple[tuple[int, frozenset[str]], ...]
    """Where its sealed components lie, and the roles that read each; not those that another entered by hash."""
    roles: dict[str, frozenset[str]]


class Oracle:
    """Raises Violation. It has its own idea of the log, and takes nothing on a node's word."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._receipts = ReceiptVerifier(world.founding.log_signer.keys)
        self.canaries = Canaries(Random(f"{world.seed}/canaries"))
        self.permits = Permits()
        self.openings = Openings(world)
        self.known: dict[bytes, Known] = {}
        self.log: list[LogEntry] = []
        self.roots: list[bytes] = [root_of(())]
        self.places: dict[bytes, int] = {}
        self.consumed: dict[StateRef, tuple[int, int]] = {}
        self.lost: set[bytes] = set()
        self.unenrolled: set[Patient] = set()
        self.gone: dict[str, set[bytes]] = {}
        self._leaves: list[bytes] = []
        self._nullifiers: set[bytes] = set()

    # -- the wire --------------------------------------------------------------------------------------

    def overhear(self, sender: SimNode, receiver: SimNode, data: bytes) -> None:
        del sender
        self.canaries.search("on its way to", receiver.name, data)

    def overhear_question(self, node: SimNode, data: bytes) -> None:
        del node
        self.canaries.search("on its way to", "Notary", data)

    # -- the notary ------------------------------------------------------------------------------------

    def before_notary(self, node: SimNode, tx: bytes) -> None:
        """Every signer has it durably, now that the notary is asked."""
        if tx not in self.known:
            self.known[tx] = self._learn(node, tx)
        for party in self.known[tx].signers:
            signer = self._world.node_of(party)
            if self._world.now >= self.known[tx].until:
                return  # too late for the notary, and whoever signed may have learnt so and dropped it
            if signer is not None and not signer.restored and not self._has(signer, tx):
                what = f"{node.name} asks about {tx.hex()[:12]}, which {signer.name} does not hold"
                raise Violation("signers are durable", what)

    def _learn(self, node: SimNode, tx: bytes) -> Known:
        assert node.assembly is not None
        vault = node.assembly.vault
        filtered = open_tearoff(vault.transaction(node.disk, tx).tearoff)
        inputs = tuple(STATE_REF.decode(c) for _, c in filtered.components(Group.INPUTS))
        states = [TRANSACTION_STATE.decode(c) for _, c in filtered.components(Group.OUTPUTS)]
        roles = self._roles(states)
        self.openings.learn(tx, states, filtered)
        states += [s for ref in inputs if (s := vault.state(node.disk, ref)) is not None]
        signers = {
            party
            for _, component in filtered.components(Group.COMMANDS)
            for policy in COMMAND.decode(component).signers
            for key in keys_of(policy)
            if (party := self._world.founding.party_of(key)) is not None
        }
        return Known(
            frozenset(self._concerned(states)),
            frozenset(map(str, signers)),
            inputs,
            tuple(STATE_REF.decode(c) for _, c in filtered.components(Group.REFERENCES)),
            vault.window_end(node.disk, tx),
            frozenset(self._patients(filtered, states)),
            tuple(
                (filtered.layout.position(Group.SEALED, at), frozenset(SEALED.decode(c).readers))
                for at, c in filtered.components(Group.SEALED)
            ),
            roles,
        )

    def _roles(self, created: list[TransactionState]) -> dict[str, frozenset[str]]:
        """By which roles each party reads what is sealed about new states; the agent of a record is not named in it."""
        roles = {str(self._world.nodes["Agent"].me): frozenset({"agent"})}
        for state in created:
            data = CONTRACTS.states.decode(state.data)
            for role in _NAMES_PARTIES:
                party = getattr(data, role, None)
                if party is not None:
                    roles[str(party)] = roles.get(str(party), frozenset()) | {role}
        return roles

    @staticmethod
    def _patients(
        filtered: FilteredTransaction, states: list[TransactionState]
    ) -> Iterator[Patient]:
        """By whose enrolments its holders believe a transaction: of its new statements and records."""
        custodians = {
            str(custodian)
            for state in states
            if (custodian := getattr(CONTRACTS.states.decode(state.data), "custodian", None))
        }
        for _, component in filtered.components(Group.SEALED):
            data = CONTRACTS.seals.decode(SEALED.decode(component).data)
            if isinstance(data, About):
                yield from ((custodian, data.patient) for custodian in custodians)
            elif isinstance(data, SubjectAt) and data.party in custodians:
                yield data.party, data.patient

    def _concerned(self, states: list[TransactionState]) -> set[str]:
        """The parties that the states name; of a record, which names no agent, the one agent there is."""
        found = {str(self._world.nodes["Agent"].me)}
        for state in states:
            data = CONTRACTS.states.decode(state.data)
            found |= {str(p) for name in _NAMES_PARTIES if (p := getattr(data, name, None))}
        return found

    @staticmethod
    def _has(node: SimNode, tx: bytes) -> bool:
        row = node.disk.execute("SELECT 1 FROM ledger_tx WHERE tx = ?", (tx,)).fetchone()
        return row is not None

    def after_notary(self, answers: list[bytes]) -> None:
        """The log has only grown; nothing is in it twice; each receipt is of this log."""
        provider = max(self._world.notary.providers, key=lambda each: each.head().size)
        head = provider.head()
        if head.size < len(self.log):
            raise Violation("the log only grows", f"{head.size} after {len(self.log)}")
        for entry in provider.entries(len(self.log), head.size):
            self._append(entry)
        if head.root != self.roots[-1]:
            raise Violation("the log only grows", "its root is not that of its entries")
        for data in answers:
            answer = ANSWER.decode(data)
            if isinstance(answer, Committed):
                self._check_receipt(answer.receipt)

    def _append(self, entry: LogEntry) -> None:
        tx, index = bytes(entry.transaction), len(self.log)
        if tx in self.places:
            raise Violation("no state consumed twice", f"{tx.hex()[:12]} is in the log twice")
        for each in entry.nullifiers:
            if each in self._nullifiers:
                raise Violation("no state consumed twice", f"nullifier {each.hex()[:12]}")
            self._nullifiers.add(each)
        known = self.known.get(tx)
        if known is None:
            raise Violation("only owners consume", f"no node built {tx.hex()[:12]}")
        self._consume(tx, known, index, entry.at)
        self.places[tx] = index
        self.log.append(entry)
        self._leaves.append(leaf_hash(entry_bytes(entry)))
        self.roots.append(root_of(self._leaves))

    def _consume(self, tx: bytes, known: Known, index: int, at: int) -> None:
        if any(ref in self.consumed for ref in known.references):
            what = f"{tx.hex()[:12]} rests on a consent that was consumed"
            raise Violation("consent unconsumed at its place", what)
        for ref in known.inputs:
            if ref in self.consumed:
                raise Violation("no state consumed twice", f"{ref.tx.hex()[:12]}:{ref.index}")
            self.consumed[ref] = index, at

    def _check_receipt(self, text: str) -> None:
        receipt = read_receipt(text)
        if receipt.index >= len(self.log):
            raise Violation("receipts stay true", "of an entry that is not in the log")
        verified = self._receipts.verify(self.log[receipt.index].transaction, text)
        seen = verified.checkpoint.checkpoint
        if seen.size >= len(self.roots) or self.roots[seen.size] != seen.root:
            raise Violation("receipts stay true", "of a checkpoint that is not the log's")

    # -- nodes -----------------------------------------------------------------------------------------

    def after_turn(self, node: SimNode, result: TurnResult) -> None:
        """No admission says that a replay differed, or that a fault of ours was met."""
        for progress in result.progress:
            if progress.status in (Status.OBSERVED, Status.RETRYING):
                self._check_admission(node, progress.flow)

    def _check_admission(self, node: SimNode, flow: bytes) -> None:
        assert node.assembly is not None
        row = node.assembly.engine.flow(flow)
        tag = "?" if row is None else row.tag
        for admission in node.assembly.engine.admissions(flow)[-1:]:
            self._world.tell(node.name, "admits", tag, admission.error, admission.detail)
            if admission.error in _BAD_RULES:
                checker = "replay gives the same" if "repl" in admission.error else "no fault"
                raise Violation(checker, f"{node.name}: {tag}: {admission.detail}")

    def judge(self, node: SimNode, judged: Judged) -> None:
        """A node has durably done what a patient's word must allow."""
        match judged:
            case Released():
                self._released(judged)
            case Introduced(ref, old, new, at):
                rows = node.disk.execute(_COMMITMENT, (ref.tx, ref.index))
                self.permits.introduced(rows.fetchone()[0], old, new, at)
            case SignedFor(tx, old, at):
                tearoff = TEAROFF.decode(node.disk.execute(_TEAROFF, (tx,)).fetchone()[0])
                ((_, output),) = open_tearoff(tearoff).components(Group.OUTPUTS)
                record = CONTRACTS.states.decode(TRANSACTION_STATE.decode(output).data)
                assert isinstance(record, MedicalRecord), "no other proposal has this purpose"
                self.permits.signed(record.commitment, old, str(node.me), at)
            case Closed():
                self.openings.closed(node, judged)
            case Confirmed():
                self.openings.confirmed(node, judged)

    def _released(self, released: Released) -> None:
        """Keys were released by a consent that lived less than the grace before, whatever its clock says."""
        for node in self._world.nodes.values():
            row = node.disk.execute(
                "SELECT consent_tx, consent_idx FROM disclosure WHERE tx = ?", (released.tx,)
            ).fetchone()
            if row is None:
                continue
            ended = next(
                (
                    at
                    for ref, (_, at) in self.consumed.items()
                    if (ref.tx, ref.index) == (row[0], row[1])
                ),
                None,
            )
            grace = self._world.founding.parameters.limits.release_grace_ms
            if ended is not None and ended < self._world.now - grace:
                late = self._world.now - ended
                raise Violation("released while it lives", f"{late} ms after its consent had ended")
            return

    def restoring(self, node: SimNode) -> None:
        """What only the disk that is now lost had, nobody can bring back."""
        assert node.image is not None
        self.openings.restoring(node)
        others = [each for each in self._world.nodes.values() if each is not node]
        gone = _transactions(node.disk) - _transactions(node.image.disk)
        self.gone.setdefault(node.name, set()).update(gone)
        self.lost |= {tx for tx in gone if not any(self._has(other, tx) for other in others)}
        gone_patients = _enrolled(node.disk, node.me) - _enrolled(node.image.disk, node.me)
        for other in others:
            gone_patients -= _enrolled(other.disk, other.me)
        self.unenrolled |= gone_patients

    def may_lack(self, node: SimNode, tx: bytes) -> bool:
        """Whether nobody alive could bring the node this transaction whole, what it is believed by or what it rests on.

        What the others show is joined: only a component that is on no disk is lost.
        """
        if tx in self.lost:
            return True
        known = self.known.get(tx)
        if known is None or not self._anybody_was_restored():
            return False
        if known.patients & self.unenrolled:
            return True
        if self._is_torn(node, tx, known):
            return True
        return any(self.may_lack(node, ref.tx) for ref in (*known.inputs, *known.references))

    def _is_torn(self, node: SimNode, tx: bytes, known: Known) -> bool:
        """Whether a restore took what this node reads of a transaction from every disk that there is."""
        if not any(tx in each for each in self.gone.values()):
            return False
        roles = known.roles.get(str(node.me), frozenset())
        reads = {position for position, readers in known.seals if roles & readers}
        for each in self._world.nodes.values():
            row = each.disk.execute(_TEAROFF, (tx,)).fetchone()
            reads -= set() if row is None else set(TEAROFF.decode(row[0]).positions)
        return bool(reads)

    def _anybody_was_restored(self) -> bool:
        return any(node.restored for node in self._world.nodes.values())


def _enrolled(disk: Connection, me: str) -> set[Patient]:
    """The enrolments that a side can prove: to have kept them, or that the other has."""
    return set(disk.execute(_ENROLLED, (me,)).fetchall())


def _transactions(disk: Connection) -> set[bytes]:
    return {row[0] for row in disk.execute("SELECT tx FROM ledger_tx")}
