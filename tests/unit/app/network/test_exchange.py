"""Claims about how members tell each other the map."""

import asyncio
from pathlib import Path

import pytest

from app.network.exchange import ROUNDS_MAX, Ask, known, map_handler, news, refresh
from app.network.network_map import NetworkMap
from app.network.removal import remove
from states.encoding import encode
from states.errors import MalformedBytes
from states.identity import Party
from tests.unit.app.network.towns import NOW, OPERATOR, Organisation, empty_map, founded_map

ASKER = Party("did:key:zasker12345")
MERCY, RIVERSIDE = Organisation(1), Organisation(2)


def _telling(teller: NetworkMap, altered: bytes = b"") -> Ask:
    handler = map_handler(teller)

    async def ask(body: bytes) -> bytes:
        answer = await handler(ASKER, body)
        return answer.replace(altered, b"x" * len(altered)) if altered else answer

    return ask


def _full(folder: Path) -> NetworkMap:
    made = founded_map(folder)
    MERCY.signed(made)
    RIVERSIDE.signed(made)
    made.take_removal(remove(RIVERSIDE.entry, NOW, "", OPERATOR))
    return made


def test_an_empty_map_learns_everything_from_one_member(tmp_path: Path) -> None:
    teller, learner = _full(tmp_path / "a"), empty_map(tmp_path / "b")
    assert asyncio.run(refresh(learner, _telling(teller)))
    assert learner.members() == teller.members() == (MERCY.entry,)
    assert learner.removals() == teller.removals()
    assert not asyncio.run(refresh(learner, _telling(teller)))


def test_what_both_know_is_not_told_again(tmp_path: Path) -> None:
    teller = _full(tmp_path)
    told = news(teller, known(teller))
    assert (told.parameters, told.members, told.removals) == ((), (), ())


def test_a_part_that_was_altered_on_the_way_is_left_out_and_the_others_are_taken(
    tmp_path: Path,
) -> None:
    teller, learner = _full(tmp_path / "a"), empty_map(tmp_path / "b")
    asyncio.run(refresh(learner, _telling(teller, altered=b"organisation 1")))
    assert learner.latest(RIVERSIDE.party) == RIVERSIDE.entry
    assert learner.latest(MERCY.party) is None


def test_a_peer_that_knows_less_changes_nothing(tmp_path: Path) -> None:
    teller, learner = founded_map(tmp_path / "a"), _full(tmp_path / "b")
    assert not asyncio.run(refresh(learner, _telling(teller)))
    assert learner.members() == (MERCY.entry,)


def test_an_answer_holds_no_more_than_a_request_may_carry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller, learner = founded_map(tmp_path / "a"), empty_map(tmp_path / "b")
    everybody = [Organisation(seed) for seed in range(1, 7)]
    for each in everybody:
        each.signed(teller)
    monkeypatch.setattr("app.network.exchange.NEWS_BYTES_MAX", 2_000)
    first = news(teller, known(learner))
    parts = (*first.parameters, *first.members)
    assert 0 < sum(map(len, parts)) <= 2_000
    assert len(first.members) < len(everybody)
    assert asyncio.run(refresh(learner, _telling(teller)))
    assert learner.members() == teller.members()


def test_a_teller_with_something_new_each_time_is_not_listened_to_for_ever(tmp_path: Path) -> None:
    learner = founded_map(tmp_path / "learner")
    asked = 0

    async def ask(_body: bytes) -> bytes:
        nonlocal asked
        asked += 1
        teller = founded_map(tmp_path / str(asked))
        Organisation(asked).signed(teller)
        return encode(news(teller, known(learner)))

    asyncio.run(refresh(learner, ask))
    assert asked == ROUNDS_MAX
    assert len(learner.members()) == ROUNDS_MAX


def test_a_body_that_is_no_question_is_refused(tmp_path: Path) -> None:
    tell = _telling(founded_map(tmp_path))

    async def ask() -> bytes:
        return await tell(b"what do you know?")

    with pytest.raises(MalformedBytes):
        asyncio.run(ask())
