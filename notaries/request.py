"""The checks of a request that need no memory: clauses N2.1 to N2.10 of notaries/README.md, in that order."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from notaries.openings import open_exactly, open_lock
from notaries.uniqueness import LOG_SIZE_MAX, Claim, CommitRequest
from states.crypto.keys import SCHEME_ED25519, SCHEME_P256, Key
from states.crypto.policy import One, is_satisfied, keys_of
from states.encoding import Codec, encode
from states.errors import LedgerError
from states.groups import Group, layout_of
from states.identity import Party, PartyField
from states.lock import ReferOpening, SpendOpening, nullifier
from states.notarisation import (
    INPUTS_MAX,
    REFERENCES_MAX,
    EntryRequest,
    LivenessQuestion,
    LivenessRequest,
    LockSignature,
    NotarisationRequest,
    lock_signing_digest,
)
from states.parameters import NetworkParameters, ParametersHistory, UnknownParameters
from states.receipt import ReceiptVerifier
from states.sizes import Bytes32
from states.state import STATE_REF, StateRef, TransactionId
from states.tearoff import NONCE_SIZE, Tearoff
from states.timewindow import TimeWindow

_BODY = NONCE_SIZE + 1  # a component lies in its leaf behind a nonce and its group

SHOWN = (Group.INPUTS, Group.REFERENCES, Group.NOTARY, Group.WINDOW, Group.PARAMETERS)
ENTRY_SHOWN = (Group.NOTARY, Group.WINDOW, Group.PARAMETERS)

_NOTARY = Codec(PartyField, "notary", 256)
_WINDOW = Codec(TimeWindow, "time-window", 64)
_HASH = Codec(Bytes32, "hash", 64)


class Reason(StrEnum):
    """Why a request is refused: the one word that the requester reads."""

    MALFORMED = "malformed"
    SHOWN = "shown"
    NOTARY = "notary"
    PARAMETERS = "parameters"
    WINDOW = "window"
    LIMIT = "limit"
    REPEATED = "repeated"
    OPENINGS = "openings"
    LOCK = "lock"
    SIGNATURES = "signatures"
    RECEIPT = "receipt"


class RequestRefused(LedgerError):
    """A request breaks a clause of N2; `reason` is told, the sentence is for our own log."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(f"{reason}: {why}")
        self.reason = reason


class KeyCheck(NamedTuple):
    """A lock signature that is still to be verified: the costly part, which may be done elsewhere."""

    key: Key
    raw: bytes
    digest: bytes


class CheckedRequest(NamedTuple):
    """A request that may be committed if all `signatures` verify: their keys satisfy every policy."""

    commit: CommitRequest
    signatures: tuple[KeyCheck, ...]


class CheckedQuestion(NamedTuple):
    """A question about a state by somebody who holds its opening."""

    claim: Claim
    nullifier: bytes


class _Shown(NamedTuple):
    """What the notary reads of a transaction."""

    id: TransactionId
    inputs: tuple[StateRef, ...]
    references: tuple[StateRef, ...]
    notary: bytes
    window: TimeWindow
    parameters: bytes


class RequestChecker:
    """Checks requests to one notary. It holds no state but what the network publishes."""

    def __init__(
        self, party: Party, network: bytes, parameters: Callable[[], ParametersHistory]
    ) -> None:
        self.party = party
        self._me = encode(party)
        self.network = network
        self._parameters = parameters

    # -- requests to commit ------------------------------------------------------------------------

    def check(self, request: NotarisationRequest) -> CheckedRequest:
        """Check all of N2 but whether the signatures verify.

        Raises a LedgerError; RequestRefused where more can be said than that it is malformed.
        """
        shown = _read(request.tearoff)  # N2.2, N2.6
        if shown.notary != self._me:  # N2.3
            raise RequestRefused(Reason.NOTARY, "the transaction names another notary")
        self._check_window(shown)  # N2.4, N2.5
        everything = (*shown.inputs, *shown.references)
        if len(set(everything)) != len(everything):  # N2.7
            raise RequestRefused(Reason.REPEATED, "a state is named twice")
        inputs = _claims(shown.inputs, request.spends)  # N2.8
        references = _claims(shown.references, request.refers)
        _check_policies(request.spends, request.signatures)  # N2.9
        digest = lock_signing_digest(self.network, shown.id)
        commit = CommitRequest(
            shown.id,
            shown.window.from_time,
            shown.window.until_time,
            inputs,
            tuple(map(nullifier, [each.salt for each in request.spends], shown.inputs)),
            references,
        )
        return CheckedRequest(
            commit, tuple([KeyCheck(each.key, each.raw, digest) for each in request.signatures])
        )

    def _check_window(self, shown: _Shown) -> None:
        opens = shown.window.from_time
        try:
            id_, parameters = self._parameters().in_force(opens)
        except UnknownParameters as unknown:
            raise RequestRefused(Reason.PARAMETERS, str(unknown)) from unknown
        if shown.parameters != encode(id_):
            raise RequestRefused(Reason.PARAMETERS, "not those in force when the window opens")
        if shown.window.length_ms > parameters.limits.window_ms:
            raise RequestRefused(Reason.WINDOW, f"longer than {parameters.limits.window_ms} ms")

    # -- liveness ----------------------------------------------------------------------------------

    def check_liveness(self, request: LivenessRequest) -> tuple[CheckedQuestion, ...]:
        """Check that every state's lock is opened; raises RequestRefused."""
        return tuple(_question(each) for each in request.questions)

    # -- entries of another notary's changes -------------------------------------------------------

    def check_entry(self, request: EntryRequest) -> CommitRequest:
        """Check that another notary of this network committed the transaction (N8). Raises a LedgerError."""
        id_, _ = _opened(request.tearoff, ENTRY_SHOWN)
        notary, window, parameters = _single(request.tearoff)
        issuer = _NOTARY.decode(notary)
        if issuer == self.party:
            raise RequestRefused(Reason.NOTARY, "what this notary commits needs no entry")
        opening = self._parameters().by_id(_HASH.decode(parameters))
        _check_receipt(issuer, id_, request.receipt, (opening, *self._newer(opening)))
        return CommitRequest(id_, window.from_time, window.until_time, entered=True)

    def _newer(self, opening: NetworkParameters) -> Iterable[NetworkParameters]:
        """The newest parameters too: a receipt may be made afresh after the issuer's keys changed."""
        _, newest = self._parameters().in_force(_FOREVER)
        return () if newest == opening else (newest,)


_LOCK_SCHEMES = frozenset((SCHEME_ED25519, SCHEME_P256))
_FOREVER = (1 << 63) - 1


def _check_receipt(
    issuer: Party, tx: TransactionId, receipt: str, versions: Sequence[NetworkParameters]
) -> None:
    infos = [info for each in versions if (info := each.notary(issuer)) is not None]
    if not infos:
        raise RequestRefused(Reason.NOTARY, "the transaction's notary is none of this network")
    wrong: LedgerError | None = None
    for info in infos:
        try:
            ReceiptVerifier(info.log_keys).verify(tx, receipt)
        except LedgerError as refused:
            wrong = refused
        else:
            return
    raise RequestRefused(Reason.RECEIPT, str(wrong))


def _opened(tearoff: Tearoff, groups: tuple[Group, ...]) -> tuple[TransactionId, tuple[int, ...]]:
    """N2.2: exactly these groups, whole, and nothing else, so that a notary never learns more."""
    counts = layout_of(tearoff.leaves[0]).counts
    if counts[Group.INPUTS] > INPUTS_MAX or counts[Group.REFERENCES] > REFERENCES_MAX:  # N2.6
        raise RequestRefused(Reason.LIMIT, "more inputs or references than a request may have")
    id_ = open_exactly(tearoff, groups)
    if id_ is None:
        raise RequestRefused(Reason.SHOWN, "not exactly what a notary may see")
    return id_, counts


def _single(tearoff: Tearoff) -> tuple[bytes, TimeWindow, bytes]:
    """The components of which a transaction has one: they are the last that are shown."""
    notary, window, parameters = (leaf[_BODY:] for leaf in tearoff.leaves[-3:])
    return notary, _WINDOW.decode(window), parameters


def _read(tearoff: Tearoff) -> _Shown:
    id_, counts = _opened(tearoff, SHOWN)
    inputs, references = counts[Group.INPUTS], counts[Group.REFERENCES]
    refs = tuple(
        [STATE_REF.decode(leaf[_BODY:]) for leaf in tearoff.leaves[1 : 1 + inputs + references]]
    )
    notary, window, parameters = _single(tearoff)
    return _Shown(id_, refs[:inputs], refs[inputs:], notary, window, parameters)


def _claims(
    refs: Sequence[StateRef], openings: Sequence[SpendOpening | ReferOpening]
) -> tuple[Claim, ...]:
    if len(refs) != len(openings):
        raise RequestRefused(Reason.OPENINGS, f"{len(openings)} openings for {len(refs)} states")
    return tuple(map(_claim, refs, openings))


def _claim(ref: StateRef, opening: SpendOpening | ReferOpening) -> Claim:
    if len(opening.shown.positions) != 2:  # noqa: PLR2004 - header and lock
        raise RequestRefused(Reason.SHOWN, "an opening shows more than a header and a lock")
    if opening.at >= LOG_SIZE_MAX:
        raise RequestRefused(Reason.LIMIT, "no log is that long")
    try:
        open_lock(opening, ref)
    except LedgerError as closed:
        raise RequestRefused(Reason.LOCK, str(closed)) from closed
    return Claim.of(ref, opening.at)


def _question(question: LivenessQuestion) -> CheckedQuestion:
    claim = _claim(question.ref, question.opening)
    return CheckedQuestion(claim, nullifier(question.opening.salt, question.ref))


def _check_policies(spends: Sequence[SpendOpening], signatures: Sequence[LockSignature]) -> None:
    """N2.9: the keys that signed satisfy every policy; none signed twice, none that no policy names."""
    keys = frozenset(each.key for each in signatures)
    if len(keys) != len(signatures):
        raise RequestRefused(Reason.SIGNATURES, "one key signed twice")
    if not _LOCK_SCHEMES.issuperset([key.scheme for key in keys]):
        raise RequestRefused(Reason.SIGNATURES, "of a scheme that lock keys do not have")
    policies = {opening.policy for opening in spends}
    if policies == {One(key) for key in keys}:
        return  # as nearly always: one owner a lock, and each signed
    if not all(is_satisfied(policy, keys) for policy in policies):
        raise RequestRefused(Reason.SIGNATURES, "a policy is not satisfied")
    if keys - frozenset().union(*(keys_of(policy) for policy in policies)):
        raise RequestRefused(Reason.SIGNATURES, "by a key that no policy names")
