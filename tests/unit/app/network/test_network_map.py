"""Claims about the network map: what it takes, what it refuses, and what survives a restart."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.network.bootstrap import Terms, announce, countersign, recertify, request_entry
from app.network.entries import (
    FOREVER,
    end_identity,
    leave,
    move,
    rotate_box,
    rotate_identity,
    rotate_reading_log,
    rotate_tls,
)
from app.network.errors import MapDamaged, MapRefused, MapRule
from app.network.removal import remove
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.signatures import sign_evidence
from states.encoding import encode
from states.errors import InvalidSignature, LedgerError, MalformedBytes
from states.parameters import (
    SIGNED_MEMBER,
    SIGNED_PARAMETERS,
    Member,
    NetworkParameters,
    SignedMember,
    SignedParameters,
    UnknownParameters,
    UnknownParty,
    open_parameters,
    parameters_id,
)
from tests.attack.bad_input import said
from tests.unit.app.network.towns import (
    DAY,
    FIRST,
    FOUNDER,
    NAME,
    NETWORK,
    NOW,
    OPERATOR,
    SECOND_OPERATOR,
    TERMS,
    Clock,
    Organisation,
    empty_map,
    founded_map,
)

MERCY, RIVERSIDE = Organisation(1), Organisation(2)
NEXT_KEY = Ed25519Signer(b"\x77" * 32).key
WITH_SECOND = Terms(NAME, (), (), (OPERATOR.key, SECOND_OPERATOR.key))
ONLY_SECOND = Terms(NAME, (), (), (SECOND_OPERATOR.key,))


def _signed(
    member: Member, *, operator: Ed25519Signer = OPERATOR, by: Organisation = MERCY
) -> bytes:
    """Sign an entry without any of the checks that the makers make."""
    body = encode(member)
    founding = sign_evidence(by.founding, NETWORK, body)
    return encode(SignedMember(body, founding, sign_evidence(operator, NETWORK, body)))


def _second_version(terms: Terms, at: int = NOW + DAY) -> bytes:
    current = founded_parameters()
    return announce(FOUNDER, current, terms, at, NOW)


def founded_parameters() -> NetworkParameters:
    return open_parameters(SIGNED_PARAMETERS.decode(FIRST), NETWORK)


def test_a_member_is_found_by_every_key_that_it_shows(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    MERCY.signed(known)
    (identity,) = MERCY.entry.identity
    assert known.member(MERCY.party) == MERCY.entry
    assert known.holder_of_tls(MERCY.tls.pin) == MERCY.entry
    assert known.party_of_key(identity.key) == MERCY.party
    assert known.identity_keys(MERCY.party, NOW) == {identity.key}
    assert known.endpoints(MERCY.party) == ("127.0.0.1:7100",)
    assert known.members() == (MERCY.entry,)


def test_who_is_not_in_the_map_is_unknown_in_every_way(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    assert known.holder_of_tls(MERCY.tls.pin) is None
    assert known.party_of_key(MERCY.entry.identity[0].key) is None
    for ask in (known.member, known.endpoints, known.entry):
        with pytest.raises(UnknownParty):
            ask(MERCY.party)
    with pytest.raises(UnknownParty):
        known.identity_keys(MERCY.party, NOW)


def test_all_of_it_is_there_after_a_restart(tmp_path: Path) -> None:
    before = founded_map(tmp_path)
    MERCY.signed(before)
    RIVERSIDE.signed(before)
    before.take_removal(remove(RIVERSIDE.entry, NOW, "left the network", OPERATOR))
    before.take_parameters(_second_version(WITH_SECOND))
    after = empty_map(tmp_path)
    assert after.members() == before.members() == (MERCY.entry,)
    assert after.published() == before.published()
    assert after.entries() == before.entries()
    assert after.removals() == before.removals()
    assert after.party_of_key(RIVERSIDE.entry.identity[0].key) == RIVERSIDE.party


def test_a_damaged_file_stops_the_start_and_is_named(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    MERCY.signed(known)
    (path,) = tmp_path.glob("member-*")
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(MapDamaged) as damaged:
        empty_map(tmp_path)
    assert damaged.value.path == path


def test_a_file_that_a_crash_left_unfinished_is_no_part_of_the_map(tmp_path: Path) -> None:
    founded_map(tmp_path)
    (tmp_path / "member-000000000000000000000000.part").write_bytes(b"half")
    assert empty_map(tmp_path).members() == ()
    assert not list(tmp_path.glob("*.part"))


def test_taking_the_same_part_twice_is_taking_it_once(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    entry = _signed(MERCY.entry)
    removal = remove(MERCY.entry, NOW, "", OPERATOR)
    takers: list[tuple[Callable[[bytes], bool], bytes]] = [
        (known.take_member, entry),
        (known.take_removal, removal),
    ]
    for take, part in takers:
        assert take(part)
        assert not take(part)
    assert not known.take_parameters(FIRST)


# -- entries -------------------------------------------------------------------------------------------


CHANGED = rotate_reading_log(rotate_identity(MERCY.entry, NEXT_KEY, NOW), bytes(32), NOW)
REROTATED = rotate_tls(CHANGED, bytes(32))
LIVES_ON = msgspec.structs.replace(CHANGED.reading_log[0], until_time=FOREVER)

REFUSED: dict[str, tuple[bytes, MapRule]] = {
    "an older serial number": (_signed(MERCY.entry), MapRule.NEWER_SERIAL),
    "another text with the same serial number": (
        _signed(msgspec.structs.replace(CHANGED, name="Mercy II")),
        MapRule.ONE_OF_A_VERSION,
    ),
    "a history without the first key": (
        _signed(msgspec.structs.replace(CHANGED, serial=4, identity=CHANGED.identity[1:])),
        MapRule.HISTORY_KEPT,
    ),
    "an ended key that lives again": (
        _signed(
            msgspec.structs.replace(
                CHANGED,
                serial=4,
                identity=(
                    msgspec.structs.replace(CHANGED.identity[0], until_time=FOREVER),
                    CHANGED.identity[1],
                ),
            )
        ),
        MapRule.HISTORY_KEPT,
    ),
    "a reading-log key that disappears": (
        _signed(msgspec.structs.replace(REROTATED, reading_log=REROTATED.reading_log[1:])),
        MapRule.HISTORY_KEPT,
    ),
    "a reading-log key that lives longer than was said": (
        _signed(
            msgspec.structs.replace(REROTATED, reading_log=(LIVES_ON, *REROTATED.reading_log[1:]))
        ),
        MapRule.HISTORY_KEPT,
    ),
    "the TLS key of another": (
        _signed(rotate_tls(CHANGED, RIVERSIDE.tls.pin)),
        MapRule.KEYS_OF_ONE,
    ),
    "the identity key of another": (
        _signed(rotate_identity(CHANGED, RIVERSIDE.entry.identity[0].key, NOW + 1)),
        MapRule.KEYS_OF_ONE,
    ),
    "an endpoint that nobody can read": (
        _signed(move(CHANGED, ("somewhere",))),
        MapRule.ENDPOINTS_READABLE,
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_an_entry_is_refused_by_its_clause_and_changes_nothing(tmp_path: Path, why: str) -> None:
    data, rule = REFUSED[why]
    known = founded_map(tmp_path)
    RIVERSIDE.signed(known)
    MERCY.signed(known)
    known.take_member(_signed(CHANGED))
    before = known.entries()
    with pytest.raises(MapRefused) as refused:
        known.take_member(data)
    assert refused.value.rule is rule
    assert known.entries() == before
    assert empty_map(tmp_path).entries() == before


def test_an_entry_needs_the_member_and_an_operator(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    other_member = _signed(MERCY.entry, by=RIVERSIDE)
    no_operator = _signed(MERCY.entry, operator=SECOND_OPERATOR)
    for data in (other_member, no_operator):
        with pytest.raises(InvalidSignature):
            known.take_member(data)
    assert known.members() == ()


def test_an_entry_of_another_network_is_refused(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    with pytest.raises(InvalidSignature) as refused:
        known.take_member(_signed(msgspec.structs.replace(MERCY.entry, network=bytes(32))))
    said("other network", refused.value)


def test_no_entry_comes_before_the_parameters(tmp_path: Path) -> None:
    known = empty_map(tmp_path)
    with pytest.raises(MapRefused) as refused:
        known.take_member(_signed(MERCY.entry))
    assert refused.value.rule is MapRule.PARAMETERS_FIRST
    with pytest.raises(UnknownParameters):
        known.parameters()


def test_a_rotated_identity_key_signs_from_its_moment_on_and_the_former_until_then(
    tmp_path: Path,
) -> None:
    known = founded_map(tmp_path)
    MERCY.signed(known)
    MERCY.signed(known, CHANGED)
    (first, second) = (key.key for key in CHANGED.identity)
    assert known.identity_keys(MERCY.party, NOW - 1) == {first}
    assert known.identity_keys(MERCY.party, NOW) == {second}
    assert known.party_of_key(first) == known.party_of_key(second) == MERCY.party


def test_a_stolen_identity_key_ends_and_none_signs_until_another_follows(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    MERCY.signed(known)
    ended = end_identity(MERCY.entry, NOW)
    MERCY.signed(known, ended)
    with pytest.raises(UnknownParty):
        known.identity_keys(MERCY.party, NOW)
    MERCY.signed(known, rotate_identity(ended, NEXT_KEY, NOW + 5))
    assert known.identity_keys(MERCY.party, NOW + 5) == {NEXT_KEY}
    with pytest.raises(UnknownParty):
        known.identity_keys(MERCY.party, NOW)


def test_a_rotated_tls_key_is_the_only_one_that_is_pinned(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    MERCY.signed(known)
    MERCY.signed(known, rotate_box(rotate_tls(MERCY.entry, b"\1" * 32), b"\2" * 32))
    assert known.holder_of_tls(MERCY.tls.pin) is None
    held = known.holder_of_tls(b"\1" * 32)
    assert held is not None
    assert held.box_key == b"\2" * 32


def test_a_key_does_not_follow_one_that_begins_later() -> None:
    with pytest.raises(ValueError, match="follows"):
        rotate_identity(MERCY.entry, NEXT_KEY, NOW - DAY)


# -- the end of a membership ------------------------------------------------------------------------------


def test_who_left_is_no_member_and_its_past_signatures_stay_valid(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    MERCY.signed(known)
    MERCY.signed(known, leave(MERCY.entry, NOW))
    assert known.members() == ()
    assert known.holder_of_tls(MERCY.tls.pin) is None
    assert known.identity_keys(MERCY.party, NOW - 1)
    with pytest.raises(UnknownParty):
        known.identity_keys(MERCY.party, NOW)


def test_a_member_is_removed_without_its_own_signature(tmp_path: Path) -> None:
    clock = Clock()
    known = founded_map(tmp_path, clock)
    MERCY.signed(known)
    assert known.take_removal(remove(MERCY.entry, NOW + 10, "no contract", OPERATOR))
    assert known.is_member(MERCY.party)
    clock.now += 10
    assert not known.is_member(MERCY.party)
    assert known.holder_of_tls(MERCY.tls.pin) is None
    assert known.identity_keys(MERCY.party, NOW + 9)
    with pytest.raises(UnknownParty):
        known.identity_keys(MERCY.party, NOW + 10)


def test_a_removal_needs_an_operator_and_a_member(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    with pytest.raises(MapRefused) as refused:
        known.take_removal(remove(MERCY.entry, NOW, "", OPERATOR))
    assert refused.value.rule is MapRule.MEMBER_KNOWN
    MERCY.signed(known)
    with pytest.raises(InvalidSignature):
        known.take_removal(remove(MERCY.entry, NOW, "", RIVERSIDE.founding))
    assert known.is_member(MERCY.party)


def test_a_removed_member_returns_by_an_entry_that_an_operator_signs_anew(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    MERCY.signed(known)
    ended = remove(msgspec.structs.replace(MERCY.entry, serial=5), NOW, "", OPERATOR)
    known.take_removal(ended)
    with pytest.raises(MapRefused) as refused:
        known.take_member(_signed(CHANGED))
    assert refused.value.rule is MapRule.NOT_REMOVED
    back = msgspec.structs.replace(CHANGED, serial=6)
    known.take_member(_signed(back))
    assert known.member(MERCY.party) == back
    assert empty_map(tmp_path).member(MERCY.party) == back


# -- parameters ----------------------------------------------------------------------------------------------


def test_parameters_are_in_force_from_their_moment_on(tmp_path: Path) -> None:
    clock = Clock()
    known = founded_map(tmp_path, clock)
    history = known.history
    second = _second_version(WITH_SECOND)
    assert known.take_parameters(second)
    assert known.parameters().version == 1
    clock.now += DAY
    assert known.parameters().version == 2
    assert known.history is history  # the verifier holds this object
    id_ = parameters_id(SIGNED_PARAMETERS.decode(second).body)
    assert history.by_id(id_).version == 2


def test_parameters_are_announced_a_day_before() -> None:
    current = founded_parameters()
    with pytest.raises(MapRefused) as refused:
        announce(FOUNDER, current, WITH_SECOND, NOW + DAY - 1, NOW)
    assert refused.value.rule is MapRule.ANNOUNCED
    assert announce(FOUNDER, current, WITH_SECOND, NOW + DAY, NOW)


def test_parameters_of_another_founder_or_name_make_no_following_version() -> None:
    current = founded_parameters()
    for founder, terms in (
        (MERCY.founding, WITH_SECOND),
        (FOUNDER, Terms("another", (), (), (OPERATOR.key,))),
    ):
        with pytest.raises(InvalidSignature):
            announce(founder, current, terms, NOW + DAY, NOW)


def test_parameters_are_refused_out_of_order_twice_told_or_forged(tmp_path: Path) -> None:
    known = founded_map(tmp_path)
    second = _second_version(WITH_SECOND)
    third = announce(
        FOUNDER,
        msgspec.structs.replace(founded_parameters(), version=2),
        TERMS,
        NOW + 2 * DAY,
        NOW,
    )
    body = SIGNED_PARAMETERS.decode(second).body
    forged = encode(SignedParameters(body, sign_evidence(OPERATOR, NETWORK, body)))
    for data, error in (
        (third, MapRefused),
        (forged, InvalidSignature),
        (second[:-1], MalformedBytes),
    ):
        with pytest.raises(error):
            known.take_parameters(data)
    assert known.take_parameters(second)
    with pytest.raises(MapRefused) as refused:
        known.take_parameters(_second_version(ONLY_SECOND))
    assert refused.value.rule is MapRule.ONE_OF_A_VERSION
    assert known.published() == {1: FIRST, 2: second}


def test_an_operator_that_left_countersigns_nothing_and_its_former_word_can_be_taken_over(
    tmp_path: Path,
) -> None:
    clock = Clock()
    known = founded_map(tmp_path / "known", clock)
    first = MERCY.signed(known)
    known.take_parameters(_second_version(ONLY_SECOND))
    clock.now += DAY
    with pytest.raises(InvalidSignature):
        known.take_member(_signed(CHANGED))
    with pytest.raises(InvalidSignature):
        countersign(request_entry(CHANGED, MERCY.founding), OPERATOR, known)
    assert empty_map(tmp_path / "known", clock).member(MERCY.party) == MERCY.entry
    late = empty_map(tmp_path / "late", clock)
    for data in known.published().values():
        late.take_parameters(data)
    with pytest.raises(InvalidSignature):
        late.take_member(first)
    anew = recertify(SIGNED_MEMBER.decode(first), SECOND_OPERATOR, NETWORK)
    assert late.take_member(anew)
    assert known.take_member(anew)
    assert known.member(MERCY.party) == MERCY.entry


@pytest.mark.parametrize("taker", ["take_parameters", "take_member", "take_removal"])
def test_bytes_that_are_no_part_of_a_map_are_refused(tmp_path: Path, taker: str) -> None:
    known = founded_map(tmp_path)
    for garbage in (b"", b"\xc1", b"\x00" * 100, bytes(range(256)) * 8_000):
        with pytest.raises(LedgerError):
            getattr(known, taker)(garbage)
