"""Each limit of shape and cost: just within passes, one more is refused, and says which."""

import pytest
from graphql import get_introspection_query, parse

from app.graphql.engine import Ask, Refused
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import ServiceLimits, check_document
from tests.attack.bad_input import said
from tests.unit.app.graphql.shell_world import a_caller, an_engine


def aliases(count: int) -> str:
    return "{" + " ".join(f"a{number}: hello" for number in range(count)) + "}"


def directives(count: int) -> str:
    return "{ hello " + "@include(if: true) " * count + "}"


def depth(count: int) -> str:
    return "{ rows " + "{ siblings " * (count - 2) + "{ name }" + " }" * (count - 2) + "}"


def root_fields(count: int) -> str:
    return "{ ...F " + "hello " * (count - 1) + "} fragment F on Query { dear }"


def selection(count: int) -> str:
    return "{ rows { siblings { ...F " + "name " * (count - 1) + "} } } fragment F on Item { name }"


LIMITS = ServiceLimits(
    aliases_max=4, directives_max=4, depth_max=4, root_fields_max=4, selection_max=4
)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (aliases, "aliases"),
        (directives, "directives"),
        (depth, "depth"),
        (root_fields, "root fields"),
        (selection, "fields of a selection"),
    ],
)
def test_shape_is_refused_from_the_first_one_too_many(make: object, what: str) -> None:
    assert callable(make)
    check_document(parse(make(4)), LIMITS)
    with pytest.raises(ApiError) as refused:
        check_document(parse(make(5)), LIMITS)
    assert refused.value.code is ErrorCode.LIMIT_EXCEEDED
    assert refused.value.details == {"limit": what, "allowed": 4, "found": 5}
    said("abuse", refused.value)


def test_fragments_multiply_aliases_wherever_they_are_spread() -> None:
    text = "{ ...A ...B } fragment A on Query { x: hello ...B } fragment B on Query { y: dear }"
    check_document(parse(text), ServiceLimits(aliases_max=3))
    with pytest.raises(ApiError):
        check_document(parse(text), ServiceLimits(aliases_max=2))


def test_directives_in_a_fragment_that_nobody_spreads_count() -> None:
    text = "{ hello } fragment F on Query { hello @a @b @c @d @e }"
    with pytest.raises(ApiError, match="directives: 5"):
        check_document(parse(text), LIMITS)


def test_fragments_that_double_forty_times_are_counted_in_no_time() -> None:
    doubling = "".join(
        f"fragment F{n} on Query {{ a: rows {{ name }} ...F{n + 1} ...F{n + 1} }}"
        for n in range(40)
    )
    text = "{ ...F0 }" + doubling + "fragment F40 on Query { hello }"
    with pytest.raises(ApiError, match="aliases"):
        check_document(parse(text), ServiceLimits())


def test_a_cycle_of_fragments_ends_and_is_named_by_validation() -> None:
    text = "{ ...A } fragment A on Query { hello ...B } fragment B on Query { ...A }"
    check_document(parse(text), ServiceLimits())
    assert code_of(text) is ErrorCode.GRAPHQL_VALIDATION_FAILED


def prepared_cost(text: str, variables: dict[str, object] | None = None) -> object:
    prepared = an_engine().prepare(Ask(text, variables or {}, None), a_caller())
    cost = prepared.extensions["cost"]
    assert isinstance(cost, dict)
    return cost["requested"]


def code_of(
    text: str, limits: ServiceLimits | None = None, variables: dict[str, object] | None = None
) -> ErrorCode | None:
    with pytest.raises(Refused) as refused:
        an_engine(limits).prepare(Ask(text, variables or {}, None), a_caller())
    return refused.value.answer.code


PAGE = "{ items%s { edges { cursor node { name } } } }"


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("{ hello }", 1),
        ("{ hello dear }", 51),
        ("{ __typename }", 1),
        ("{ rows { name } }", 1 + 10),
        ("{ rows { siblings { name } } }", 1 + 10 * (1 + 10)),
        (PAGE % "(first: 7)", 1 + 7 * 4),
        (PAGE % "", 1 + 20 * 4),
        ("{ items(first: 2) { nodes { items(first: 3) { nodes { name } } } } }", 1 + 2 * (1 + 7)),
        (
            "{ ...F x: dear ...F } fragment F on Query { rows { ...G } } fragment G on Item { name }",
            72,
        ),
        ("{ items(first: 3) { ...C } } fragment C on ItemConnection { nodes { name } }", 1 + 3 * 2),
        ("{ rows { ... on Item { name } ... { name } } }", 1 + 20),
        ("{ hello @skip(if: true) }", 1),
        ("mutation { write }", 1),
        ("subscription { count(to: 1) }", 1),
    ],
)
def test_the_estimate_is(text: str, cost: int) -> None:
    assert prepared_cost(text) == cost


def test_a_page_size_in_a_variable_or_its_default_counts() -> None:
    text = "query Q($n: Int = 5) { items(first: $n) { nodes { name } } }"
    assert prepared_cost(text) == 1 + 5 * 2
    assert prepared_cost(text, {"n": 9}) == 1 + 9 * 2
    assert prepared_cost(text, {"n": None}) == 1 + 20 * 2


def test_cost_is_refused_from_the_first_point_too_many() -> None:
    text = "{ items(first: 7) { nodes { name } } }"
    an_engine(ServiceLimits(cost_max=15)).prepare(Ask(text, {}, None), a_caller())
    assert code_of(text, ServiceLimits(cost_max=14)) is ErrorCode.LIMIT_EXCEEDED


def test_nested_pages_multiply_beyond_the_limit() -> None:
    text = "{ items(first: 100) { nodes { items(first: 100) { nodes { name } } } } }"
    assert code_of(text) is ErrorCode.LIMIT_EXCEEDED


@pytest.mark.parametrize("text", ["{ items(first: %d) { nodes { name } } }"])
def test_a_page_holds_a_hundred_and_no_more(text: str) -> None:
    prepared_cost(text % 100)
    assert code_of(text % 101) is ErrorCode.LIMIT_EXCEEDED
    by_variable = "query Q($n: Int) { items(first: $n) { nodes { name } } }"
    assert code_of(by_variable, variables={"n": 101}) is ErrorCode.LIMIT_EXCEEDED


def test_tokens_are_refused_from_the_first_one_too_many() -> None:
    text = "{ hello hello }"  # four tokens
    an_engine(ServiceLimits(tokens_max=4)).prepare(Ask(text, {}, None), a_caller())
    assert code_of(text, ServiceLimits(tokens_max=3)) is ErrorCode.LIMIT_EXCEEDED


@pytest.mark.parametrize("levels", [200, 400, 600, 660, 900])
@pytest.mark.parametrize("opened", ["{ siblings ", "{ ... "])
def test_a_text_that_nests_without_end_is_refused_and_nothing_breaks(
    levels: int, opened: str
) -> None:
    text = "{ rows " + opened * levels + "{ name " + "}" * (levels + 2)
    assert code_of(text) is ErrorCode.LIMIT_EXCEEDED


def test_a_list_that_nests_without_end_is_refused_and_nothing_breaks() -> None:
    text = "{ echo(number: " + "[" * 900 + "]" * 900 + ") }"
    assert code_of(text) in {
        ErrorCode.LIMIT_EXCEEDED,
        ErrorCode.GRAPHQL_PARSE_FAILED,
        ErrorCode.GRAPHQL_VALIDATION_FAILED,
    }


def test_validation_stops_after_a_few_errors() -> None:
    with pytest.raises(Refused) as refused:
        an_engine().prepare(Ask("{" + "nothing " * 15 + "}", {}, None), a_caller())
    assert len(refused.value.answer.errors) == ServiceLimits().validation_errors_max + 1


def test_introspection_as_graphiql_asks_it_is_within_every_limit() -> None:
    text = get_introspection_query(input_value_deprecation=True, specified_by_url=True)
    assert isinstance(prepared_cost(text), int)
