"""Every page of every listing walks an index in its order: no table is sorted or scanned whole for twenty rows."""

import re

import pytest

from app.graphql.schema.consent import CONSENTS
from app.graphql.schema.disclosure import DISCLOSURES
from app.graphql.schema.flow import FLOWS
from app.graphql.schema.listing import Listing, _page_text
from app.graphql.schema.permitting import PERMITS
from app.graphql.schema.policy import Reach
from app.graphql.schema.reading import LOOKS, READINGS
from app.graphql.schema.record import RECORDS
from app.graphql.schema.request import REQUESTS
from app.graphql.schema.restriction import RESTRICTIONS
from app.graphql.schema.state import STATES
from app.graphql.schema.transaction import TRANSACTIONS
from tests.unit.app.graphql_schema.graph_world import GraphVillage

LISTINGS = (
    RECORDS,
    CONSENTS,
    RESTRICTIONS,
    DISCLOSURES,
    REQUESTS,
    LOOKS,
    READINGS,
    TRANSACTIONS,
    STATES,
    FLOWS,
    PERMITS,
)
CASES = [(listing, reach) for listing in LISTINGS for reach in listing.visible]
ONE_PERSONS = frozenset({Reach.OWN, Reach.ADDRESSED})
"""Few rows of many: found by an index on the person, and sorted, or walked in order, as the planner likes."""


@pytest.fixture(scope="module")
def world() -> GraphVillage:
    return GraphVillage()


@pytest.mark.parametrize(
    ("listing", "reach"), CASES, ids=lambda one: one.name if isinstance(one, Listing) else one.value
)
@pytest.mark.parametrize("backward", [False, True])
def test_a_page_uses_an_index(
    world: GraphVillage,
    listing: Listing,
    reach: Reach,
    backward: bool,  # noqa: FBT001
) -> None:
    text = _page_text(listing, reach, frozenset(), backward, has_position=True)
    names = dict.fromkeys(_parameters(text))
    db = world.village.nodes["Agent"].db
    plan = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {text}", names)]
    assert not [step for step in plan if step.startswith("SCAN") and "USING" not in step], plan
    if reach not in ONE_PERSONS:
        assert not [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step], plan


def _parameters(text: str) -> set[str]:
    return set(re.findall(r":(\w+)", text))
