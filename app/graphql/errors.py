"""Errors as clients read them: codes, the error that a resolver raises, and the mask over
everything else.

A refusal that a client can expect is data (`UserError` in a mutation's payload) or an `ApiError`
with a code. Whatever else escapes a resolver is a fault of ours: the client gets
INTERNAL_SERVER_ERROR and an `errorId`, the log gets the exception under that id, and no word of its
message leaves the node.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import strawberry
from graphql import GraphQLError

from app.graphql.enums import documented

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

logger = logging.getLogger(__name__)

ERROR_ID_BYTES = 9  # twelve base64 letters would do too; hex is easier to read out on the telephone


@documented(
    "Why something was refused; stable, for programs.",
    {
        "UNAUTHENTICATED": "Nobody is signed in, or the session has ended.",
        "FORBIDDEN": "Your role does not do or see this at all.",
        "CONSENT_EXPIRED": "What permitted it has ended while it was read or followed.",
        "NOT_FOUND": "There is no such thing, or none for you: which of the two is not told.",
        "BAD_USER_INPUT": "An argument or a field of the input is not as it must be; ask otherwise.",
        "CONFLICT": "What it is about does not allow it any more. Look, then ask again.",
        "IDEMPOTENCY_KEY_REUSED": "The key stands for another request of yours; draw a new one.",
        "THROTTLED": "You asked too much in too short a time; `retryAfterSeconds` says how long to wait.",
        "LIMIT_EXCEEDED": "The request is larger than a limit of `serviceLimits`.",
        "REQUEST_TIMEOUT": "It took longer than a request may; what it started goes on.",
        "RESUME_REQUIRED": "The stream cannot go on from there; `cursor` is where it can.",
        "GRAPHQL_PARSE_FAILED": "The document is not GraphQL.",
        "GRAPHQL_VALIDATION_FAILED": "The document does not fit the schema.",
        "INTERNAL_SERVER_ERROR": "A fault of this node; its log has more under `errorId`.",
    },
)
class ErrorCode(StrEnum):
    """The values of `extensions.code` and of `UserError.code`."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    CONSENT_EXPIRED = "CONSENT_EXPIRED"
    NOT_FOUND = "NOT_FOUND"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    CONFLICT = "CONFLICT"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    THROTTLED = "THROTTLED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    RESUME_REQUIRED = "RESUME_REQUIRED"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


@strawberry.type(description="An expected refusal of a mutation, as data.")
class UserError:
    """One refusal: what it is, which input field caused it, and a sentence for people."""

    code: ErrorCode = strawberry.field(description="Why, for programs.")
    field: list[str] = strawberry.field(
        description="Path of the input field at fault, from `input` down; `input` alone where no single field is."
    )
    message: str = strawberry.field(description="Why, for people. Not stable.")


class ApiError(Exception):
    """A request is refused, and the client may read why: `message` reaches it as it stands.

    `details` joins `extensions` beside the code (for example the last cursor with RESUME_REQUIRED).
    """

    def __init__(
        self, code: ErrorCode, message: str, details: Mapping[str, Json] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}


@dataclass(frozen=True, slots=True)
class ErrorMask:
    """Turns the engine's errors into what may leave; `entropy` makes the error ids."""

    entropy: Callable[[int], bytes]

    def __call__(
        self, error: GraphQLError, code: ErrorCode, *, of_a_field: bool = False
    ) -> dict[str, Json]:
        """Format one error. `code` is for what graphql-core itself says of a client's input.

        Of a field's result, graphql-core's own words may quote the value ("Int cannot represent
        …"): `of_a_field` masks them as well, all but those about an argument.
        """
        cause = _cause(error)
        located = _located(error)
        if isinstance(cause, ApiError):
            return located | self.refusal(cause)
        if not isinstance(cause, GraphQLError):
            return located | self.unexpected(cause)
        if of_a_field and not cause.message.startswith("Argument "):
            return located | self.unexpected(cause)
        return located | {"message": error.message, "extensions": {"code": code.value}}

    def unexpected(self, cause: BaseException) -> dict[str, Json]:
        """Log `cause` under a fresh id; return message and extensions without a word of it."""
        error_id = self.entropy(ERROR_ID_BYTES).hex()
        logger.error("unexpected error %s in a resolver", error_id, exc_info=cause)
        return {
            "message": "Internal error",
            "extensions": {
                "code": ErrorCode.INTERNAL_SERVER_ERROR.value,
                "errorId": error_id,
            },
        }

    def refusal(self, refused: ApiError) -> dict[str, Json]:
        """Format a refusal that no field raised: a limit, a missing sign-in."""
        return {
            "message": refused.message,
            "extensions": {**refused.details, "code": refused.code.value},
        }


def _located(error: GraphQLError) -> dict[str, Json]:
    located: dict[str, Json] = {}
    if error.locations:
        located["locations"] = [
            {"line": place.line, "column": place.column} for place in error.locations
        ]
    if error.path:
        located["path"] = list(error.path)
    return located


def _cause(error: GraphQLError) -> BaseException:
    # graphql-core wraps an exception where it is raised, and again for each location it gains.
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
