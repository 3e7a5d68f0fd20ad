"""Whether a custodian has told the patient's agent of what it disclosed, before or after."""

from tests.unit.app.graphql_schema.graph_world import ADA_HERSELF, DR_REED, GraphVillage, Who, at

ITEMS = "{ disclosures { nodes { items(first: 5) { nodes { announced } } } } }"
VERSIONS = "UPDATE record SET consumed_seq = ?"


def announced(world: GraphVillage, who: Who) -> set[object]:
    (disclosure,) = world.ask(who, ITEMS)["disclosures"]["nodes"]  # type: ignore[index]  # as asked for
    return {at(item, "announced") for item in disclosure["items"]["nodes"]}


def test_what_came_before_or_after_or_is_amended_since_is_announced() -> None:
    world = GraphVillage()
    world.tell_the_story()
    agent = world.village.nodes["Agent"].db
    assert announced(world, ADA_HERSELF) == {True}
    agent.execute(VERSIONS, (1,))
    assert announced(world, ADA_HERSELF) == {True}, "an amendment came before the disclosure"
    agent.execute("CREATE TEMP TABLE late AS SELECT * FROM record")
    agent.execute("DELETE FROM record")
    assert announced(world, ADA_HERSELF) == {False}
    agent.execute("INSERT INTO record SELECT * FROM late")
    assert announced(world, ADA_HERSELF) == {True}


def test_a_recipient_cannot_know_and_accuses_nobody() -> None:
    world = GraphVillage()
    world.tell_the_story()
    world.village.nodes["Riverside"].db.execute("DELETE FROM record")
    assert announced(world, DR_REED) == {True}
