"""The decision and the oracle agree: outcome, which consents open an item, which statement closes it."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from states.decision import Decision, Outcome, decide
from tests.oracle import consent_oracle as oracle
from tests.oracle.consent_cases import content_of, ref_of, request_of, statement_of
from tests.oracle.consent_draws import Case, chooser, draw_case


def compared(case: Case) -> Decision:
    """Decide, and require the oracle's answer for each item."""
    request = request_of(*case.asked)
    decision = decide(request, [statement_of(s) for s in case.said], "deny", case.moment)
    assert len(decision.judgements) == len(case.asked)
    for asked, judged in zip(case.asked, decision.judgements, strict=True):
        expected = oracle.answer(asked, case.said, case.moment)
        assert judged.outcome.name == expected.outcome, (asked, case)
        assert set(judged.opened_by) == {ref_of(name) for name in expected.opened_by}
        if judged.outcome is Outcome.PERMIT:
            assert judged.by == judged.opened_by[0]
        if judged.outcome is Outcome.DENY:
            assert judged.by in {ref_of(name) for name in expected.closed_by}
        item = content_of(asked["category"], asked["labels"])
        flows = [residual.by for residual in decision.residuals if residual.opens(item)]
        assert tuple(flows) == judged.opened_by
    return decision


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.data())
def test_decision_and_oracle_agree(data: st.DataObject) -> None:
    compared(draw_case(chooser(lambda bound: data.draw(st.integers(0, bound - 1)))))


@pytest.mark.parametrize("seed", range(8))
def test_they_agree_on_thousands_of_cases(seed: int) -> None:
    random = Random(seed)
    outcomes: Counter[Outcome] = Counter()
    for _ in range(1_000):
        decision = compared(draw_case(chooser(random.randrange)))
        outcomes.update(judged.outcome for judged in decision.judgements)
    # A comparison in which one outcome hardly occurs would prove little.
    assert min(outcomes[outcome] for outcome in Outcome) > 150


def test_neither_the_order_of_the_statements_nor_a_second_copy_matters() -> None:
    random = Random(2)
    for _ in range(1_000):
        case = draw_case(chooser(random.randrange))
        request = request_of(*case.asked)
        held = [statement_of(s) for s in case.said]
        first = decide(request, held, "deny", case.moment)
        again = [*held, *held[:1]]
        random.shuffle(again)
        assert decide(request, again, "deny", case.moment) == first
