"""Runs operations for every transport: one way in, so that no transport lacks a check.

Order: bucket for the attempt, parse, shape, validation, cost, bucket for the rest, variables,
execution in time, mask. A subscription goes through the context anew for each event.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Mapping,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

import strawberry
from graphql import (
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
)
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_root_selection_set,
    execute_subscription_event,
)
from graphql.pyutils import is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from app.graphql.context_protocol import Caller, MakeContext, RequestContext
from app.graphql.cost import CostEstimate
from app.graphql.documents import Documents, InvalidDocument, ValidDocument
from app.graphql.errors import ApiError, ErrorCode, ErrorMask, Json
from app.graphql.limits import ServiceLimits
from app.graphql.throttle import Throttle

COERCION_ERRORS_MAX = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client sent."""

    query: str
    variables: Mapping[str, object]
    operation_name: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One GraphQL response. Not `executed`: the request itself failed, and there is no `data`."""

    executed: bool
    data: Json = None
    errors: tuple[dict[str, Json], ...] = ()
    extensions: Mapping[str, Json] = field(default_factory=dict)
    code: ErrorCode | None = None

    def formatted(self) -> dict[str, Json]:
        shown: dict[str, Json] = {}
        if self.errors:
            shown["errors"] = list(self.errors)
        if self.executed:
            shown["data"] = self.data
        if self.extensions:
            shown["extensions"] = dict(self.extensions)
        return shown


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation that passed every check that can be made before it runs."""

    document: ValidDocument
    operation: OperationDefinitionNode
    ask: Ask
    extensions: Mapping[str, Json]

    @property
    def kind(self) -> OperationType:
        return self.operation.operation


class Refused(Exception):
    """An operation is refused before it runs; `answer` goes to the client."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class Engine:
    """One schema under one set of limits."""

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: ServiceLimits,
        make_context: MakeContext,
        mask: ErrorMask,
        throttle: Throttle,
    ) -> None:
        self.limits = limits
        self._schema = schema._schema  # noqa: SLF001  strawberry has no public way to it
        self._documents = Documents(self._schema, limits)
        self._make_context = make_context
        self._mask = mask
        self._throttle = throttle

    def prepare(self, ask: Ask, caller: Caller) -> Prepared:
        """Check an operation and charge the caller for it. Raise Refused."""
        request_id: dict[str, Json] = {"requestId": caller.request_id}
        try:
            # An attempt that fails costs one as well: parsing and validation are work.
            left = self._throttle.charge(caller.session.user_id, 1)
            document = self._documents.valid(ask.query)
            operation = document.operation(ask.operation_name)
            cost = self._cost(document, operation, ask.variables)
            left = self._throttle.charge(caller.session.user_id, cost - 1)
        except ApiError as refused:
            raise Refused(self.refusal(refused, request_id)) from refused
        except RecursionError as refused:  # wherever it was met: the text chose how deep we went
            nested = ApiError(ErrorCode.LIMIT_EXCEEDED, "the document nests too deeply")
            raise Refused(self.refusal(nested, request_id)) from refused
        except InvalidDocument as refused:
            errors = tuple(self._mask(error, refused.code) for error in refused.errors)
            raise Refused(
                Answer(executed=False, errors=errors, extensions=request_id, code=refused.code)
            ) from refused
        return Prepared(document, operation, ask, request_id | self._shown_cost(cost, left))

    def refusal(self, refused: ApiError, extensions: Mapping[str, Json] | None = None) -> Answer:
        """Return the answer that tells a refusal which no field raised."""
        return Answer(
            executed=False,
            errors=(self._mask.refusal(refused),),
            extensions=extensions or {},
            code=refused.code,
        )

    async def run(self, prepared: Prepared, caller: Caller) -> Answer:
        """Execute a query or a mutation."""
        assert prepared.kind is not OperationType.SUBSCRIPTION, "subscriptions are streamed"
        return await self._run(prepared, caller, None)

    async def stream(
        self, prepared: Prepared, caller: Callable[[], Caller | None]
    ) -> AsyncGenerator[Answer, None]:
        """Yield an answer for each event of a subscription; `caller` is asked anew before each.

        Ends with one answer that is not `executed` where the caller is no longer signed in, the
        source refuses (ApiError) or breaks.
        """
        signed_in = caller()
        if signed_in is None:
            yield self._ended(prepared)
            return
        try:
            with self._make_context(signed_in) as context:
                source = await self._source(prepared, context)
                if isinstance(source, Answer):
                    yield source
                    return
                async with aclosing(self._events(prepared, source, caller)) as events:
                    async for answer in events:
                        yield answer
        except Exception as broken:  # noqa: BLE001  the source's fault, masked
            yield self._broken(prepared, broken)

    async def _events(
        self,
        prepared: Prepared,
        source: AsyncIterator[object],
        caller: Callable[[], Caller | None],
    ) -> AsyncGenerator[Answer, None]:
        try:
            async for event in source:
                signed_in = caller()
                if signed_in is None:
                    yield self._ended(prepared)
                    return
                yield await self._run(prepared, signed_in, event)
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    async def _run(self, prepared: Prepared, caller: Caller, event: object) -> Answer:
        try:
            with self._make_context(caller) as context:
                return await self._executed(prepared, context, event)
        except TimeoutError:
            refused = ApiError(
                ErrorCode.REQUEST_TIMEOUT,
                f"not done within {self.limits.execution_seconds_max} s",
            )
            return self.refusal(refused, prepared.extensions)
        except Exception as broken:  # noqa: BLE001  a context that can not be made, masked
            return self._broken(prepared, broken)

    async def _executed(self, prepared: Prepared, context: RequestContext, event: object) -> Answer:
        executor = self._executor(prepared, context, event)
        if isinstance(executor, Answer):
            return executor
        if prepared.kind is OperationType.SUBSCRIPTION:
            running = execute_subscription_event(executor)
        else:
            running = execute_root_selection_set(executor)
        if is_awaitable(running):  # else it is done, and no timer could have stopped it
            async with asyncio.timeout(self.limits.execution_seconds_max):
                result = await running
        else:
            result = cast("ExecutionResult", running)
        extensions = {**prepared.extensions, **context.extensions()}
        errors = tuple(self._field_error(error) for error in result.errors or ())
        return Answer(executed=True, data=result.data, errors=errors, extensions=extensions)

    async def _source(
        self, prepared: Prepared, context: RequestContext
    ) -> AsyncIterator[object] | Answer:
        executor = self._executor(prepared, context, None)
        if isinstance(executor, Answer):
            return executor
        starting = create_source_event_stream(executor)
        started = await starting if is_awaitable(starting) else starting
        if isinstance(started, ExecutionResult):
            errors = tuple(self._field_error(error) for error in started.errors or ())
            return Answer(executed=False, errors=errors, extensions=prepared.extensions)
        return aiter(cast("AsyncIterable[object]", started))

    def _executor(
        self, prepared: Prepared, context: RequestContext, root: object
    ) -> Executor[None] | Answer:
        executor = StrawberryGraphQLCoreExecutionContext.build(
            self._schema,
            prepared.document.node,
            root,
            context,
            dict(prepared.ask.variables),
            prepared.ask.operation_name,
            max_coercion_errors=COERCION_ERRORS_MAX,
            hide_suggestions=True,
            operation_extensions={},
        )
        if isinstance(executor, Executor):
            return executor
        code = ErrorCode.BAD_USER_INPUT
        errors = tuple(self._mask(error, code) for error in executor)
        return Answer(executed=False, errors=errors, extensions=prepared.extensions, code=code)

    def _field_error(self, error: GraphQLError) -> dict[str, Json]:
        return self._mask(error, ErrorCode.BAD_USER_INPUT, of_a_field=True)

    def _cost(
        self,
        document: ValidDocument,
        operation: OperationDefinitionNode,
        variables: Mapping[str, object],
    ) -> int:
        estimate = CostEstimate(self._schema, document.fragments, variables, self.limits)
        cost = estimate.of(operation)
        if cost > self.limits.cost_max:
            raise ApiError(
                ErrorCode.LIMIT_EXCEEDED,
                f"cost: {cost} is over the limit of {self.limits.cost_max}",
                {"limit": "cost", "allowed": self.limits.cost_max, "found": cost},
            )
        return cost

    def _shown_cost(self, cost: int, left: int) -> dict[str, Json]:
        return {
            "cost": {
                "requested": cost,
                "limit": self.limits.cost_max,
                "available": left,
                "capacity": self.limits.bucket_capacity,
                "restoredPerSecond": self.limits.bucket_restored_per_second,
            }
        }

    def _ended(self, prepared: Prepared) -> Answer:
        refused = ApiError(ErrorCode.UNAUTHENTICATED, "the session has ended")
        return self.refusal(refused, prepared.extensions)

    def _broken(self, prepared: Prepared, broken: Exception) -> Answer:
        if isinstance(broken, ApiError):
            return self.refusal(broken, prepared.extensions)
        return Answer(
            executed=False,
            errors=(self._mask.unexpected(broken),),
            extensions=prepared.extensions,
            code=ErrorCode.INTERNAL_SERVER_ERROR,
        )
