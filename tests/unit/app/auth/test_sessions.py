"""Both stores of sessions keep the same promises, and one keeps them over a restart."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.auth.sessions import (
    SESSIONS_PER_USER_MAX,
    MemorySessions,
    Role,
    Session,
    SessionStore,
    token_hash,
)
from app.auth.sqlite_sessions import SqliteSessions

NOW = datetime(2026, 11, 22, 12, 0, 0, 123_457, tzinfo=UTC)
HOUR = timedelta(hours=1)


def session(user_id: str = "ana", issued: datetime = NOW, person_id: str | None = "p1") -> Session:
    role = Role.PRIVACY_OFFICER
    return Session("s1", user_id, role, person_id, "O=Clinic,L=Leeds,C=GB", issued, issued + HOUR)


def name(number: int) -> bytes:
    found = token_hash(f"token {number}")
    assert found is not None
    return found


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionStore]:
    if request.param == "memory":
        yield MemorySessions()
        return
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as connection:
        yield SqliteSessions(connection)


def test_what_was_put_is_got_to_the_microsecond(store: SessionStore) -> None:
    store.put(name(1), session())
    store.put(name(2), session(person_id=None))
    assert store.get(name(1)) == session()
    assert store.get(name(2)) == session(person_id=None)
    assert store.get(name(3)) is None


def test_a_revoked_session_is_gone_and_the_others_stay(store: SessionStore) -> None:
    store.put(name(1), session())
    store.put(name(2), session())
    store.revoke(name(1))
    store.revoke(name(9))
    assert (store.get(name(1)), store.get(name(2))) == (None, session())


def test_all_sessions_of_a_user_end_together(store: SessionStore) -> None:
    store.put(name(1), session("ana"))
    store.put(name(2), session("ana"))
    store.put(name(3), session("bob"))
    store.revoke_user("ana")
    assert [store.get(name(n)) for n in (1, 2, 3)] == [None, None, session("bob")]


def test_a_sweep_takes_what_has_expired_by_now_and_nothing_else(store: SessionStore) -> None:
    store.put(name(1), session())
    store.sweep(NOW + HOUR - timedelta(microseconds=1))
    assert store.get(name(1)) == session()
    store.sweep(NOW + HOUR)
    assert store.get(name(1)) is None


def test_a_user_keeps_the_newest_sessions_only(store: SessionStore) -> None:
    store.put(name(1_000), session("bob"))
    for number in range(SESSIONS_PER_USER_MAX + 2):
        store.put(name(number), session("ana", NOW + timedelta(seconds=number)))
    assert [store.get(name(number)) is None for number in range(4)] == [True, True, False, False]
    assert store.get(name(1_000)) is not None


@pytest.mark.parametrize(
    "end",
    [
        lambda store: store.revoke(name(1)),
        lambda store: store.revoke_user("ana"),
        lambda store: store.sweep(NOW + HOUR),
        lambda store: [
            store.put(name(2 + at), session("ana", NOW + timedelta(seconds=1)))
            for at in range(SESSIONS_PER_USER_MAX)
        ],
    ],
)
def test_what_was_found_before_its_end_is_not_found_after_it(
    store: SessionStore, end: Callable[[SessionStore], object]
) -> None:
    store.put(name(1), session())
    assert store.get(name(1)) == session()
    end(store)
    assert store.get(name(1)) is None


def test_the_table_outlives_the_process_and_holds_no_token(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with closing(sqlite3.connect(path)) as connection:
        SqliteSessions(connection).put(name(1), session())
        dump = "\n".join(connection.iterdump())
    assert "token 1" not in dump
    with closing(sqlite3.connect(path)) as connection:
        assert SqliteSessions(connection).get(name(1)) == session()


@pytest.mark.parametrize("token", ["", "x" * 129, "ümlaut"])
def test_what_can_be_no_token_has_no_name(token: str) -> None:
    assert token_hash(token) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: session(issued=NOW.replace(tzinfo=None)),
        lambda: Session("s", "u", Role.PATIENT, None, "o", NOW, NOW),
    ],
)
def test_a_session_refuses_times_that_can_not_be(make: Callable[[], Session]) -> None:
    with pytest.raises(ValueError, match="session"):
        make()
