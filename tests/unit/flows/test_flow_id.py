"""Ids of flows: in order of time, and not to be guessed."""

from random import Random

from flows.execution import FLOW_ID_SIZE, flow_id


def test_ids_sort_by_the_time_at_which_their_flows_were_started() -> None:
    dice = Random(1)
    times = [1, 255, 256, 1_795_000_000_000, 1_795_000_000_001, (1 << 48) - 1]
    ids = [flow_id(at, dice.randbytes) for at in times]
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {FLOW_ID_SIZE}


def test_ids_of_one_moment_share_nothing_but_the_time() -> None:
    dice = Random(2)
    ids = {flow_id(7, dice.randbytes) for _ in range(1_000)}
    assert len(ids) == 1_000
    assert len({each[6:8] for each in ids}) > 900
