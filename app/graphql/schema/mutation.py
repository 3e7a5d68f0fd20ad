"""What all mutations have in common: who may, once by key, refusals as data, the flow as the answer."""

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec
import strawberry

from app.graphql.cursors import SortKey
from app.graphql.errors import ApiError, ErrorCode, UserError
from app.graphql.schema.codes import UnknownCode
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.flow import Flow, find_flow
from app.graphql.schema.node import keys_of
from app.graphql.schema.party import KIND as PARTY_KIND
from app.graphql.schema.policy import Action
from app.graphql.schema.requests import KeyReused
from flows.flow import Flow as LedgerFlow
from states.encoding import Codec, encode
from states.errors import LedgerError, MalformedBytes
from states.identity import Party

KEY_FORM = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
KEY_DESCRIPTION = (
    "1 to 64 letters, digits and ._:- of your choice. The same key with the same input gives the same flow again, "
    "for ever; with another input it is refused."
)
ASKED = strawberry.argument(description="What is asked.")
PERSON = re.compile(r"[0-9a-f]{32}\Z")


class Mistake(Exception):
    """An expected refusal, which becomes data."""

    def __init__(self, code: ErrorCode, message: str, *field: str) -> None:
        super().__init__(message)
        self.error = UserError(code=code, field=["input", *field], message=message)


@strawberry.type(description="What every mutation that starts a flow answers.")
class FlowPayload:
    """At once: the flow goes on by itself."""

    flow: Flow | None = strawberry.field(description="The flow; null where it was refused.")
    user_errors: list[UserError] = strawberry.field(description="Why it was refused.")


def require(info: Info, action: Action) -> None:
    """Raise FORBIDDEN where this user's role does no such thing, whatever it is about."""
    if not info.context.viewer.may(action):
        raise ApiError(ErrorCode.FORBIDDEN, f"your role does not {action.value}")


def start(
    info: Info, action: Action, key: str, asked: object, make: Callable[[], LedgerFlow]
) -> FlowPayload:
    """Start a flow once. `asked` is the input: what the key stands for."""
    require(info, action)
    context = info.context

    def checked() -> LedgerFlow:
        flow = make()
        assert isinstance(flow, msgspec.Struct), "flows are structs"
        _codec(type(flow)).decode(encode(flow))
        return flow

    try:
        check_key(key)
        what = (action.value, type(asked).__name__, asked)
        flow_id = context.api.requests.start(context.viewer, key, what, checked)
    except _EXPECTED as refused:
        return FlowPayload(flow=None, user_errors=[user_error(refused)])
    context.renew()
    return FlowPayload(flow=find_flow(context, (flow_id,)), user_errors=[])


_EXPECTED = (Mistake, KeyReused, UnknownCode, LedgerError, ValueError)


def user_error(refused: Exception) -> UserError:
    """Return an expected refusal as data."""
    if isinstance(refused, Mistake):
        return refused.error
    if isinstance(refused, KeyReused):
        words = "this idempotency key stands for another request"
        return UserError(
            code=ErrorCode.IDEMPOTENCY_KEY_REUSED, field=["input", "idempotencyKey"], message=words
        )
    code = ErrorCode.BAD_USER_INPUT
    if isinstance(refused, UnknownCode):
        return UserError(
            code=code, field=["input", *refused.field.split(".")], message=str(refused)
        )
    if isinstance(refused, MalformedBytes):
        return UserError(code=code, field=["input"], message="a value is out of its range")
    return UserError(code=code, field=["input"], message=str(refused))


@lru_cache(64)
def _codec(kind: type[msgspec.Struct]) -> Codec[msgspec.Struct]:
    return Codec(kind, "flow")


def check_key(key: str) -> None:
    if not KEY_FORM.match(key):
        words = "1 to 64 letters, digits and ._:-"
        raise Mistake(ErrorCode.BAD_USER_INPUT, words, "idempotencyKey")


def named_party(context: ApiContext, id_: str, *field: str) -> Party:
    """Return a member of the network that keeps or reads records; raises Mistake."""
    keys = keys_of(context, id_, PARTY_KIND)
    member = context.party(str(keys[0])) if keys else None
    if member is None:
        raise Mistake(ErrorCode.NOT_FOUND, "no such organisation", *field)
    if member.kind == "notary":
        raise Mistake(ErrorCode.BAD_USER_INPUT, "a notary neither keeps nor reads records", *field)
    return member.party


def named_keys(
    context: ApiContext,
    id_: str,
    kind: str,
    find: Callable[[ApiContext, tuple[SortKey, ...]], object | None],
    field: str,
) -> tuple[SortKey, ...]:
    """Return the primary key of something that the user sees; raises Mistake, alike for absent and not permitted."""
    keys = keys_of(context, id_, kind)
    if keys is None or find(context, keys) is None:
        raise Mistake(ErrorCode.NOT_FOUND, f"no such {kind}", field)
    return keys


def person_bytes(person: str | None, *field: str) -> bytes | None:
    """Return a person's id; raises Mistake for what is none."""
    if person is None:
        return None
    if not PERSON.match(person):
        raise Mistake(ErrorCode.BAD_USER_INPUT, "a person is 32 hexadecimal digits", *field)
    return bytes.fromhex(person)
