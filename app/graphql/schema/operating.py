"""Mutations of operators: pausing, resuming, retrying and killing flows."""

from collections.abc import Callable
from typing import Annotated

import strawberry

from app.graphql.errors import ErrorCode, UserError
from app.graphql.schema.context import Info
from app.graphql.schema.flow import KIND, find_flow
from app.graphql.schema.mutation import ASKED, FlowPayload, Mistake, named_keys, require
from app.graphql.schema.policy import Action
from flows.operator import NotPossible
from flows.registry import UnknownFlow


@strawberry.input(description="Which flow.")
class FlowInput:
    """By an operator. The order is carried out with the engine's next turn."""

    flow: strawberry.ID = strawberry.field(description="The flow.")


def _order(info: Info, flow: str, verb: Callable[[bytes], None]) -> FlowPayload:
    require(info, Action.OPERATE)
    context = info.context
    try:
        keys = named_keys(context, flow, KIND, find_flow, "flow")
    except Mistake as refused:
        return FlowPayload(flow=None, user_errors=[refused.error])
    try:
        verb(bytes(keys[0]) if isinstance(keys[0], bytes) else b"")
    except (NotPossible, UnknownFlow):
        words = "the flow's status does not allow this"
        error = UserError(code=ErrorCode.CONFLICT, field=["input", "flow"], message=words)
        return FlowPayload(flow=find_flow(context, keys), user_errors=[error])
    context.api.wake()
    context.renew()
    return FlowPayload(flow=find_flow(context, keys), user_errors=[])


def pause_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002  its name in the API
    return _order(info, input.flow, info.context.api.assembly.engine.pause)


def resume_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002
    return _order(info, input.flow, info.context.api.assembly.engine.resume)


def retry_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002
    return _order(info, input.flow, info.context.api.assembly.engine.retry)


def kill_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002
    return _order(info, input.flow, info.context.api.assembly.engine.kill)
