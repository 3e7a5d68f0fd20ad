"""The Node interface, and how an id finds its thing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import strawberry

from app.graphql.cursors import SortKey
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.schema.context import ApiContext, Info

Id = Annotated[strawberry.ID, strawberry.argument(description="A global id, as `id` returned it.")]


@strawberry.interface(description="A thing with a global id.")
class Node:
    """Ids are opaque, stable, and good at the node that gave them only."""

    id: strawberry.ID = strawberry.field(description="Opaque; good at this node only.")


Finder = Callable[[ApiContext, tuple[SortKey, ...]], Node | None]


@dataclass(frozen=True, slots=True)
class Finders:
    """For each kind of id, what finds the thing for a viewer; None for what is absent or not permitted, alike."""

    by_kind: dict[str, Finder]

    def find(self, context: ApiContext, id_: str) -> Node | None:
        named = context.api.ids.open(id_)
        finder = self.by_kind.get(named.kind) if named is not None else None
        return finder(context, named.keys) if finder is not None and named is not None else None


def keys_of(context: ApiContext, id_: str, kind: str) -> tuple[SortKey, ...] | None:
    """Return the primary key that an id of this kind names; None for every other id."""
    named = context.api.ids.open(id_)
    return named.keys if named is not None and named.kind == kind else None


def filter_keys(context: ApiContext, argument: str, id_: str, kind: str) -> tuple[SortKey, ...]:
    """Return the primary key that a filter's id names. Raises BAD_USER_INPUT for what is no id of this kind.

    Whether there is such a thing, or one for this viewer, is not asked: a filter by it finds nothing.
    """
    keys = keys_of(context, id_, kind)
    if keys is None:
        words = f"{argument}: this is no id that this node gave to a {kind}"
        raise ApiError(ErrorCode.BAD_USER_INPUT, words, {"argument": argument})
    return keys


def info_keys(info: Info, id_: str | None, kind: str) -> tuple[SortKey, ...] | None:
    return None if id_ is None else keys_of(info.context, id_, kind)
