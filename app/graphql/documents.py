"""Documents, parsed, measured and validated once: the same text is looked up the next time.

The rules are one tuple, made at import. A rule class made for each request would be another key
each time, and the cache would never hit.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import MaxIntrospectionDepthRule
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import ServiceLimits, check_document

RULES = tuple(
    dict.fromkeys(
        (
            *specified_rules,
            MaxIntrospectionDepthRule,
            MaybeNullValidationRule,
            OneOfInputValidationRule,
        )
    )
)
KEPT_MAX = 256
KEPT_CHARS_MAX = 16_384  # longer texts are validated each time they come


class InvalidDocument(Exception):
    """A document does not parse or does not validate; `code` says which."""

    def __init__(self, code: ErrorCode, errors: tuple[GraphQLError, ...]) -> None:
        super().__init__(code.value)
        self.code = code
        self.errors = errors


@dataclass(frozen=True, slots=True)
class ValidDocument:
    """A document that fits the schema and the limits of shape."""

    node: DocumentNode
    operations: tuple[OperationDefinitionNode, ...]
    fragments: Mapping[str, FragmentDefinitionNode]

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation to run. Raise BAD_USER_INPUT where the name does not settle it."""
        if name is None and len(self.operations) == 1:
            return self.operations[0]
        for operation in self.operations:
            if name is not None and operation.name is not None and operation.name.value == name:
                return operation
        if name is None:
            raise ApiError(ErrorCode.BAD_USER_INPUT, "operationName must say which operation runs")
        raise ApiError(ErrorCode.BAD_USER_INPUT, "the document has no operation of that name")


class Documents:
    """Valid documents of one schema by their text."""

    def __init__(self, schema: GraphQLSchema, limits: ServiceLimits) -> None:
        self._schema = schema
        self._limits = limits
        self._kept: OrderedDict[str, ValidDocument] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def valid(self, text: str) -> ValidDocument:
        """Return the document. Raise InvalidDocument, ApiError over a limit, or RecursionError."""
        kept = self._kept.get(text)
        if kept is not None:
            self.hits += 1
            self._kept.move_to_end(text)
            return kept
        self.misses += 1
        document = self._read(text)
        if len(text) <= KEPT_CHARS_MAX:
            self._kept[text] = document
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return document

    def _read(self, text: str) -> ValidDocument:
        node = self._parsed(text)
        check_document(node, self._limits)
        errors = validate(
            self._schema,
            node,
            RULES,
            max_errors=self._limits.validation_errors_max,
            hide_suggestions=True,
        )
        if errors:
            raise InvalidDocument(ErrorCode.GRAPHQL_VALIDATION_FAILED, tuple(errors))
        return ValidDocument(
            node,
            tuple(d for d in node.definitions if isinstance(d, OperationDefinitionNode)),
            {d.name.value: d for d in node.definitions if isinstance(d, FragmentDefinitionNode)},
        )

    def _parsed(self, text: str) -> DocumentNode:
        allowed = self._limits.tokens_max
        try:
            return parse(text, no_location=False, max_tokens=allowed)
        except GraphQLSyntaxError as refused:
            if "tokens. Parsing aborted" in refused.message:  # graphql-core has no type for it
                raise ApiError(
                    ErrorCode.LIMIT_EXCEEDED,
                    f"tokens: more than the limit of {allowed}",
                    {"limit": "tokens", "allowed": allowed},
                ) from refused
            if "nested too deeply" in refused.message:  # its own recursion limit, far above ours
                raise ApiError(
                    ErrorCode.LIMIT_EXCEEDED,
                    "the document nests too deeply",
                    {"limit": "depth", "allowed": self._limits.depth_max},
                ) from refused
            raise InvalidDocument(ErrorCode.GRAPHQL_PARSE_FAILED, (refused,)) from refused
