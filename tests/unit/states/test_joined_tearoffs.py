"""Tear-offs of one transaction are joined: the result shows what any shows, and proves the same id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.errors import InvalidProof
from states.tearoff import Tearoff, open_tearoff
from tests.contracts.test_consent import GRANT
from tests.contracts.test_record import PUBLISH

WHOLE = open_tearoff(PUBLISH.signed().tearoff)
PLACES = st.sets(st.sampled_from(WHOLE.tearoff.positions))


@given(PLACES, PLACES)
def test_whatever_two_show_they_show_together(one: set[int], two: set[int]) -> None:
    parts = [open_tearoff(WHOLE.narrowed(places)) for places in (one, two)]
    joined = parts[0].joined(parts[1])
    assert joined == WHOLE.narrowed(one | two)
    assert open_tearoff(joined).id == WHOLE.id
    assert parts[1].joined(parts[0]) == joined


def test_another_transaction_is_not_joined() -> None:
    with pytest.raises(InvalidProof):
        WHOLE.joined(open_tearoff(GRANT.signed().tearoff))


def test_what_was_never_shown_stays_hidden() -> None:
    all_but = [at for at in WHOLE.tearoff.positions if at != WHOLE.tearoff.positions[-1]]
    joined: Tearoff = open_tearoff(WHOLE.narrowed(all_but)).joined(open_tearoff(WHOLE.narrowed(())))
    assert joined == WHOLE.narrowed(all_but)
