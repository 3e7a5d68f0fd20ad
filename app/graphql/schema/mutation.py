"""What all mutations have in common: who may, once by key, refusals as data, the flow as the answer."""

import re
from collections.abc import Callable

import msgspec
import strawberry

from app.graphql.cursors import SortKey
from app.graphql.errors import ApiError, ErrorCode, UserError
from app.graphql.schema.checking import flaw_of, input_path
from app.graphql.schema.codes import UnknownCode
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.flow import Flow, find_flow
from app.graphql.schema.node import keys_of
from app.graphql.schema.party import KIND as PARTY_KIND
from app.graphql.schema.policy import Action
from app.graphql.schema.requests import KeyReused
from app.names import name_flaw
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


@strawberry.type(
    description="What a mutation that starts a flow, or orders something of one, answers."
)
class FlowPayload:
    """At once: the flow goes on by itself."""

    flow: Flow | None = strawberry.field(
        description="The flow; null where none was started or found."
    )
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
        require_fitting(flow, asked)
        return flow

    try:
        check_key(key)
        what = (action.value, type(asked).__name__, asked)
        flow_id = context.api.requests.start(context.viewer, key, what, checked)
    except _EXPECTED as refused:
        return FlowPayload(flow=None, user_errors=[user_error(refused)])
    context.renew()
    return FlowPayload(flow=find_flow(context, (flow_id,)), user_errors=[])


def once(
    info: Info, action: Action, key: str, asked: tuple[object, ...], make: Callable[[], bytes]
) -> bytes | UserError:
    """Do once what starts no flow; return what was made of it, or why it was refused.

    `asked` ends with the input: what the key stands for.
    """
    require(info, action)
    context = info.context
    try:
        check_key(key)
        what = (action.value, *asked)
        made = context.api.requests.once(context.viewer, key, what, lambda _: make())
    except (Mistake, KeyReused, UnknownCode) as refused:
        return user_error(refused)
    context.renew()
    return made


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
    return UserError(code=code, field=["input"], message=str(refused))


def require_fitting(made: msgspec.Struct, asked: object) -> None:
    """Raise Mistake unless `made` is as its type says; it names the field of the input `asked` that is at fault."""
    try:
        Codec(type(made), "input").decode(encode(made))
    except MalformedBytes as refused:
        flaw = flaw_of(made)
        if flaw is None:
            raise
        field = input_path(asked, flaw.path)
        # What the input does not name the client did not choose alone: the value's own name says most.
        words = flaw.why if len(field) == len(flaw.path) else f"{'.'.join(flaw.path)}: {flaw.why}"
        raise Mistake(ErrorCode.BAD_USER_INPUT, words, *field) from refused


def require_name(name: str, field: str, least: int = 1) -> str:
    """Return a name that people gave; raises Mistake."""
    if flaw := name_flaw(name, least):
        raise Mistake(ErrorCode.BAD_USER_INPUT, f"no name: {flaw}", field)
    return name


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
