"""What an operator reads of a notary: how far its log was followed, and that it is believed no more."""

from app.auth.sessions import Role
from app.witness import FORKED, Distrust
from tests.unit.app.graphql_schema.graph_world import GraphVillage, Who

QUERY = "{ notaries { origin distrust { at why note evidence } } }"
OPERATOR = Who("Mercy", Role.OPERATOR)


def test_a_distrusted_notary_is_shown_with_what_convicts_it() -> None:
    world = GraphVillage()
    assert world.ask(OPERATOR, QUERY) == {
        "notaries": [{"origin": "village.notary", "distrust": None}]
    }
    (witness,) = world.desks["Mercy"].assembly.witnesses.all()
    witness.convict(Distrust(FORKED, "a note", "another"))
    notaries = world.ask(OPERATOR, QUERY)["notaries"]
    assert isinstance(notaries, list)
    told = notaries[0]["distrust"]
    assert told.pop("at").startswith("2026-")
    assert told == {"why": "forked", "note": "a note", "evidence": "another"}
