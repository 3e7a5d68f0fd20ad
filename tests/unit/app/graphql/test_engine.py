"""The one way in: what runs, what is refused, what is masked, and what is looked at again."""

import asyncio
import json
import logging
from datetime import timedelta

import pytest

from app.graphql.context_protocol import Caller
from app.graphql.engine import Answer, Ask, Engine, Refused
from app.graphql.errors import ErrorCode
from app.graphql.limits import ServiceLimits
from tests.unit.app.graphql.shell_world import (
    OPENED,
    SECRET,
    Clock,
    a_caller,
    an_engine,
)


def run(
    text: str,
    variables: dict[str, object] | None = None,
    engine: Engine | None = None,
    name: str | None = None,
) -> Answer:
    engine = engine or an_engine()
    prepared = engine.prepare(Ask(text, variables or {}, name), a_caller())
    return asyncio.run(engine.run(prepared, a_caller()))


def code(answer: Answer, index: int = 0) -> object:
    extensions = answer.errors[index]["extensions"]
    assert isinstance(extensions, dict)
    return extensions["code"]


def refused(text: str, engine: Engine | None = None, name: str | None = None) -> Answer:
    with pytest.raises(Refused) as caught:
        (engine or an_engine()).prepare(Ask(text, {}, name), a_caller())
    return caught.value.answer


def test_an_answer_tells_its_cost_its_request_and_its_moment() -> None:
    answer = run("{ hello }")
    assert answer.data == {"hello": "hello"}
    assert answer.extensions["requestId"] == "r1"
    assert answer.extensions["consistency"] == {"ledgerSeq": OPENED.contexts}
    assert answer.extensions["cost"] == {
        "requested": 1,
        "limit": 10_000,
        "available": 19_999,
        "capacity": 20_000,
        "restoredPerSecond": 1_000,
    }


def test_an_unexpected_exception_leaves_only_its_id_and_is_logged_under_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = run("{ fails hello }")
    assert answer.data == {"fails": None, "hello": "hello"}
    assert SECRET not in json.dumps(answer.formatted())
    assert code(answer) == "INTERNAL_SERVER_ERROR"
    error_id = answer.errors[0]["extensions"]["errorId"]  # type: ignore[call-overload,index]
    assert answer.errors[0]["path"] == ["fails"]
    assert str(error_id) in caplog.text
    assert SECRET in caplog.text


def test_an_api_error_keeps_its_message_its_code_and_its_details() -> None:
    answer = run("{ refused }")
    assert answer.errors[0]["message"] == "not yours"
    assert answer.errors[0]["extensions"] == {"hint": "ask", "code": "FORBIDDEN"}


def test_a_result_that_does_not_fit_its_type_is_not_quoted() -> None:
    answer = run("{ tooLarge }")
    assert code(answer) == "INTERNAL_SERVER_ERROR"
    assert str(1 << 40) not in json.dumps(answer.formatted())


def test_parse_and_validation_errors_have_codes_and_no_suggestions() -> None:
    assert code(refused("{ hello")) == "GRAPHQL_PARSE_FAILED"
    answer = refused("{ helo }")
    assert code(answer) == "GRAPHQL_VALIDATION_FAILED"
    assert "hello" not in json.dumps(answer.formatted())
    assert "data" not in answer.formatted()


def test_a_variable_that_does_not_coerce_is_a_request_error() -> None:
    answer = run("query Q($n: UInt53!) { echo(number: $n) }", {"n": "seven"})
    assert not answer.executed
    assert "data" not in answer.formatted()
    assert code(answer) == "BAD_USER_INPUT"


def test_an_operation_is_chosen_by_name_and_never_guessed() -> None:
    text = "query A { hello } query B { dear }"
    assert run(text, name="B").data == {"dear": "dear"}
    assert code(refused(text)) == "BAD_USER_INPUT"
    assert code(refused(text, name="C")) == "BAD_USER_INPUT"


def test_the_same_text_is_parsed_and_validated_once() -> None:
    engine = an_engine()
    for _ in range(5):
        run("{ hello }", engine=engine)
    assert (engine._documents.misses, engine._documents.hits) == (1, 4)


def test_kept_documents_are_bounded() -> None:
    engine = an_engine()
    for number in range(300):
        engine.prepare(Ask(f"query Q{number} {{ hello }}", {}, None), a_caller())
    assert len(engine._documents._kept) == 256


def test_what_takes_too_long_ends_in_its_code() -> None:
    answer = run("{ slow }", engine=an_engine(ServiceLimits(execution_seconds_max=0)))
    assert code(answer) == "REQUEST_TIMEOUT"
    assert not answer.executed


def test_a_bucket_empties_fills_again_and_is_the_callers_own() -> None:
    clock = Clock()
    limits = ServiceLimits(bucket_capacity=100, bucket_restored_per_second=10)
    engine = an_engine(limits, clock)
    engine.prepare(Ask("{ dear x: dear }", {}, None), a_caller())
    answer = refused("{ hello }", engine)
    assert code(answer) == "THROTTLED"
    engine.prepare(Ask("{ hello }", {}, None), a_caller("bob"))
    clock.advance(timedelta(seconds=0.1))
    engine.prepare(Ask("{ hello }", {}, None), a_caller())


def test_an_attempt_that_fails_is_charged_too() -> None:
    engine = an_engine(ServiceLimits(bucket_capacity=2), Clock())
    assert code(refused("{ nothing }", engine)) == "GRAPHQL_VALIDATION_FAILED"
    assert code(refused("{", engine)) == "GRAPHQL_PARSE_FAILED"
    assert code(refused("{ hello }", engine)) == "THROTTLED"


async def streamed(text: str, callers: list[Caller | None] | None = None) -> list[Answer]:
    engine = an_engine()
    prepared = engine.prepare(Ask(text, {}, None), a_caller())
    left = iter(callers) if callers is not None else None
    return [
        answer
        async for answer in engine.stream(
            prepared, lambda: a_caller() if left is None else next(left)
        )
    ]


def test_each_event_has_a_context_of_its_own_and_all_are_closed() -> None:
    opened, closed = OPENED.contexts, OPENED.closed
    answers = asyncio.run(streamed("subscription { count(to: 3) }"))
    assert [answer.data for answer in answers] == [{"count": number} for number in (1, 2, 3)]
    assert OPENED.contexts - opened == 4  # the source's and three events'
    assert OPENED.closed - closed == 4
    moments = [answer.extensions["consistency"] for answer in answers]
    assert len({json.dumps(moment) for moment in moments}) == 3


def test_a_subscription_ends_at_the_first_event_after_its_session() -> None:
    OPENED.sources_closed.clear()
    answers = asyncio.run(streamed("subscription { count(to: 9) }", [a_caller(), a_caller(), None]))
    assert [answer.executed for answer in answers] == [True, False]
    assert code(answers[-1]) == "UNAUTHENTICATED"
    assert OPENED.sources_closed.is_set()


def test_a_source_that_refuses_ends_with_its_code() -> None:
    answers = asyncio.run(streamed("subscription { breaks(known: true) }"))
    assert [answer.executed for answer in answers] == [True, False]
    assert answers[-1].code is ErrorCode.CONSENT_EXPIRED


def test_a_source_that_breaks_ends_masked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answers = asyncio.run(streamed("subscription { breaks(known: false) }"))
    assert code(answers[-1]) == "INTERNAL_SERVER_ERROR"
    assert SECRET not in json.dumps(answers[-1].formatted())
    assert SECRET in caplog.text
