"""Pages and single rows of what a viewer may see: the only way from GraphQL to rows.

A listing names its rows, their order, and for each reach (`app.graphql.schema.policy`) the condition under which a row
is seen. Texts are compiled once. A page is one statement; its cursor carries the ledger moment of page one, at which
all later pages are read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import strawberry
from sqlalchemy import BindParameter, ColumnElement, FromClause, and_, bindparam, select, tuple_

from app.graphql.connections import Connection, Pager
from app.graphql.cursors import Page, PageArguments, Position, Scope, SortKey, page_of
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.schema.context import ApiContext
from app.graphql.schema.moment import Cell, Moment, Row
from app.graphql.schema.policy import Reach, Subject, Viewer
from app.storage.statements import sql

T = TypeVar("T")
Condition = ColumnElement[bool]
Column = ColumnElement[Any]
Parameter = BindParameter[Any]

First = Annotated[
    int | None,
    strawberry.argument(description="How many, from the beginning of the list on; 20 if not said."),
]
After = Annotated[str | None, strawberry.argument(description="Those after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="How many, from the end.")]
Before = Annotated[str | None, strawberry.argument(description="Those before this cursor.")]


@dataclass(frozen=True, eq=False)
class Listing:
    """Rows of one subject.

    `key` is the primary key, `order` the sort keys (never null, together unique, among `columns`). `at` says which rows
    exist at the moment `:seq`. Conditions may name `:seq`, what `Moment.times` and what `Viewer.parameters` return;
    filters also `:filter_<name>`.
    """

    name: str
    subject: Subject
    source: FromClause
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    order: tuple[Column, ...]
    visible: Mapping[Reach, Condition | None]
    at: Condition | None = None
    filters: Mapping[str, Condition] = field(default_factory=dict)
    newest_first: bool = True

    def sort_keys(self, row: Row) -> tuple[SortKey, ...]:
        keys = tuple(row[at] for at in self._places)
        assert None not in keys, "sort keys are never null"
        return tuple(key for key in keys if key is not None)

    @property
    def _places(self) -> tuple[int, ...]:
        return tuple(
            next(at for at, column in enumerate(self.columns) if column is one)
            for one in self.order
        )

    def sees(self, viewer: Viewer) -> Reach | None:
        """Return the viewer's reach if any row can be in it."""
        reach = viewer.reach(self.subject)
        return reach if reach in self.visible else None


def page(
    context: ApiContext,
    listing: Listing,
    asked: PageArguments,
    node: Callable[[Row], T],
    filters: Mapping[str, Cell] | None = None,
    as_of: int | None = None,
) -> Connection[T]:
    """Return a page of what the viewer sees; an empty one where that is nothing. Raises BAD_USER_INPUT."""
    filters = filters or {}
    flat = tuple(part for name in sorted(filters) for part in (name, filters[name]))
    scope = Scope(listing.name, context.viewer.user_id, (as_of, *flat))
    wanted = page_of(asked, context.api.cursors, scope, context.api.limits)
    moment = context.moment
    seq = _moment_of(wanted, as_of, moment)
    reach = listing.sees(context.viewer)
    rows: list[Row] = []
    if reach is not None:
        has_position = wanted.position is not None
        text = _page_text(
            listing, reach, frozenset(filters), wanted.backward, has_position=has_position
        )
        parameters = _parameters(context.viewer, moment, seq) | {"most": wanted.size + 1}
        parameters |= {f"filter_{name}": value for name, value in filters.items()}
        if wanted.position is not None:
            keys = wanted.position.keys
            parameters |= {f"key_{at}": key for at, key in enumerate(keys)}
        rows = moment.rows(text, parameters)
    pager: Pager[Row, T] = Pager(
        context.api.cursors, scope, lambda row: Position(seq, listing.sort_keys(row)), node
    )
    return pager.connection(rows, wanted)


def find(context: ApiContext, listing: Listing, key: tuple[SortKey, ...]) -> Row | None:
    """Return the row with this primary key if the viewer sees it."""
    return find_at(context.viewer, context.moment, listing, key)


def find_at(
    viewer: Viewer, moment: Moment, listing: Listing, key: tuple[SortKey, ...]
) -> Row | None:
    """As `find`, for streams, which have no request."""
    reach = listing.sees(viewer)
    if reach is None or len(key) != len(listing.key):
        return None
    parameters = _parameters(viewer, moment, moment.seq)
    parameters |= {f"key_{at}": part for at, part in enumerate(key)}
    return moment.row(_find_text(listing, reach), parameters)


def _parameters(viewer: Viewer, moment: Moment, seq: int) -> dict[str, object]:
    return viewer.parameters() | moment.times() | {"seq": seq}


def _moment_of(wanted: Page, as_of: int | None, moment: Moment) -> int:
    if wanted.position is not None:
        return wanted.position.ledger_seq
    if as_of is None:
        return moment.seq
    if as_of > moment.seq:
        words = "asOf lies in the future of this node's ledger"
        raise ApiError(ErrorCode.BAD_USER_INPUT, words, {"argument": "asOf"})
    return as_of


def conditions(listing: Listing, reach: Reach) -> list[Condition]:
    """Return under which conditions a row is there and in reach."""
    return [one for one in (listing.at, listing.visible[reach]) if one is not None]


@lru_cache(1_024)
def _page_text(
    listing: Listing,
    reach: Reach,
    filters: frozenset[str],
    backward: bool,  # noqa: FBT001  a part of the cache's key
    *,
    has_position: bool,
) -> str:
    where = conditions(listing, reach) + [listing.filters[name] for name in sorted(filters)]
    descending = listing.newest_first is not backward
    if has_position:
        place = tuple_(*listing.order)
        keys = tuple_(*[bindparam(f"key_{at}") for at in range(len(listing.order))])
        where.append(place < keys if descending else place > keys)
    order = [column.desc() if descending else column.asc() for column in listing.order]
    statement = select(*listing.columns).select_from(listing.source).where(and_(True, *where))  # noqa: FBT003
    return sql(statement.order_by(*order).limit(bindparam("most")))


@lru_cache(128)
def _find_text(listing: Listing, reach: Reach) -> str:
    where = conditions(listing, reach)
    where += [column == bindparam(f"key_{at}") for at, column in enumerate(listing.key)]
    return sql(select(*listing.columns).select_from(listing.source).where(and_(*where)))
