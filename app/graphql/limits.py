"""What one client may ask for: the limits, published to clients, and the shape of a document
measured against them.

`check_document` looks at the parsed text alone, before validation, so that a document made to be
dear to validate is refused first. What depends on variables and schema is the cost
(`app.graphql.cost`).
"""

from dataclasses import dataclass, replace

import strawberry
from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.language import Visitor, visit

from app.graphql.errors import ApiError, ErrorCode

CONTENT_BYTES_MAX = 1 << 22  # of a record in one answer
ID_CHARS_MAX = 512  # of an id that this node gave
CURSOR_CHARS_MAX = 1_024
KEY_CHARS_MAX = 64  # of an idempotency key
OPERATION_ID_CHARS_MAX = 128  # of an operation on a WebSocket

COUNT_MAX = 1 << 31  # counts are cut here: they can double with every fragment


@strawberry.type(description="Every limit that this server's GraphQL holds a client to.")
class ServiceLimits:
    """Limits of one server. Sizes in bytes, times in seconds, counts after fragments are
    expanded.
    """

    body_bytes_max: int = strawberry.field(default=262_144, description="Bytes of one request.")
    tokens_max: int = strawberry.field(default=2_000, description="Lexical tokens of a document.")
    depth_max: int = strawberry.field(default=16, description="Nested fields.")
    aliases_max: int = strawberry.field(default=30, description="Aliases, fragments expanded.")
    directives_max: int = strawberry.field(
        default=50, description="Directives, fragments expanded."
    )
    root_fields_max: int = strawberry.field(default=20, description="Fields at the root.")
    selection_max: int = strawberry.field(
        default=150, description="Fields in one selection set, fragments expanded."
    )
    cost_max: int = strawberry.field(default=10_000, description="Estimated cost of an operation.")
    list_size_assumed: int = strawberry.field(
        default=10, description="Elements that the estimate assumes in a list without paging."
    )
    page_size_max: int = strawberry.field(default=100, description="Largest `first` or `last`.")
    page_size_default: int = strawberry.field(default=20, description="Page without `first`.")
    validation_errors_max: int = strawberry.field(
        default=5, description="Validation errors told before validation stops."
    )
    execution_seconds_max: int = strawberry.field(default=20, description="Time of an operation.")
    bucket_capacity: int = strawberry.field(
        default=20_000, description="Cost that a caller may spend at once."
    )
    bucket_restored_per_second: int = strawberry.field(
        default=1_000, description="Cost restored to a caller each second."
    )
    subscriptions_per_connection_max: int = strawberry.field(
        default=20, description="Live operations on one WebSocket."
    )
    subscriptions_per_caller_max: int = strawberry.field(
        default=60, description="Live streams of one user on all connections."
    )
    connections_per_caller_max: int = strawberry.field(
        default=10, description="WebSockets of one user."
    )
    connection_init_seconds_max: int = strawberry.field(
        default=10, description="Time to send connection_init."
    )
    heartbeat_seconds: int = strawberry.field(
        default=15, description="Beat of server pings and SSE comments; sign-in is looked at again."
    )
    send_seconds_max: int = strawberry.field(
        default=10, description="Time for a client to take one message; then its socket is closed."
    )
    ids_max: int = strawberry.field(default=100, description="Ids in one `nodes`.")
    id_chars_max: int = strawberry.field(default=ID_CHARS_MAX, description="Characters of an id.")
    cursor_chars_max: int = strawberry.field(
        default=CURSOR_CHARS_MAX, description="Characters of a cursor."
    )
    idempotency_key_chars_max: int = strawberry.field(
        default=KEY_CHARS_MAX, description="Characters of an idempotency key."
    )
    operation_id_chars_max: int = strawberry.field(
        default=OPERATION_ID_CHARS_MAX,
        description="Characters of an operation's id on a WebSocket.",
    )
    resources_max: int = strawberry.field(
        default=100, description="Resources and documents in one `publishRecords`."
    )
    content_bytes_max: int = strawberry.field(
        default=CONTENT_BYTES_MAX, description="Bytes of a record whose content is shown."
    )
    body_seconds_max: int = strawberry.field(default=20, description="Time for a body to arrive.")
    header_bytes_max: int = strawberry.field(
        default=65_536, description="Bytes of a request's line and headers."
    )
    header_seconds_max: int = strawberry.field(
        default=10, description="Time for a request's line and headers to arrive."
    )
    connections_max: int = strawberry.field(
        default=1_000, description="Connections and requests under way, of all clients together."
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """Counts over one selection set with its fragments expanded.

    `fields` are those of the set itself, `fields_below_max` those of the widest set in it.
    """

    depth: int
    aliases: int
    directives: int
    fields: int
    fields_below_max: int


class _DirectiveCount(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        assert node is not None
        self.count += 1


def check_document(document: DocumentNode, limits: ServiceLimits) -> None:
    """Raise one LIMIT_EXCEEDED if any operation of the document is over a limit of shape."""
    written = _DirectiveCount()
    visit(document, written)
    _within("directives", written.count, limits.directives_max)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            shape = _ShapeWalk(document).of(definition)
            _within("depth", shape.depth, limits.depth_max)
            _within("aliases", shape.aliases, limits.aliases_max)
            _within("directives", shape.directives, limits.directives_max)
            _within("root fields", shape.fields, limits.root_fields_max)
            # Merging the fields of one set is checked pair by pair: the limit bounds its square.
            _within("fields of a selection", shape.fields_below_max, limits.selection_max)


def _within(what: str, found: int, allowed: int) -> None:
    if found > allowed:
        raise ApiError(
            ErrorCode.LIMIT_EXCEEDED,
            f"{what}: {found} is over the limit of {allowed}",
            {"limit": what, "allowed": allowed, "found": found},
        )


class _ShapeWalk:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, Shape] = {}
        self._open: set[str] = set()

    def of(self, operation: OperationDefinitionNode) -> Shape:
        below = self._selections(operation.selection_set)
        directives = below.directives + len(operation.directives or ())
        return replace(below, directives=min(directives, COUNT_MAX))

    def _selections(self, selection_set: SelectionSetNode | None) -> Shape:
        depth = aliases = directives = fields = widest = 0
        for node in selection_set.selections if selection_set else ():
            directives += len(node.directives or ())
            if isinstance(node, FieldNode):
                below = self._selections(node.selection_set)
                depth = max(depth, 1 + below.depth)
                aliases += node.alias is not None
                fields += 1
            else:
                below = self._expanded(node)
                depth = max(depth, below.depth)
                fields += below.fields
            aliases += below.aliases
            directives += below.directives
            widest = max(widest, below.fields_below_max)
        fields = min(fields, COUNT_MAX)
        widest = max(widest, fields)
        return Shape(depth, min(aliases, COUNT_MAX), min(directives, COUNT_MAX), fields, widest)

    def _expanded(self, node: object) -> Shape:
        if isinstance(node, InlineFragmentNode):
            return self._selections(node.selection_set)
        assert isinstance(node, FragmentSpreadNode), "a selection is a field or a fragment"
        name = node.name.value
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:  # validation names both
            return Shape(0, 0, 0, 0, 0)
        if name not in self._known:
            self._open.add(name)
            self._known[name] = self._selections(fragment.selection_set)
            self._open.discard(name)
        return self._known[name]
