"""Relay connections over keyset pages: Connection, Edge and PageInfo."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import strawberry

from app.graphql.cursors import Cursors, Page, Position, Scope

T = TypeVar("T")
Row = TypeVar("Row")


@strawberry.type(description="Where a page lies among the others.")
class PageInfo:
    """As in the Relay cursor connections specification."""

    has_next_page: bool = strawberry.field(description="Whether elements follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether elements precede this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first element.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last element.")


@strawberry.type(description="An element and its cursor.")
class Edge(Generic[T]):
    """One element of a page."""

    cursor: str = strawberry.field(description="Opaque; good for this query and filter only.")
    node: T = strawberry.field(description="The element.")


@strawberry.type(description="A page of elements.")
class Connection(Generic[T]):
    """One page. There is no total: counting what one may not see would tell of it."""

    edges: list[Edge[T]] = strawberry.field(description="The elements with their cursors.")
    nodes: list[T] = strawberry.field(description="The elements alone.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.")


@dataclass(frozen=True, slots=True)
class Pager(Generic[Row, T]):
    """How rows become a page: `position` says where a row lies, `node` what a client sees of it."""

    cursors: Cursors
    scope: Scope
    position: Callable[[Row], Position]
    node: Callable[[Row], T]

    def connection(self, rows: Sequence[Row], page: Page) -> Connection[T]:
        """Return the page from at most `page.size + 1` rows, nearest to the page's position first.

        The row too many is not shown; it says that there is more.
        """
        assert len(rows) <= page.size + 1, "the query is limited to one row more than the page"
        more = len(rows) > page.size
        shown = list(rows[: page.size])
        if page.backward:
            shown.reverse()
        edges: list[Edge[T]] = [
            Edge(cursor=self.cursors.seal(self.position(row), self.scope), node=self.node(row))
            for row in shown
        ]
        begun = page.position is not None
        info = PageInfo(
            has_next_page=begun if page.backward else more,
            has_previous_page=more if page.backward else begun,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        )
        return Connection(edges=edges, nodes=[edge.node for edge in edges], page_info=info)
