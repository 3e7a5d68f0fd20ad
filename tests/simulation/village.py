"""A village: a notary, hospitals, a laboratory and an agent in one process, over connections that lose what they shall.

Real parts throughout: engines, vaults, subjects, notary service, key stores, blob stores. Only the wire, the clock and
the dice are the village's. The simulator adds faults; other tests use it as it is.
"""

from collections.abc import Callable
from random import Random
from sqlite3 import Connection
from typing import NamedTuple

from app.assembly import Assembly, Surroundings
from app.blobs.memory import MemoryBlobStore
from app.keystore.keys import KeyStore, NodeKey
from app.keystore.memory import memory_key_store
from app.keystore.signers import HandleSigner
from app.storage.database import open_database
from app.subjects.catalogue import allowed_contracts
from flows.flow import Flow
from flows.turn import Question
from notaries.log import LogSigner
from notaries.memory import MemoryProvider
from notaries.request import RequestChecker
from notaries.service import NotaryService
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import Key
from states.encoding import encode
from states.identity import Party
from states.notarisation import ANSWER, Answer
from states.parameters import (
    IdentityKey,
    Limits,
    Member,
    MemberDirectory,
    NetworkParameters,
    NotaryInfo,
    ParametersHistory,
    ReadingLogKey,
    network_id,
    parameters_id,
)

START = 1_790_000_000_000  # ms: some day in 2026
FOREVER = START + 10 * 365 * 86_400_000
TURNS_MAX = 10_000


class Clock:
    """Virtual time, in ms since 1970."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Resident:
    """A member of the network: its founding key, key store and, once it lives, its assembly."""

    def __init__(self, name: str, kind: str, entropy: Callable[[int], bytes]) -> None:
        self.name = name
        self.kind = kind
        self.founding = Ed25519Signer(entropy(32))
        self.party = Party(did_of(self.founding.key))
        self.keys: KeyStore = memory_key_store(entropy(32))

    def entry(self, network: bytes) -> Member:
        identity = IdentityKey(self.keys.public(NodeKey.IDENTITY), START - 86_400_000, FOREVER)
        return Member(
            network=network,
            party=self.party,
            name=self.name,
            kind=self.kind,  # type: ignore[arg-type]  # a literal of the map
            identity=(identity,),
            box_key=self.keys.box_public(),
            tls_key=bytes(32),
            reading_log=(ReadingLogKey(self.keys.public(NodeKey.READING_LOG).raw, 0, 1 << 60),),
            endpoints=(),
            serial=1,
            active=True,
        )


class Founding:
    """A network before its nodes live: residents and their keys, the notary's, parameters, map."""

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        strangers: tuple[str, ...] = (),
        *,
        two_notaries: bool = False,
    ) -> None:
        self.notary = Resident("Notary", "notary", entropy)
        self.notaries = [self.notary]
        if two_notaries:
            self.notaries.append(Resident("Second notary", "notary", entropy))
        self.residents = {
            name: Resident(name, kind, entropy)
            for name, kind in (
                ("Mercy", "hospital"),
                ("Riverside", "hospital"),
                ("Northside", "laboratory"),
                ("Agent", "agent"),
            )
        }
        self.strangers = {name: Resident(name, "hospital", entropy) for name in strangers}
        founding = Ed25519Signer(entropy(32))
        self.network = network_id(founding.key, "village")
        self.parameters = NetworkParameters(
            network=self.network,
            name="village",
            version=1,
            from_time=START - 86_400_000,
            founding_key=founding.key,
            notaries=tuple(map(self._notary_info, self.notaries)),
            contracts=allowed_contracts(START - 86_400_000),
            limits=Limits(),
            implicit_policy="deny",
            origins=(),
            rp_ids=(),
            issuers=(),
            operators=(),
        )
        body = encode(self.parameters)
        self.history = ParametersHistory([(parameters_id(body), self.parameters)])
        members = (*self.residents.values(), *self.strangers.values())
        self.directory = MemberDirectory(
            [each.entry(self.network) for each in (*self.notaries, *members)]
        )
        self._by_key = {each.keys.public(NodeKey.IDENTITY): each.party for each in members}
        self.log_signer = self.signer_of(self.notary)

    def signer_of(self, notary: Resident) -> LogSigner:
        return LogSigner(
            self._origin(notary),
            HandleSigner(notary.keys, NodeKey.NOTARY_LOG),
            HandleSigner(notary.keys, NodeKey.NOTARY_COSIGNER),
        )

    def checker(self, notary: Resident | None = None) -> RequestChecker:
        party = (notary or self.notary).party
        return RequestChecker(party, self.network, lambda: self.history)

    def _origin(self, notary: Resident) -> str:
        return "village.notary" if notary is self.notary else "village.notary.second"

    def _notary_info(self, notary: Resident) -> NotaryInfo:
        keys = notary.keys
        return NotaryInfo(
            notary.party,
            self._origin(notary),
            keys.public(NodeKey.NOTARY_LOG).raw,
            keys.public(NodeKey.NOTARY_COSIGNER).raw,
        )

    def party_of(self, key: Key) -> Party | None:
        return self._by_key.get(key)


class Told(NamedTuple):
    """What the notary answered to a question of a node."""

    node: Assembly
    question: Question
    answer: Answer


class Village:
    """All residents, their notary, and the connections between them."""

    def __init__(
        self, seed: int = 1, *, double_run: bool = False, two_notaries: bool = False
    ) -> None:
        self.random = Random(seed)
        self.clock = Clock()
        entropy = self.random.randbytes
        self.entropy = entropy
        self.founding = Founding(entropy, two_notaries=two_notaries)
        self.notary = self.founding.notary
        self.residents = self.founding.residents
        self.parameters = self.founding.parameters
        self.history = self.founding.history
        self.directory = self.founding.directory
        self.services = {each.party: self._serve(each) for each in self.founding.notaries}
        self.service = self.services[self.notary.party]
        self.blobs = {name: MemoryBlobStore() for name in self.residents}
        self.nodes = {
            name: self._assemble(name, resident, double_run=double_run)
            for name, resident in self.residents.items()
        }
        self._by_party = {node.me: node for node in self.nodes.values()}
        self.unacknowledged: set[str] = set()
        """Names of those to whom the wire loses what acknowledges their envelopes."""
        self.notary_is_away = False
        """Whether what is asked of the notaries reaches nobody."""
        self.asked: list[str] = []
        """The kinds of the questions that have reached a notary, in order."""
        self.answers_are_held = False
        """Whether the notaries' answers stay on their way, in `held`, until a test lets them `tell`."""
        self.held: list[Told] = []
        self._greet()

    def _serve(self, notary: Resident) -> NotaryService:
        signer = self.founding.signer_of(notary)
        provider = MemoryProvider(signer, self.clock.now)
        return NotaryService(self.founding.checker(notary), provider, signer, self.clock)

    def _assemble(self, name: str, resident: Resident, *, double_run: bool) -> Assembly:
        return Assembly(
            Surroundings(
                me=resident.party,
                db=self._database(name),
                keys=resident.keys,
                blobs=self.blobs[name],
                parameters=self.history,
                directory=self.directory,
                party_of=self.founding.party_of,
                notary=self.notary.party,
                clock=self.clock,
                entropy=self.entropy,
                double_run=double_run,
            )
        )

    def _database(self, _name: str) -> Connection:
        return open_database(":memory:")

    def _greet(self) -> None:
        pairs = [(a, b) for a in self.nodes.values() for b in self.nodes.values() if a is not b]
        hellos = {(a.me, b.me): a.engine.connected(b.me) for a, b in pairs}
        for a, b in pairs:
            a.engine.hello(b.me, hellos[b.me, a.me])

    def settle(self) -> None:
        """Let everybody work until nobody has anything to do but wait for time."""
        for _ in range(TURNS_MAX):
            busy = False
            for node in self.nodes.values():
                while node.engine.has_work():
                    busy = True
                    self._turn(node)
            if not busy:
                return
        raise AssertionError("the village does not come to rest")

    def pass_time(self, ms: int) -> None:
        """Move the clock, waking whoever waits for a moment in between."""
        end = self.clock.now + ms
        while True:
            self.settle()
            dues = [due for n in self.nodes.values() if (due := n.engine.next_due()) is not None]
            due = min(dues, default=end + 1)
            if due > end:
                break
            self.clock.now = max(self.clock.now, due)
            for node in self.nodes.values():
                self._turn(node)
        self.clock.now = end
        self.settle()

    def _turn(self, node: Assembly) -> None:
        result = node.engine.turn()
        for peer, envelopes in result.envelopes.items():
            self._by_party[peer].engine.deliver(node.me, envelopes)
        lost = {self.party(name) for name in self.unacknowledged}
        for peer, upto in result.acknowledgements.items():
            if peer not in lost:
                self._by_party[peer].engine.acked(node.me, upto)
        for question in () if self.notary_is_away else result.questions:
            self._ask(node, question)

    def _ask(self, node: Assembly, question: Question) -> None:
        self.asked.append(question.kind)
        notary, data = node.question(question.kind, question.row)
        (answer,) = self.services[notary].answer_all([data])
        self.held.append(Told(node, question, ANSWER.decode(answer)))
        if not self.answers_are_held:
            self.tell()

    def tell(self) -> Told:
        """Let the answer that was held last arrive, and return it."""
        told = self.held.pop()
        told.node.engine.notary_answered(told.question, told.answer)
        return told

    # -- what tests do ---------------------------------------------------------------------------------

    def run(self, name: str, flow: Flow) -> bytes:
        """Start a flow at a resident's node, let the village settle, and return the flow's id."""
        flow_id = self.nodes[name].engine.start(flow)
        self.settle()
        return flow_id

    def party(self, name: str) -> Party:
        return self.residents[name].party
