"""Mutations of operators: pausing, resuming, retrying and killing flows."""

import asyncio
from typing import Annotated

import strawberry

from app.graphql.errors import ErrorCode, UserError
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.flow import KIND, find_flow, last_step, steps_after
from app.graphql.schema.mutation import ASKED, FlowPayload, Mistake, named_keys, require
from app.graphql.schema.policy import Action
from flows.operator import ALLOWED, NotPossible, Order
from flows.registry import UnknownFlow
from flows.store import Status

ORDER_SECONDS_MAX = 5.0
"""For which an answer waits for the engine's next turn; after that it says what is so far."""


@strawberry.input(description="Which flow.")
class FlowInput:
    """By an operator. The answer comes when the order is carried out, with the engine's next turn."""

    flow: strawberry.ID = strawberry.field(description="The flow.")


async def _order(info: Info, flow: str, order: Order) -> FlowPayload:
    require(info, Action.OPERATE)
    context = info.context
    engine = context.api.assembly.engine
    verbs = {
        Order.PAUSE: engine.pause,
        Order.RESUME: engine.resume,
        Order.RETRY: engine.retry,
        Order.KILL: engine.kill,
    }
    try:
        keys = named_keys(context, flow, KIND, find_flow, "flow")
    except Mistake as refused:
        return FlowPayload(flow=None, user_errors=[refused.error])
    flow_id = bytes(keys[0]) if isinstance(keys[0], bytes) else b""
    told = last_step(context, flow_id)
    with context.api.broadcast.listen() as bell:
        try:
            verbs[order](flow_id)
        except (NotPossible, UnknownFlow):
            words = "the flow's status does not allow this"
            error = UserError(code=ErrorCode.CONFLICT, field=["input", "flow"], message=words)
            return FlowPayload(flow=find_flow(context, keys), user_errors=[error])
        context.api.wake()
        loop = asyncio.get_running_loop()
        until = loop.time() + ORDER_SECONDS_MAX
        while (left := until - loop.time()) > 0 and not _obeyed(context, order, flow_id, told):
            await bell.heard(left)
            context.renew()
    return FlowPayload(flow=find_flow(context, keys), user_errors=[])


def _obeyed(context: ApiContext, order: Order, flow: bytes, told: int) -> bool:
    """Whether an order has been carried out, or has nothing to be carried out on any more."""
    found = find_flow(context, (flow,))
    if found is None or Status[found.status.name] not in ALLOWED[order]:
        return True
    # What is tried again may wait again at once: that it went on is told as a step.
    return order is Order.RETRY and bool(steps_after(context, flow, told, most=1))


async def pause_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002  its name in the API
    return await _order(info, input.flow, Order.PAUSE)


async def resume_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002
    return await _order(info, input.flow, Order.RESUME)


async def retry_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002
    return await _order(info, input.flow, Order.RETRY)


async def kill_flow(info: Info, input: Annotated[FlowInput, ASKED]) -> FlowPayload:  # noqa: A002
    return await _order(info, input.flow, Order.KILL)
