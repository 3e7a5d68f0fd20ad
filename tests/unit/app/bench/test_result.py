"""Targets, medians and percentiles: the arithmetic under every line."""

import pytest

from app.bench.result import Result, Target, percentile


@pytest.mark.parametrize(
    ("sign", "value", "met"),
    [
        ("≥", 2.0, True),
        ("≥", 1.9, False),
        ("≤", 2.0, True),
        ("≤", 2.1, False),
        ("<", 2.0, False),
        ("<", 1.9, True),
    ],
)
def test_a_bound_is_met_or_not(sign: str, value: float, *, met: bool) -> None:
    assert Target(sign, 2).judge("it", value, "ms") == Result(
        "it", value, "ms", None, f"{sign} 2 ms", met
    )


def test_where_a_ratio_is_wanted_the_ratio_decides() -> None:
    target = Target("≥", 0.4, "V")
    assert target.judge("it", 1.0, "tx/s", 0.41) == Result(
        "it", 1.0, "tx/s", 0.41, "≥ 0.4 V", met=True
    )
    assert target.judge("it", 9_999.0, "tx/s", 0.39).met is False
    with pytest.raises(ValueError, match="wants a ratio to V"):
        target.judge("it", 1.0, "tx/s")


def test_an_unknown_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="compares nothing"):
        Target("=", 1)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 3), (0.8, 4), (0.99, 5), (1.0, 5)])
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    assert percentile([5, 3, 1, 4, 2], share) == expected


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
