"""Sign-in tells nothing, slows guessing down, and opens sessions that end."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from app.auth.attempts import NAMES_MAX, WAIT_S_MAX, BackOff, TooManyAttempts
from app.auth.passwords import (
    PASSWORD_BYTES_MAX,
    Argon2Cost,
    Passwords,
    PasswordTooLong,
    PasswordTooShort,
)
from app.auth.sessions import MemorySessions, Role
from app.auth.sign_in import (
    ADDRESS_FAILURES_FREE,
    FAILURES_FREE,
    SESSION_LASTS,
    SignedIn,
    SignIn,
    SignInRefused,
)
from app.auth.users import LocalUsers, User, read_users, write_users
from tests.unit.app.graphql.shell_world import CHEAP, NOW, Clock, CountingEntropy

PASSWORD = "correct horse battery"


class CountingPasswords(Passwords):
    """Passwords that remember against what they were verified."""

    verified: list[str] = []  # noqa: RUF012  reset by each world

    def verify(self, password: str, kept: str) -> bool:
        self.verified.append(kept)
        return super().verify(password, kept)


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.passwords = CountingPasswords(CountingEntropy(), CHEAP)
        self.passwords.verified.clear()
        self.user = User("ana", self.passwords.hash(PASSWORD), Role.PATIENT, "O=Clinic", "p1")
        users = LocalUsers([self.user])
        self.sign_in = SignIn(
            users, MemorySessions(), self.passwords, self.clock, self.clock.monotonic
        )

    def try_(self, user: str, password: str, address: str = "a") -> SignedIn:
        return asyncio.run(self.sign_in.sign_in(user, password, address))

    def fail(self, times: int, user: str = "ana", address: str = "a") -> None:
        for _ in range(times):
            with pytest.raises(SignInRefused):
                self.try_(user, "wrong", address)


def test_the_right_password_opens_a_session_with_the_users_role() -> None:
    world = World()
    opened = world.try_("ana", PASSWORD)
    assert opened.session == world.sign_in.session_of(opened.token)
    assert (opened.session.role, opened.session.person_id) == (Role.PATIENT, "p1")
    assert len(opened.token) == 43
    assert opened.token not in repr(opened)


def test_a_session_ends_by_time_by_sign_out_and_by_its_users_end() -> None:
    world = World()
    tokens = [world.try_("ana", PASSWORD).token for _ in range(3)]
    assert len(set(tokens)) == 3
    world.sign_in.sign_out(tokens[0])
    assert world.sign_in.session_of(tokens[0]) is None
    assert world.sign_in.session_of(tokens[1]) is not None
    world.clock.advance(SESSION_LASTS - timedelta(microseconds=1))
    assert world.sign_in.session_of(tokens[1]) is not None
    world.clock.advance(timedelta(microseconds=1))
    assert world.sign_in.session_of(tokens[1]) is None
    world = World()
    token = world.try_("ana", PASSWORD).token
    world.sign_in.end_sessions("ana")
    assert world.sign_in.session_of(token) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"role": Role.AUDITOR},
        {"person_id": "p2"},
        {"organisation": "O=Other"},
        {"user_id": "somebody else"},
    ],
)
def test_a_session_ends_with_the_user_that_it_was_opened_on(changes: dict[str, str]) -> None:
    world, sessions = World(), MemorySessions()

    def over(users: LocalUsers) -> SignIn:
        return SignIn(users, sessions, world.passwords, world.clock, world.clock.monotonic)

    before = over(LocalUsers([world.user]))
    token = asyncio.run(before.sign_in("ana", PASSWORD, "a")).token
    assert before.session_of(token) is not None
    changed = msgspec.structs.replace(world.user, **changes)
    assert over(LocalUsers([changed])).session_of(token) is None


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ana", "wrong"),
        ("Ana", PASSWORD),
        ("nobody", PASSWORD),
        ("", ""),
        ("ana", "x" * (PASSWORD_BYTES_MAX + 1)),
        ("ana", "\ud800"),
        ("x" * 10_000, "y"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_way(user: str, password: str) -> None:
    with pytest.raises(SignInRefused) as refused:
        World().try_(user, password)
    assert str(refused.value) == ""


def test_an_unknown_user_costs_one_hash_of_the_same_cost_as_a_known_one() -> None:
    world = World()
    world.fail(1, "ana")
    world.fail(1, "nobody")
    known, unknown = world.passwords.verified
    assert known == world.user.password_hash
    assert unknown != known
    assert unknown.split("$")[:4] == known.split("$")[:4]  # algorithm, version, cost


def test_the_back_off_doubles_ends_in_time_and_is_forgiven_by_success() -> None:
    world = World()
    world.fail(FAILURES_FREE)
    with pytest.raises(TooManyAttempts) as refused:
        world.try_("ana", PASSWORD)  # the right one is not even looked at
    assert refused.value.retry_after_s == 1.0
    assert len(world.passwords.verified) == FAILURES_FREE
    world.clock.advance(timedelta(seconds=1))
    world.fail(1)
    world.clock.advance(timedelta(seconds=1))
    with pytest.raises(TooManyAttempts):
        world.try_("ana", PASSWORD)
    world.clock.advance(timedelta(seconds=1))
    world.try_("ana", PASSWORD)
    world.fail(FAILURES_FREE)


def test_a_stranger_does_not_lock_the_user_out_at_another_address() -> None:
    world = World()
    world.fail(FAILURES_FREE, address="stranger")
    assert world.try_("ana", PASSWORD, "home").session.user_id == "ana"


def test_an_address_that_tries_many_users_waits_too() -> None:
    world = World()
    for number in range(ADDRESS_FAILURES_FREE):
        world.fail(1, f"user {number}")
    with pytest.raises(TooManyAttempts):
        world.try_("ana", PASSWORD)


def test_guesses_at_once_are_counted_before_any_is_answered() -> None:
    world = World()

    async def guess() -> list[SignedIn | BaseException]:
        tries = (world.sign_in.sign_in("ana", "wrong", "a") for _ in range(20))
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = [type(outcome) for outcome in asyncio.run(guess())]
    assert outcomes.count(SignInRefused) == FAILURES_FREE
    assert outcomes.count(TooManyAttempts) == 20 - FAILURES_FREE


def test_the_wait_has_an_end_and_the_memory_a_bound() -> None:
    clock = Clock()
    back_off = BackOff(0, clock.monotonic)
    for _ in range(40):
        clock.advance(timedelta(seconds=WAIT_S_MAX))
        back_off.begin("name")
    with pytest.raises(TooManyAttempts) as refused:
        back_off.begin("name")
    assert refused.value.retry_after_s == WAIT_S_MAX
    for number in range(NAMES_MAX + 10):
        back_off.begin(str(number))
    assert len(back_off._failures) == NAMES_MAX


def test_a_password_is_kept_as_argon2id_with_a_salt_of_its_own() -> None:
    passwords = Passwords(CountingEntropy(), CHEAP)
    one, two = passwords.hash(PASSWORD), passwords.hash(PASSWORD)
    assert one != two
    assert one.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert passwords.verify(PASSWORD, one)
    assert not passwords.verify(PASSWORD + " ", one)
    assert Argon2Cost() == Argon2Cost(memory_kib=65_536, iterations=3, lanes=4)  # RFC 9106 §4


@pytest.mark.parametrize(
    ("password", "error"),
    [("x" * 11, PasswordTooShort), ("x" * (PASSWORD_BYTES_MAX + 1), PasswordTooLong)],
)
def test_a_new_password_has_its_length(password: str, error: type[ValueError]) -> None:
    with pytest.raises(error):
        Passwords(CountingEntropy(), CHEAP).hash(password)


def test_a_users_file_is_written_and_read_and_refused_by_name() -> None:
    user = World().user
    assert read_users(write_users([user])).find("ana") == user
    assert user.password_hash not in repr(user)


@pytest.mark.parametrize(
    "make",
    [
        lambda user: LocalUsers([user, user]),
        lambda _: User("", "$argon2id$x", Role.PATIENT, "o"),
        lambda _: User("ana", "plain", Role.PATIENT, "o"),
        lambda _: read_users(b'[{"user_id": "a"}]'),
        lambda _: read_users(b'[{"user_id": "a", "extra": 1}]'),
    ],
)
def test_a_wrong_users_file_is_refused(make: Callable[[User], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make(World().user)


def test_sessions_begin_at_the_clock_that_was_given() -> None:
    assert World().try_("ana", PASSWORD).session.issued == NOW
