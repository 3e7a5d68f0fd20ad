"""Hostile requests: each clause of N2 is broken once, and the desk says which; nothing is ever committed."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from app.bench.workshop import SEEN_BY_NOTARY, START, Made, Workshop
from notaries.memory import MemoryProvider
from notaries.request import Reason
from states.builder import TransactionDraft, build
from states.command import command
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import Key
from states.crypto.policy import One, any_of
from states.encoding import encode
from states.groups import Group
from states.lock import ReferOpening, SpendOpening, make_lock
from states.notarisation import (
    INPUTS_MAX,
    REFERENCES_MAX,
    Committed,
    LockSignature,
    NotAllowed,
    NotarisationRequest,
    Question,
    StatusRequest,
    lock_signing_digest,
)
from states.state import StateRef, TransactionId, TransactionState
from states.tearoff import Tearoff
from states.timewindow import TimeWindow
from tests.attack.bad_input import said
from tests.unit.notaries.desk import NETWORK, NOTARY, OTHER_NOTARY, Desk, signer_of

STRANGER = Ed25519Signer(b"\7" * 32)


@pytest.fixture
def hostile() -> Desk:
    return Desk(MemoryProvider(signer_of(NOTARY), START))


@pytest.fixture
def made(hostile: Desk) -> Made:
    return hostile.workshop.make([*hostile.issue(), *hostile.issue()], hostile.issue())


def refused(desk: Desk, question: NotarisationRequest | Made | bytes, reason: Reason) -> None:
    size = desk.size
    assert desk.ask(question) == NotAllowed(reason)
    assert desk.size == size


def test_the_request_that_is_broken_below_is_a_good_one(hostile: Desk, made: Made) -> None:
    assert isinstance(hostile.ask(made.request()), Committed)


# -- N2.1 bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\xdc\x00" + data[:1][-1:] + data[1:],
        lambda data: data.replace(b"notarise/1", b"notarise/2"),
        lambda data: data.replace(b"notarise/1", b"committed/1"[:10]),
        lambda _: b"\x91" * 5_000,
    ],
)
def test_other_bytes_than_a_question_are_refused(
    hostile: Desk, made: Made, change: Callable[[bytes], bytes]
) -> None:
    refused(hostile, change(made.asked()), Reason.MALFORMED)


def test_a_question_beyond_the_limit_is_not_even_read(hostile: Desk) -> None:
    refused(hostile, bytes((1 << 18) + 1), Reason.LIMIT)


# -- N2.2 what is shown ------------------------------------------------------------------------------


def shown(made: Made, *groups: Group) -> NotarisationRequest:
    layout = made.built.layout
    positions = [position for group in groups for position in layout.positions(group)]
    return replace(made.request(), tearoff=made.built.showing(positions))


@pytest.mark.parametrize(
    "more", [Group.OUTPUTS, Group.LOCKS, Group.COMMANDS], ids=lambda group: group.name
)
def test_who_shows_more_is_refused(hostile: Desk, made: Made, more: Group) -> None:
    refused(hostile, shown(made, *SEEN_BY_NOTARY, more), Reason.SHOWN)


@pytest.mark.parametrize("less", SEEN_BY_NOTARY, ids=lambda group: group.name)
def test_who_shows_less_is_refused(hostile: Desk, made: Made, less: Group) -> None:
    rest = [group for group in SEEN_BY_NOTARY if group != less]
    refused(hostile, shown(made, *rest), Reason.SHOWN)


def test_who_hides_one_input_is_refused(hostile: Desk, made: Made) -> None:
    layout = made.built.layout
    positions = [position for group in SEEN_BY_NOTARY for position in layout.positions(group)]
    hidden = made.built.showing(positions[1:])
    request = made.request()
    without = replace(request, tearoff=hidden, spends=request.spends[1:])
    refused(hostile, without, Reason.SHOWN)


def test_an_opening_that_shows_more_than_its_lock_is_refused(hostile: Desk, made: Made) -> None:
    request = made.request()
    creator = made.inputs[0].built
    layout = creator.layout
    wider = creator.showing([layout.position(Group.OUTPUTS, 0), layout.position(Group.LOCKS, 0)])
    spends = (replace(request.spends[0], shown=wider), *request.spends[1:])
    refused(hostile, replace(request, spends=spends), Reason.SHOWN)


def test_a_proof_of_another_length_is_refused(hostile: Desk, made: Made) -> None:
    request = made.request()
    tearoff = request.tearoff
    for proof in (tearoff.proof[:-32], tearoff.proof + bytes(32), b""):
        changed = replace(request, tearoff=replace(tearoff, proof=proof))
        refused(hostile, changed, Reason.MALFORMED)


def test_another_header_is_another_transaction(hostile: Desk, made: Made) -> None:
    request = made.request()
    empty = hostile.workshop.make().seen_by_notary.leaves[0]
    leaves = (empty, *request.tearoff.leaves[1:])
    refused(
        hostile, replace(request, tearoff=replace(request.tearoff, leaves=leaves)), Reason.SHOWN
    )


def test_a_changed_leaf_changes_the_id_and_no_signature_fits(hostile: Desk, made: Made) -> None:
    request = made.request()
    leaf = request.tearoff.leaves[1]
    changed = bytes([leaf[0] ^ 1]) + leaf[1:]
    tearoff = replace(
        request.tearoff, leaves=(request.tearoff.leaves[0], changed, *request.tearoff.leaves[2:])
    )
    refused(hostile, replace(request, tearoff=tearoff), Reason.SIGNATURES)


# -- N2.3 to N2.7 ------------------------------------------------------------------------------------


def test_a_transaction_for_another_notary_is_refused(hostile: Desk) -> None:
    other = Workshop(NETWORK, OTHER_NOTARY.party)
    refused(hostile, other.make(), Reason.NOTARY)


def drafted(**changes: object) -> Made:
    """A transaction of one's own making, with what `Workshop` would never put in."""
    values: dict[str, object] = {
        "notary": NOTARY.party,
        "window": TimeWindow(START - 1, START + 1_000),
        "parameters": NETWORK.parameters_id,
        "commands": (command(b"\x90", One(STRANGER.key)),),
    }
    draft = TransactionDraft(**(values | changes))  # type: ignore[arg-type]
    built = build(draft, bytes(32))
    return Made(built, draft.window, (), (), (), NETWORK.parameters.network)


def test_parameters_that_are_not_in_force_are_refused(hostile: Desk) -> None:
    refused(hostile, drafted(parameters=bytes(32)), Reason.PARAMETERS)
    before = TimeWindow(START - 4_000_000, START - 3_900_000)
    refused(hostile, drafted(window=before), Reason.PARAMETERS)


def test_a_window_longer_than_the_network_allows_is_refused(hostile: Desk) -> None:
    limit = NETWORK.parameters.limits.window_ms
    hostile.commit(hostile.workshop.make(opens=START, length=limit))
    long = hostile.workshop.make(opens=START, length=limit + 1)
    refused(hostile, long, Reason.WINDOW)
    said("long window", hostile.ask(long))


def test_more_inputs_or_references_than_allowed_are_refused(hostile: Desk) -> None:
    refs = tuple(StateRef(TransactionId(bytes(32)), index) for index in range(INPUTS_MAX + 1))
    refused(hostile, drafted(inputs=refs), Reason.LIMIT)
    refused(hostile, drafted(references=refs[: REFERENCES_MAX + 1]), Reason.LIMIT)


def test_a_state_named_twice_is_refused(hostile: Desk) -> None:
    (state,) = hostile.issue()
    refused(hostile, hostile.workshop.make([state, state]), Reason.REPEATED)
    refused(hostile, hostile.workshop.make([], [state, state]), Reason.REPEATED)
    refused(hostile, hostile.workshop.make([state], [state]), Reason.REPEATED)


# -- N2.8 openings -----------------------------------------------------------------------------------


def test_openings_are_one_a_state_and_in_order(hostile: Desk, made: Made) -> None:
    request = made.request()
    one, two = request.spends
    refused(hostile, replace(request, spends=(one,)), Reason.OPENINGS)
    refused(hostile, replace(request, spends=(one, two, two)), Reason.OPENINGS)
    refused(hostile, replace(request, refers=()), Reason.OPENINGS)
    refused(hostile, replace(request, spends=(two, one)), Reason.LOCK)


def with_opening(request: NotarisationRequest, **changes: object) -> NotarisationRequest:
    first, *rest = request.spends
    return replace(request, spends=(replace(first, **changes), *rest))


def test_a_stranger_who_knows_a_reference_cannot_consume_it(hostile: Desk, made: Made) -> None:
    """He has the reference, and may even have the creating transaction; salt and policy he must guess."""
    request = made.request()
    refused(hostile, with_opening(request, salt=bytes(32)), Reason.LOCK)
    refused(hostile, with_opening(request, policy=One(STRANGER.key)), Reason.LOCK)
    his = hostile.workshop.make(lock_key=STRANGER)
    refused(hostile, with_opening(request, shown=his.outputs[0].shown), Reason.LOCK)
    refused(hostile, with_opening(request, at=1 << 47), Reason.LIMIT)


def test_a_stranger_cannot_refer_to_a_state_either(hostile: Desk, made: Made) -> None:
    request = made.request()
    (refer,) = request.refers
    for changed in (replace(refer, salt=bytes(32)), replace(refer, policy_digest=bytes(32))):
        refused(hostile, replace(request, refers=(changed,)), Reason.LOCK)


def lock_leaf_tricks(tearoff: Tearoff) -> list[Tearoff]:
    header, leaf = tearoff.leaves
    label_moved = leaf[:36] + leaf[38:54] + leaf[36:38] + leaf[54:]
    longer = leaf[:33] + b"\xdc\x00\x02" + leaf[34:]
    return [replace(tearoff, leaves=(header, each)) for each in (label_moved, longer, leaf[:-1])]


def test_a_lock_in_another_encoding_is_no_lock(hostile: Desk, made: Made) -> None:
    request = made.request()
    for tearoff in lock_leaf_tricks(request.spends[0].shown):
        refused(hostile, with_opening(request, shown=tearoff), Reason.LOCK)


def test_the_lock_of_another_output_does_not_open(hostile: Desk) -> None:
    first, second = hostile.issue(2)
    request = hostile.workshop.make([first]).request()
    refused(hostile, replace(request, spends=(second.spend(),)), Reason.LOCK)


# -- N2.9 and N2.10 signatures -----------------------------------------------------------------------


def test_lock_signatures_are_the_needed_ones_and_no_others(hostile: Desk, made: Made) -> None:
    request = made.request()
    first, second = request.signatures
    his = LockSignature(STRANGER.key, STRANGER.sign(_digest(made)))
    for wrong in ((), (first,), (first, first), (first, second, second), (first, second, his)):
        refused(hostile, replace(request, signatures=wrong), Reason.SIGNATURES)


def _digest(made: Made) -> bytes:
    return lock_signing_digest(NETWORK.parameters.network, made.built.id)


@pytest.mark.parametrize("at", [0, 1])
def test_a_signature_that_does_not_verify_refuses_the_request(
    hostile: Desk, made: Made, at: int
) -> None:
    request = made.request()
    wrong = list(request.signatures)
    raw = wrong[at].raw
    wrong[at] = replace(wrong[at], raw=bytes([raw[0] ^ 1]) + raw[1:])
    refused(hostile, replace(request, signatures=tuple(wrong)), Reason.SIGNATURES)


def test_a_signature_over_another_transaction_or_network_does_not_verify(hostile: Desk) -> None:
    (state,) = hostile.issue()
    one, other = hostile.workshop.make([state]), hostile.workshop.make([state])
    stolen = replace(one.request(), signatures=other.request().signatures)
    refused(hostile, stolen, Reason.SIGNATURES)
    digest = lock_signing_digest(bytes(32), one.built.id)
    elsewhere = LockSignature(state.signer.key, state.signer.sign(digest))
    refused(hostile, replace(one.request(), signatures=(elsewhere,)), Reason.SIGNATURES)


def test_a_neighbours_bad_signature_spoils_nobody(hostile: Desk) -> None:
    good = [hostile.workshop.make(hostile.issue()) for _ in range(6)]
    bad = replace(good[2].request(), signatures=(LockSignature(STRANGER.key, bytes(64)),))
    forged = replace(good[4].request())
    (first,) = forged.signatures
    forged = replace(forged, signatures=(replace(first, raw=bytes(64)),))
    questions: list[Made | Question] = [good[0], bad, good[1], forged, good[2], good[4]]
    answers = hostile.ask_all(questions)
    assert [isinstance(each, Committed) for each in answers] == [
        True,
        False,
        True,
        False,
        True,
        True,
    ]


def test_a_key_of_a_scheme_that_locks_do_not_have_is_refused(hostile: Desk, made: Made) -> None:
    request = made.request()
    passkey = Key(3, b"\1" + STRANGER.key.raw)
    odd = LockSignature(passkey, bytes(64))
    refused(hostile, replace(request, signatures=(*request.signatures, odd)), Reason.SIGNATURES)


def test_a_threshold_policy_wants_its_threshold(hostile: Desk) -> None:
    keys = [Ed25519Signer(bytes([n]) * 32) for n in (1, 2, 3)]
    policy = any_of(2, [(1, One(key.key)) for key in keys])
    salt, label = bytes(32), bytes(16)
    creator = drafted(
        outputs=(TransactionState("load/1", NOTARY.party, b"\x90"),),
        locks=(make_lock(label, salt, policy),),
    )
    at = hostile.commit(creator).index
    shown_lock = creator.built.showing([creator.built.layout.position(Group.LOCKS, 0)])
    spend = drafted(inputs=(StateRef(creator.built.id, 0),))
    opening = SpendOpening(salt, policy, at, shown_lock)
    signatures = [LockSignature(key.key, key.sign(_digest(spend))) for key in keys]
    request = NotarisationRequest(spend.seen_by_notary, (opening,), (), ())
    refused(hostile, replace(request, signatures=tuple(signatures[:1])), Reason.SIGNATURES)
    answer = hostile.ask(replace(request, signatures=tuple(signatures[1:])))
    assert isinstance(answer, Committed)


def test_an_answer_is_no_question(hostile: Desk) -> None:
    refused(hostile, encode(NotAllowed("limit")), Reason.MALFORMED)
    assert not isinstance(hostile.ask(StatusRequest(TransactionId(bytes(32)), 1)), NotAllowed)


def test_a_refer_opening_cannot_stand_in_for_a_spend_opening(hostile: Desk, made: Made) -> None:
    request = made.request()
    refer: ReferOpening = made.inputs[0].refer()
    data = encode(
        [
            "notarise/1",
            request.tearoff,
            [refer, request.spends[1]],
            request.refers,
            request.signatures,
        ]
    )
    refused(hostile, data, Reason.MALFORMED)
