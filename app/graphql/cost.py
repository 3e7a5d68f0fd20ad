"""What an operation is estimated to cost before it runs: about the number of fields it can resolve.

A field costs one, or what its definition says (`metadata={COST: n}` on a Strawberry field). What is
selected below a field with a `first` or `last` argument counts once for each element of that page;
`edges` and `nodes` directly below are that very page and do not count again. Other lists count
`list_size_assumed` times. Fragments count wherever they are spread, and @skip and @include are
taken as not there: the estimate is never below what can happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)
from strawberry.types.field import StrawberryField

from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import COUNT_MAX, ServiceLimits

COST = "cost"
"""Key of a field's own cost in the metadata of its Strawberry field."""

_PAGE = frozenset({"edges", "nodes"})
_STRAWBERRY_FIELD = "strawberry-definition"


@dataclass(slots=True)
class CostEstimate:
    """Estimates one validated operation; `variables` are the raw ones of the request."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, object]
    limits: ServiceLimits
    _defaults: dict[str, ValueNode | None] = field(default_factory=dict)
    _known: dict[tuple[str, bool], int] = field(default_factory=dict)

    def of(self, operation: OperationDefinitionNode) -> int:
        """Return the estimate. Raise ApiError where a page is larger than the limit allows."""
        self._defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        root = self._root(operation.operation)
        assert root is not None, "validation knows the operation's root"
        return min(self._selections(operation.selection_set, root, paged=False), COUNT_MAX)

    def _root(self, operation: OperationType) -> GraphQLObjectType | None:
        match operation:
            case OperationType.QUERY:
                return self.schema.query_type
            case OperationType.MUTATION:
                return self.schema.mutation_type
            case _:
                return self.schema.subscription_type

    def _selections(
        self, selections: SelectionSetNode, parent: GraphQLCompositeType, *, paged: bool
    ) -> int:
        cost = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                cost += self._field(node, parent, paged=paged)
            elif isinstance(node, InlineFragmentNode):
                inner = self._condition(node, parent)
                cost += self._selections(node.selection_set, inner, paged=paged)
            elif isinstance(node, FragmentSpreadNode):
                cost += self._fragment(node.name.value, paged=paged)
        return min(cost, COUNT_MAX)

    def _condition(
        self, node: InlineFragmentNode, parent: GraphQLCompositeType
    ) -> GraphQLCompositeType:
        if node.type_condition is None:
            return parent
        return self._composite(node.type_condition.name.value)

    def _composite(self, name: str) -> GraphQLCompositeType:
        found = self.schema.get_type(name)
        assert found is not None, "validation knows every type condition"
        assert is_composite_type(found), "a fragment lies on a composite type"
        return found

    def _fragment(self, name: str, *, paged: bool) -> int:
        key = (name, paged)
        if key not in self._known:
            fragment = self.fragments[name]
            inner = self._composite(fragment.type_condition.name.value)
            self._known[key] = self._selections(fragment.selection_set, inner, paged=paged)
        return self._known[key]

    def _field(self, node: FieldNode, parent: GraphQLCompositeType, *, paged: bool) -> int:
        name = node.name.value
        definition = self.schema.get_field(parent, name)
        if definition is None:
            return 1  # __typename of a union; validation refuses all else
        below = get_named_type(definition.type)
        times, is_page = self._times(node, definition, paged=paged and name in _PAGE)
        cost = _own_cost(definition)
        if node.selection_set is not None and is_composite_type(below):
            cost += times * self._selections(node.selection_set, below, paged=is_page)
        return min(cost, COUNT_MAX)

    def _times(self, node: FieldNode, definition: GraphQLField, *, paged: bool) -> tuple[int, bool]:
        if definition.args.keys() & {"first", "last"}:
            return self._page_size(node), True
        if paged or not _is_list(definition):
            return 1, False
        if get_named_type(definition.type).name.startswith("__"):
            # Introspection's lists are as long as the schema, which no client can lengthen; how
            # deep they nest is limited by graphql-core's MaxIntrospectionDepthRule.
            return 1, False
        return self.limits.list_size_assumed, False

    def _page_size(self, node: FieldNode) -> int:
        asked = [
            size
            for argument in node.arguments or ()
            if argument.name.value in {"first", "last"}
            and (size := self._integer(argument.value)) is not None
        ]
        size = max(asked, default=self.limits.page_size_default)
        if size > self.limits.page_size_max:
            raise ApiError(
                ErrorCode.LIMIT_EXCEEDED,
                f"page size: {size} is over the limit of {self.limits.page_size_max}",
                {"limit": "page size", "allowed": self.limits.page_size_max, "found": size},
            )
        return max(size, 1)

    def _integer(self, value: ValueNode) -> int | None:
        if isinstance(value, IntValueNode):
            return int(value.value)
        if isinstance(value, VariableNode):
            return self._variable(value.name.value)
        return None

    def _variable(self, name: str) -> int | None:
        given = self.variables.get(name)
        if isinstance(given, (int, float)):  # 5e1 is an Int to GraphQL when it arrives as JSON
            return int(given)
        default = self._defaults.get(name)
        if name not in self.variables and isinstance(default, IntValueNode):
            return int(default.value)
        return None


def _own_cost(definition: GraphQLField) -> int:
    described = definition.extensions.get(_STRAWBERRY_FIELD)
    if isinstance(described, StrawberryField):
        return int(described.metadata.get(COST, 1))
    return 1


def _is_list(definition: GraphQLField) -> bool:
    kind = definition.type
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    return isinstance(kind, GraphQLList)
