"""Members of the network."""

from typing import Annotated

import strawberry

from app.config import KINDS
from app.graphql.connections import Connection, Pager
from app.graphql.cursors import PageArguments, Position, Scope, SortKey, page_of
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.listing import After, Before, First, Last
from app.graphql.schema.node import Node
from states.parameters import Member

KIND = "party"


@strawberry.type(description="An organisation of the network.")
class Party(Node):
    """As the network map says; public to every user of this node."""

    did: str = strawberry.field(description="The did:key of its founding key; it never changes.")
    name: str | None = strawberry.field(description="Null where the map has no such member.")
    kind: str | None = strawberry.field(
        description=f"One of {', '.join(KINDS)}; null where the map has no such member."
    )
    active: bool = strawberry.field(description="Whether the map lists it as a member today.")
    endpoints: list[str] = strawberry.field(description="Where it is reached.")
    is_this_node: bool = strawberry.field(description="Whether it is the one that answers you.")


def party_of(context: ApiContext, did: str) -> Party:
    """Return a party by its DID, known to the map or not."""
    return _party(context, did, context.party(did))


def _party(context: ApiContext, did: str, member: Member | None) -> Party:
    return Party(
        id=context.api.ids.seal(KIND, did),
        did=did,
        name=member.name if member is not None else None,
        kind=member.kind if member is not None else None,
        active=member is not None and member.active,
        endpoints=list(member.endpoints) if member is not None else [],
        is_this_node=did == context.viewer.me,
    )


def find_party(context: ApiContext, keys: tuple[SortKey, ...]) -> Party | None:
    """Return a member of the map."""
    member = context.party(str(keys[0])) if len(keys) == 1 else None
    return None if member is None else _party(context, member.party, member)


def parties(
    info: Info,
    kind: Annotated[
        str | None, strawberry.argument(description=f"Only those of this kind: {', '.join(KINDS)}.")
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Party]:
    """Members by name. The map is in memory, and small. Raises BAD_USER_INPUT for a kind that is none."""
    context = info.context
    if kind is not None and kind not in KINDS:
        words = f"kind: none is called that; there are {', '.join(KINDS)}"
        raise ApiError(ErrorCode.BAD_USER_INPUT, words, {"argument": "kind"})
    scope = Scope("parties", context.viewer.user_id, (kind,))
    asked = PageArguments(first, after, last, before)
    wanted = page_of(asked, context.api.cursors, scope, context.api.limits)
    found = sorted(
        (each for each in context.api.directory.members() if kind is None or each.kind == kind),
        key=_place,
        reverse=wanted.backward,
    )
    if wanted.position is not None:
        at = wanted.position.keys
        found = [each for each in found if _is_past(each, at, backward=wanted.backward)]
    seq = context.moment.seq
    pager: Pager[Member, Party] = Pager(
        context.api.cursors,
        scope,
        lambda member: Position(seq, _place(member)),
        lambda member: _party(context, member.party, member),
    )
    return pager.connection(found[: wanted.size + 1], wanted)


def _place(member: Member) -> tuple[str, str]:
    return member.name, member.party


def _is_past(member: Member, at: tuple[SortKey, ...], *, backward: bool) -> bool:
    place: tuple[SortKey, ...] = _place(member)
    return place < at if backward else place > at
