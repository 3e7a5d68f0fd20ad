"""The schema as committed, its descriptions, and the examples that GraphiQL opens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    OperationDefinitionNode,
    parse,
    validate,
)

from app.auth.sessions import Role
from app.graphql.errors import ErrorCode
from app.graphql.example import ExampleQuery
from app.graphql.limits import ServiceLimits, check_document
from app.graphql.schema.examples import EXAMPLES
from app.graphql.schema.root import build_schema, schema_text

ROOT = Path(__file__).parents[4]
COMMITTED = ROOT / "tests" / "vectors" / "schema.graphql"
SCHEMA = build_schema()
CORE = SCHEMA._schema


def test_the_schema_is_the_committed_one() -> None:
    """`python -m tests.vectors.schema` writes the file; its diff is what is reviewed."""
    assert schema_text(build_schema()) == COMMITTED.read_text("utf-8")


def _described() -> Iterator[tuple[str, str | None]]:
    for name, kind in CORE.type_map.items():
        if name.startswith("__") or name in {"String", "Int", "Float", "Boolean", "ID"}:
            continue
        yield name, kind.description
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in kind.fields.items():
                yield f"{name}.{field_name}", field.description
                for argument, what in getattr(field, "args", {}).items():
                    yield f"{name}.{field_name}({argument})", what.description
        if isinstance(kind, GraphQLEnumType):
            for value_name, value in kind.values.items():
                yield f"{name}.{value_name}", value.description


def test_every_type_field_argument_and_value_is_described() -> None:
    assert [what for what, description in _described() if not description] == []


def test_no_error_code_is_promised_that_nothing_raises() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "app").rglob("*.py"))
    assert [each.name for each in ErrorCode if f"ErrorCode.{each.name}" not in code] == []


def test_what_stands_behind_permission_can_be_null() -> None:
    """A single thing at a root is nullable, so that one that is not permitted does not empty the answer."""
    query = CORE.query_type
    assert query is not None
    for name in ("node", "me", "record", "consent", "restriction", "disclosure"):
        assert not str(query.fields[name].type).endswith("!")


def test_every_code_of_the_ledger_has_its_enum_value() -> None:
    categories = CORE.type_map["Category"]
    assert isinstance(categories, GraphQLEnumType)
    assert "VITAL_SIGNS" in categories.values


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_is_valid_and_within_the_limits(example: ExampleQuery) -> None:
    document = parse(example.query)
    assert validate(CORE, document) == []
    check_document(document, ServiceLimits())
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None, "its tab has a name"


@pytest.mark.parametrize("role", Role)
def test_every_role_has_examples_of_its_own(role: Role) -> None:
    assert [each for each in EXAMPLES if each.role is role] != []
