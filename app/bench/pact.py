"""The smallest two-party subject that is still a whole one: a pact that two members renew.

Every real conversation with two signers (disclosure, transfer of custody) also moves keys or documents. To measure
finality alone, this one has two inputs, two outputs, two signers and nothing else; contract, vault, engine, locks,
notary and links are those of every node.
"""

from dataclasses import dataclass
from hashlib import sha256
from sqlite3 import Connection
from typing import Annotated, ClassVar

import msgspec

from app.assembly import Surroundings
from app.keystore.keys import NodeKey
from app.keystore.signers import HandleSigner
from app.storage.flow_store import SqliteFlowStore
from app.vault.drafts import Drafts, Output, Saying
from app.vault.ledger_handlers import LedgerHandlers
from app.vault.locks import Locks
from app.vault.subject import Holders, Step, Subjects
from app.vault.vault import Vault
from flows.engine import Engine
from flows.finality import Proposal, about, finalise, receive_finality, sign_proposal
from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.notices import Letter
from flows.registry import Registry
from flows.services import (
    TRANSACTION_PART,
    AddSignatures,
    Held,
    Recorded,
    Signatures,
    transaction_part,
)
from flows.step import Handlers
from states.contract import Contract, Contracts, Owner, requirements
from states.crypto.policy import One
from states.errors import Rule
from states.groups import Group
from states.identity import Party, PartyField
from states.ledger import Data, LedgerTransaction
from states.parameters import AllowedContract
from states.state import StateRef
from states.subjects import shape
from states.subjects.terms import SubjectAt
from states.tearoff import Tearoff
from states.verifier import CheckedTransaction, VerifiedTransaction, Verifier

OUTPUTS = 2
TEXT = bytes(200)


# -- the ledger's side -----------------------------------------------------------------------------


class Pact(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="pact/1"):
    """Two members agree on a text."""

    one: PartyField
    other: PartyField
    text: Annotated[bytes, msgspec.Meta(max_length=1_024)]


class PactMake(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="pact-make/1"
):
    """Two members make pacts, or renew those that they made."""


class PactRule(Rule):
    """Clauses of the pact contract."""

    NOTHING_BUT_PACTS = "a transaction that touches pacts has one command, of pacts, alone"
    AS_MANY_AS_BEFORE = "pacts are made two at a time, of nothing or of two"
    SAME_PARTIES = "all pacts are of the same two parties"
    BOTH_SIGN = "both parties sign, and nobody else"


@dataclass(frozen=True)
class PactContract:
    """The rules of pacts."""

    name: ClassVar[str] = "pact/1"
    corpus: ClassVar[bytes] = sha256(b"carecord bench pact/1").digest()
    rules: ClassVar[type[Rule]] = PactRule
    state: ClassVar[type[Data] | None] = Pact
    commands: ClassVar[tuple[type[Data], ...]] = (PactMake,)
    sealed: ClassVar[tuple[type[Data], ...]] = (SubjectAt,)  # of some kind, though no pact has one
    referring: ClassVar[tuple[str, ...]] = ()

    def owners(self, data: Data) -> tuple[Owner, ...]:
        assert isinstance(data, Pact), "the contract of pacts is asked about them"
        return (Party(data.one), Party(data.other))

    def verify(self, tx: LedgerTransaction) -> None:
        require, rule = requirements(tx), PactRule
        require(rule.NOTHING_BUT_PACTS, shape.own_command(tx, self) is not None)
        counted = tx.count(Group.OUTPUTS) == OUTPUTS and tx.count(Group.INPUTS) in (0, OUTPUTS)
        require(rule.AS_MANY_AS_BEFORE, counted)
        pacts = [*tx.inputs_of(Pact), *(pact for _, pact in tx.outputs_of(Pact))]
        require(rule.SAME_PARTIES, len({(pact.one, pact.other) for pact in pacts}) == 1)
        parties = self.owners(pacts[0])
        signed = all(shape.is_signed_by(tx, party) for party in parties)
        require(rule.BOTH_SIGN, signed and shape.is_signed_only_by(tx, parties))


def allowed_pacts(from_time: int) -> AllowedContract:
    """Return the contract as network parameters allow it, from a moment (ms) on."""
    return AllowedContract(PactContract.name, PactContract.corpus, from_time)


# -- the conversation ------------------------------------------------------------------------------


class BuildPact(Request[Held], frozen=True, array_like=True, tag="build-pact"):
    """Build a pact with `other` that consumes `inputs`, sign it and hold it."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    other: PartyField
    inputs: tuple[StateRef, ...]


class MakePact(msgspec.Struct, frozen=True, array_like=True, tag="bench-pact/1"):
    """Make a pact with another member, or renew one; both sign, both record."""

    other: PartyField
    inputs: tuple[StateRef, ...] = ()

    async def call(self, flow: FlowContext) -> Recorded:
        held = await BuildPact(self.other, self.inputs)
        part = transaction_part(held.tx, Party(self.other))
        session = flow.initiate(Party(self.other), AgreePact.name, Proposal(held.tx), (part,))
        brought = await session.receive(Signatures, held.until)
        await AddSignatures(session.counterparty, brought.check(about(held.tx)))
        return await finalise(flow, held, (session,))


class AgreePact:
    """The other side."""

    name: ClassVar[str] = "bench-pact-signer/1"
    first: ClassVar[type[msgspec.Struct]] = Proposal

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Proposal]
    ) -> Recorded:
        held = await sign_proposal(session, first, PactContract.name, b"")
        return await receive_finality(flow, session, held)


# -- the node's side -------------------------------------------------------------------------------


class PactSubject:
    """The node's side of pacts: nothing is kept beside the ledger."""

    def __init__(self) -> None:
        self.contract: Contract = PactContract()

    def holders(self, step: Step, ledger: LedgerTransaction) -> Holders:
        del step
        return {
            Party(party): frozenset({"party"})
            for _, pact in ledger.outputs_of(Pact)
            for party in (pact.one, pact.other)
        }

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        """Whatever keeps the contract's clauses is welcome."""

    def record(self, step: Step, verified: VerifiedTransaction, seq: int) -> tuple[Letter, ...]:
        del step, verified, seq
        return ()

    @staticmethod
    def judge(step: Step, checked: CheckedTransaction, peer: Party, context: bytes) -> Tearoff:
        """Agree to everything that keeps the contract's clauses."""
        del step, peer, context
        return checked.filtered.tearoff


class PactAssembly:
    """A member's node with pacts in place of its subjects; composed as `app.assembly` does."""

    def __init__(self, given: Surroundings) -> None:
        self.given, self.db = given, given.db
        self._identity = HandleSigner(given.keys, NodeKey.IDENTITY)
        subject = PactSubject()
        verifier = Verifier(given.parameters, Contracts((PactContract(),)), given.directory)
        self.vault = Vault(given.me, self._identity, verifier, given.party_of)
        self.vault.adopt(Subjects((subject,), {subject.contract.name: subject.judge}))
        network = given.parameters.in_force(given.clock())[1].network
        self._locks = Locks(self.vault, given.keys, given.entropy, network)
        self._drafts = Drafts(given.parameters, given.notary, given.entropy)
        handlers: Handlers[Connection] = Handlers()
        handlers.on(BuildPact, self.build)
        LedgerHandlers(self.vault).register(handlers)
        store = SqliteFlowStore(given.db)
        self.vault.create(given.db)
        self.engine: Engine[Connection] = Engine(
            store=store,
            registry=Registry((MakePact,), (AgreePact,)),
            handlers=handlers,
            me=given.me,
            clock=given.clock,
            entropy=given.entropy,
            parts={TRANSACTION_PART: lambda part: self.vault.read_part(given.db, part)},
        )

    def question(self, kind: str, row: bytes) -> tuple[Party, bytes]:
        """See Assembly.question; pacts are asked about in two ways only."""
        ask = self._locks.notarise if kind == "notarise" else self._locks.status
        return self.given.notary, ask(self.db, row)

    def build(self, step: Step, request: BuildPact) -> Held:
        other = Party(request.other)
        (key,) = self.given.directory.identity_keys(other, step.now)
        output = Pact(self.given.me, other, TEXT)
        said = Saying(
            PactMake(),
            (One(self._identity.key), One(key)),
            outputs=tuple(
                Output(PactContract.name, output, self._locks.make(step)) for _ in range(OUTPUTS)
            ),
            inputs=request.inputs,
        )
        return self.vault.hold(step, self._drafts.build(step.now, said).whole(), ())
