"""Why a flow failed, as clients read it: a code for every refusal of the ledger, words with names and without DIDs."""

from collections.abc import Iterator

import pytest

from app.graphql.errors import ErrorCode
from app.graphql.schema.failures import FailureCode, FlowFailure, code_of, failure_of
from app.vault.reader import NotEnrolled, NotHeld
from app.vault.vault import NotConcerned
from flows.finality import AlreadyConsumed, WindowLapsed
from flows.flow import CounterpartyFailed, FlowRefused, SessionLost
from states.errors import LedgerError, MalformedBytes, OverLimit
from states.identity import Party
from tests.unit.app.graphql_schema.graph_world import DR_MORA, GraphVillage, at

MERCY = Party("did:key:z6MkqETQa1hHffemkXRnTh3Sfbko6qYc7zxJdWLrvSSx8fjm")
STRANGER = Party("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
NOT_OF_FLOWS = (
    "app.fhir.", "app.network.", "app.transport.", "notaries.", "states.bundle",  # elsewhere raised, and caught there
    "flows.step", "flows.registry", "flows.operator", "flows.engine",  # faults of ours, or answers to orders
    "app.subjects.transfer_permit",  # a mutation's, which no flow is started for
)  # fmt: skip


def said(error: Exception, *, is_own: bool = True, operates: bool = False) -> FlowFailure:
    """What is said of an exception as the engine keeps it."""
    names = {str(MERCY): "Mercy Hospital"}
    return failure_of(
        f"{type(error).__name__}: {error}",
        FailureCode.INTERNAL_SERVER_ERROR,
        lambda did: names.get(did, did),
        is_own=is_own,
        operates=operates,
    )


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (FlowRefused("nobody", "nobody is called: that"), "REFUSED", "nobody is called: that"),
        (NotConcerned(), "REFUSED", "this transaction does not concern this node and its bringer"),
        (
            CounterpartyFailed(MERCY, "code", "no one-time code was used"),
            "COUNTERPARTY_REFUSED",
            "Mercy Hospital refused: no one-time code was used",
        ),
        (
            CounterpartyFailed(MERCY, "failed", ""),
            "COUNTERPARTY_REFUSED",
            "Mercy Hospital could not go on, and does not say why",
        ),
        (
            CounterpartyFailed(STRANGER, "code", "no"),
            "COUNTERPARTY_REFUSED",
            f"{STRANGER} refused: no",
        ),
        (
            NotEnrolled(f"no enrolment at {MERCY} here"),
            "NOT_ENROLLED",
            "no enrolment at Mercy Hospital here",
        ),
        (NotHeld("no such record"), "NOT_FOUND", "no such record"),
        (
            AlreadyConsumed(),
            "CONFLICT",
            "a state that this refers to has been consumed meanwhile",
        ),
        (
            WindowLapsed(),
            "WINDOW_CLOSED",
            "the time-window closed before the notary was reached",
        ),
        (OverLimit("parts", 3, 2), "LIMIT_EXCEEDED", "parts: 3 is over the limit of 2"),
        (SessionLost("…"), "COUNTERPARTY_LOST", None),
        (MalformedBytes("a value", "patient 4711"), "NOT_VERIFIED", None),
        (KeyError("patient 4711"), "INTERNAL_SERVER_ERROR", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_has_a_code_and_words_for_who_started_the_flow(
    error: Exception, code: str, message: str | None
) -> None:
    hers = said(error)
    assert (hers.code.name, hers.message, hers.exception) == (code, message, None)
    others = said(error, is_own=False, operates=True)
    assert (others.code, others.message) == (hers.code, None)
    assert others.exception == type(error).__name__


def test_what_an_operator_ordered_is_a_code_and_his_words() -> None:
    told = failure_of("paused by an operator", FailureCode.PAUSED, str, is_own=True, operates=False)
    assert (told.code, told.message) == (FailureCode.PAUSED, "paused by an operator")


def _refusals(kind: type[LedgerError]) -> Iterator[type[LedgerError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _refusals(each)


def test_every_refusal_that_may_end_a_flow_has_a_code_of_its_own() -> None:
    ours = [
        kind
        for kind in _refusals(LedgerError)
        if kind.__module__.startswith(("states.", "flows.", "app."))
        and not kind.__module__.startswith(NOT_OF_FLOWS)
    ]
    assert len(ours) > 30
    listed = FailureCode.INTERNAL_SERVER_ERROR
    assert [kind.__name__ for kind in ours if code_of(kind.__name__) is listed] == []


def test_what_errors_and_failures_both_name_is_spelled_alike() -> None:
    shared = {each.name for each in FailureCode} & {each.name for each in ErrorCode}
    assert shared == {"NOT_FOUND", "CONFLICT", "LIMIT_EXCEEDED", "INTERNAL_SERVER_ERROR"}
    assert all(each.name == str(each.value) for each in FailureCode)


def test_a_refusal_of_another_organisation_is_told_with_its_name() -> None:
    world = GraphVillage()
    world.publish()
    fields = {
        "idempotencyKey": "move",
        "record": world.first(DR_MORA, "records")["id"],
        "to": world.party_id("Mercy", "Riverside"),
    }
    flow = world.flow(DR_MORA, world.mutate(DR_MORA, "transferCustody", fields))
    assert at(flow, "failure") == {
        "code": "COUNTERPARTY_REFUSED",
        "message": "Agent refused: Nothing available.",
    }
    assert "did:key" not in str(flow)
