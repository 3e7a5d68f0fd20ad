"""Work for a notary, made from `states` alone: a network, owners of states, transactions, requests.

Nothing here knows how a notary works. Everything follows from a seed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from states.builder import BuiltTransaction, TransactionDraft, build
from states.command import command
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.policy import One, Policy, policy_digest
from states.encoding import encode
from states.groups import Group
from states.identity import Party
from states.lock import ReferOpening, SpendOpening, lock_salt, lock_seed, make_lock
from states.notarisation import (
    LockSignature,
    NotarisationRequest,
    lock_signing_digest,
)
from states.parameters import (
    Limits,
    NetworkParameters,
    NotaryInfo,
    ParametersHistory,
    network_id,
    parameters_id,
)
from states.state import StateRef, TransactionState
from states.tearoff import Tearoff
from states.timewindow import TimeWindow

START = 1_800_000_000_000
SEEN_BY_NOTARY = (
    Group.INPUTS,
    Group.REFERENCES,
    Group.NOTARY,
    Group.WINDOW,
    Group.PARAMETERS,
)
NAME = "load"
_FREE_AT_FIRST = 64  # so that there is a choice


@dataclass(frozen=True)
class NotaryKeys:
    """A notary's party and the keys of its log."""

    seed: int
    origin: str

    def _signer(self, at: int) -> Ed25519Signer:
        return Ed25519Signer(random.Random(f"{self.seed} {at}").randbytes(32))  # noqa: S311 - a load, drawn from a seed

    @cached_property
    def party(self) -> Party:
        return Party(did_of(self._signer(0).key))

    @cached_property
    def log_key(self) -> Ed25519Signer:
        return self._signer(1)

    @cached_property
    def cosigner_key(self) -> Ed25519Signer:
        return self._signer(2)

    @property
    def info(self) -> NotaryInfo:
        return NotaryInfo(self.party, self.origin, self.log_key.key.raw, self.cosigner_key.key.raw)


@dataclass(frozen=True)
class Network:
    """A network with the parameters in force from START - 1 h on."""

    notaries: tuple[NotaryKeys, ...]
    founding: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(bytes(32)))

    @cached_property
    def parameters(self) -> NetworkParameters:
        key = self.founding.key
        return NetworkParameters(
            network=network_id(key, NAME),
            name=NAME,
            version=1,
            from_time=START - 3_600_000,
            founding_key=key,
            notaries=tuple(notary.info for notary in self.notaries),
            contracts=(),
            limits=Limits(),
            implicit_policy="deny",
            origins=(),
            rp_ids=(),
            issuers=(),
            operators=(),
        )

    @cached_property
    def parameters_id(self) -> bytes:
        return parameters_id(encode(self.parameters))

    @cached_property
    def history(self) -> ParametersHistory:
        return ParametersHistory([(self.parameters_id, self.parameters)])


@dataclass(frozen=True)
class Held:
    """An output that its owner can open: what a holder keeps of it. `at` is the creator's log index."""

    built: BuiltTransaction
    index: int
    salt: bytes
    signer: Ed25519Signer
    at: int = -1

    @property
    def ref(self) -> StateRef:
        return StateRef(self.built.id, self.index)

    @property
    def policy(self) -> Policy:
        return One(self.signer.key)

    @property
    def shown(self) -> Tearoff:
        return self.built.showing([self.built.layout.position(Group.LOCKS, self.index)])

    def spend(self) -> SpendOpening:
        return SpendOpening(self.salt, self.policy, self.at, self.shown)

    def refer(self) -> ReferOpening:
        return ReferOpening(self.salt, policy_digest(self.policy), self.at, self.shown)

    def placed(self, at: int) -> "Held":
        return replace(self, at=at)


@dataclass(frozen=True)
class Made:
    """A transaction, what it consumes and refers to, its outputs, and the request for it."""

    built: BuiltTransaction
    window: TimeWindow
    inputs: tuple[Held, ...]
    references: tuple[Held, ...]
    outputs: tuple[Held, ...]
    network: bytes

    @property
    def seen_by_notary(self) -> Tearoff:
        layout = self.built.layout
        return self.built.showing(p for group in SEEN_BY_NOTARY for p in layout.positions(group))

    def request(self) -> NotarisationRequest:
        signers = {held.signer.key: held.signer for held in self.inputs}
        digest = lock_signing_digest(self.network, self.built.id)
        return NotarisationRequest(
            self.seen_by_notary,
            tuple(held.spend() for held in self.inputs),
            tuple(held.refer() for held in self.references),
            tuple(LockSignature(key, each.sign(digest)) for key, each in sorted(signers.items())),
        )

    def asked(self) -> bytes:
        return encode(self.request())


class Workshop:
    """Makes transactions for one notary, from a seed."""

    def __init__(self, network: Network, notary: Party, seed: int = 0) -> None:
        self.network, self.notary = network, notary
        self.random = random.Random(seed)  # noqa: S311 - as above

    def make(  # noqa: PLR0913
        self,
        inputs: Sequence[Held] = (),
        references: Sequence[Held] = (),
        *,
        outputs: int = 1,
        opens: int = START - 30_000,
        length: int = 600_000,
        lock_key: Ed25519Signer | None = None,
        secret: bytes | None = None,
    ) -> Made:
        """Make a transaction. Lock keys are one-time, of `secret`, unless `lock_key` is given for all."""
        owner = secret or self.random.randbytes(32)
        labels = [self.random.randbytes(16) for _ in range(outputs)]
        salts = [lock_salt(owner, label) for label in labels]
        signers = [lock_key or Ed25519Signer(lock_seed(owner, label)) for label in labels]
        window = TimeWindow(opens, opens + length)
        draft = TransactionDraft(
            notary=self.notary,
            window=window,
            parameters=self.network.parameters_id,
            inputs=tuple(held.ref for held in inputs),
            references=tuple(held.ref for held in references),
            outputs=tuple(
                TransactionState("load/1", self.notary, self.random.randbytes(200)) for _ in labels
            ),
            locks=tuple(
                make_lock(label, salt, One(signer.key))
                for label, salt, signer in zip(labels, salts, signers, strict=True)
            ),
            commands=(command(b"\x90", One(self.network.founding.key)),),
        )
        built = build(draft, self.random.randbytes(32))
        held = tuple(
            Held(built, index, salt, signer)
            for index, (salt, signer) in enumerate(zip(salts, signers, strict=True))
        )
        network = self.network.parameters.network
        return Made(built, window, tuple(inputs), tuple(references), held, network)


@dataclass(frozen=True)
class Past:
    """A transaction of a made-up history: id, window's end, places (log index, output) consumed, nullifiers."""

    tx: bytes
    until: int
    consumed: tuple[tuple[bytes, int, int], ...]
    nullifiers: tuple[bytes, ...]


def history(count: int, seed: int) -> list[Past]:
    """A history of `count` transactions with two outputs each, of which each consumes two of those before.

    Inputs are uniform over all that is unspent: the worst case for a store.
    """
    rng = random.Random(seed)  # noqa: S311 - as above
    ids = [rng.randbytes(32) for _ in range(count)]
    free: list[tuple[int, int]] = []
    past = []
    for at, tx in enumerate(ids):
        spent = []
        for _ in range(2):
            if len(free) > _FREE_AT_FIRST:
                pick = rng.randrange(len(free))
                free[pick], free[-1] = free[-1], free[pick]
                spent.append(free.pop())
        free += [(at, 0), (at, 1)]
        past.append(
            Past(
                tx,
                START + 1 + rng.randrange(570_000),
                tuple((ids[creator], output, creator) for creator, output in spent),
                tuple(rng.randbytes(32) for _ in spent),
            )
        )
    return past
