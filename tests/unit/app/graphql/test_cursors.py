"""A cursor opens for its own query, filter and reader, and for nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.graphql.connections import Pager
from app.graphql.cursors import (
    KEY_BYTES,
    Cursors,
    Page,
    PageArguments,
    Position,
    Scope,
    page_of,
)
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import CURSOR_CHARS_MAX, ServiceLimits
from tests.unit.app.graphql.shell_world import CountingEntropy

ENTROPY = CountingEntropy()
CURSORS = Cursors(ENTROPY(KEY_BYTES))
SCOPE = Scope("records", "ana", ("2026", None, 7, True))
POSITION = Position(41, ("2026-11-22", 7, b"\x01"))
LIMITS = ServiceLimits()


def assert_refused(cursor: str, scope: Scope = SCOPE, cursors: Cursors = CURSORS) -> None:
    with pytest.raises(ApiError) as refused:
        cursors.open(cursor, scope)
    assert refused.value.code is ErrorCode.BAD_USER_INPUT
    assert refused.value.message == "the cursor is not of this query"


def test_a_cursor_opens_to_the_position_that_was_sealed() -> None:
    assert CURSORS.open(CURSORS.seal(POSITION, SCOPE), SCOPE) == POSITION


def test_one_row_has_one_cursor_and_shows_nothing_of_its_keys() -> None:
    cursor = CURSORS.seal(POSITION, SCOPE)
    assert cursor == CURSORS.seal(POSITION, SCOPE)
    assert b"2026-11-22" not in base64.urlsafe_b64decode(cursor + "==")


@pytest.mark.parametrize(
    "scope",
    [
        Scope("people", "ana", SCOPE.filter),
        Scope("records", "bob", SCOPE.filter),
        Scope("records", "ana", ("2025", None, 7, True)),
        Scope("records", "ana", ("2026", None, 7)),
        Scope("records", "ana"),
    ],
)
def test_a_cursor_of_another_scope_is_refused(scope: Scope) -> None:
    assert_refused(CURSORS.seal(POSITION, SCOPE), scope)


def test_a_cursor_of_another_node_is_refused() -> None:
    assert_refused(CURSORS.seal(POSITION, SCOPE), cursors=Cursors(ENTROPY(KEY_BYTES)))


def test_every_changed_bit_and_every_cut_is_refused() -> None:
    cursor = CURSORS.seal(POSITION, SCOPE)
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        assert_refused(base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode())
    for length in range(len(raw)):
        assert_refused(base64.urlsafe_b64encode(raw[:length]).rstrip(b"=").decode())


@given(st.text(max_size=200))
def test_no_text_of_a_clients_making_opens(cursor: str) -> None:
    assert_refused(cursor)


def test_what_is_longer_than_any_cursor_is_refused() -> None:
    assert_refused("A" * (CURSOR_CHARS_MAX + 1))


def test_a_key_of_another_length_is_no_key() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        Cursors(bytes(32))


def page(**asked: int | str | None) -> Page:
    return page_of(PageArguments(**asked), CURSORS, SCOPE, LIMITS)  # type: ignore[arg-type]


def test_a_page_without_arguments_is_the_first_of_the_default_size() -> None:
    assert page() == Page(20, backward=False, position=None)


def test_pages_run_both_ways_from_a_cursor() -> None:
    cursor = CURSORS.seal(POSITION, SCOPE)
    assert page(first=5, after=cursor) == Page(5, backward=False, position=POSITION)
    assert page(last=100, before=cursor) == Page(100, backward=True, position=POSITION)


@pytest.mark.parametrize(
    "asked",
    [
        {"first": 0},
        {"first": 101},
        {"last": -1},
        {"last": 101},
        {"first": 1, "last": 1},
        {"first": 1, "before": "x"},
        {"after": "not a cursor"},
    ],
)
def test_a_page_that_can_not_be_is_bad_input(asked: dict[str, int | str | None]) -> None:
    with pytest.raises(ApiError) as refused:
        page(**asked)
    assert refused.value.code is ErrorCode.BAD_USER_INPUT


PAGER: Pager[int, str] = Pager(
    CURSORS, SCOPE, position=lambda row: Position(1, (row,)), node=lambda row: f"row {row}"
)


def test_the_row_too_many_is_not_shown_but_told() -> None:
    connection = PAGER.connection([1, 2, 3], Page(2, backward=False, position=None))
    assert connection.nodes == ["row 1", "row 2"]
    assert (connection.page_info.has_next_page, connection.page_info.has_previous_page) == (
        True,
        False,
    )
    end = connection.page_info.end_cursor
    assert end is not None
    assert CURSORS.open(end, SCOPE) == Position(1, (2,))


def test_a_backward_page_is_shown_in_forward_order() -> None:
    connection = PAGER.connection([9, 8, 7], Page(2, backward=True, position=POSITION))
    assert connection.nodes == ["row 8", "row 9"]
    assert connection.page_info.has_next_page
    assert connection.page_info.has_previous_page


def test_an_empty_page_has_no_cursors() -> None:
    info = PAGER.connection([], Page(2, backward=False, position=None)).page_info
    assert (info.start_cursor, info.end_cursor, info.has_next_page) == (None, None, False)
