"""The content of records: read through the gate, which keeps the reading before the first byte."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
import strawberry

from app.blobs.sizes import size_class
from app.gate import AccessEnded, Lacking, Opened, Refused
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import CONTENT_BYTES_MAX
from app.graphql.scalars import Base64, RawJson, UInt53
from app.graphql.schema.codes import purpose_of
from app.graphql.schema.context import ApiContext
from states.errors import LedgerError
from states.state import StateRef
from states.subjects.codes import Purpose

BLOB_SIZE_MAX = size_class(CONTENT_BYTES_MAX)
"""Of ciphertext, padded: what a document of CONTENT_BYTES_MAX becomes. All of its class can be shown."""
CONTENT_COST = 20
GET_SECONDS = 5.0  # for which a patient waits for a custodian
GET_BEAT_SECONDS = 0.02
NOTHING_AVAILABLE = "Nothing available."

TOLD_BY_READING = (
    "Null but for the patient herself: others learn it by reading `content`, which is logged."
)

PurposeArgument = Annotated[
    str,
    strawberry.argument(
        description="Why it is read: a code of HL7 v3 PurposeOfUse, such as TREAT. It is logged."
    ),
]


@strawberry.type(description="A record's content, or why there is none.")
class RecordContent:
    """The reading is in the log, and the patient's agent will be told, whatever the answer."""

    resource: RawJson | None = strawberry.field(description="The FHIR resource as JSON.")
    bytes: Base64 | None = strawberry.field(description="The bytes exactly as they were received.")
    code: str | None = strawberry.field(
        description="The record's clinical code; may be empty; null where there is no content."
    )
    code_system: str | None = strawberry.field(
        description="The code's system; may be empty; null where there is no content."
    )
    labels: list[str] | None = strawberry.field(
        description="Confidentiality and sensitivity; null where there is no content."
    )
    refusal: str | None = strawberry.field(description="Why there is none; null where there is.")
    log_entry: UInt53 | None = strawberry.field(
        description="Where this node's reading log holds the reading."
    )


async def shown(
    context: ApiContext, blob_size: int, read: Callable[[], Opened | Refused]
) -> RecordContent:
    """Return what the gate answers. A refusal takes the same time whatever its reason.

    Raises LIMIT_EXCEEDED, before anything is read or logged, for a `blob_size` (bytes of ciphertext, as everybody sees
    who sees the row) above BLOB_SIZE_MAX.
    """
    if blob_size > BLOB_SIZE_MAX:
        raise ApiError(ErrorCode.LIMIT_EXCEEDED, "too large for GraphQL: use FHIR")
    answer = read()
    if isinstance(answer, Refused):
        await until_answerable(context, answer)
        return RecordContent(
            resource=None,
            bytes=None,
            code=None,
            code_system=None,
            labels=None,
            refusal=answer.words,
            log_entry=None,
        )
    parts: list[bytes] = []
    try:
        for chunk in answer.chunks:
            parts.append(chunk)
            await asyncio.sleep(
                0
            )  # each chunk is opened on the event loop: let others have it in between
    except AccessEnded as ended:
        raise ApiError(ErrorCode.CONSENT_EXPIRED, ended.words) from ended
    except LedgerError as damaged:
        raise ApiError(ErrorCode.NOT_FOUND, NOTHING_AVAILABLE) from damaged
    found = b"".join(parts)
    return RecordContent(
        resource=_resource(found),
        bytes=Base64(found),
        code=answer.content.code,
        code_system=answer.content.system,
        labels=list(answer.content.labels),
        refusal=None,
        log_entry=UInt53(answer.entry),
    )


async def shown_to_patient(
    context: ApiContext, blob_size: int, ref: StateRef, purpose: Purpose
) -> RecordContent:
    """Return a patient's own record, as `shown`. What its custodian is still to give is asked for, and waited for.

    Where it does not come in GET_SECONDS, the refusal says so: it goes on coming, and she may ask again.
    """
    gate, session = context.api.gate, context.caller.session
    lacking = gate.lacking(session, ref) if blob_size <= BLOB_SIZE_MAX else None
    loop = asyncio.get_running_loop()
    end = loop.time() + GET_SECONDS
    asked: Lacking | None = None
    while lacking is not None:
        if lacking != asked:  # the key may have come, and the ciphertext not
            context.api.assembly.obtain(lacking)
            context.api.wake()
            asked = lacking
        if loop.time() >= end:
            break
        await asyncio.sleep(GET_BEAT_SECONDS)
        lacking = gate.lacking(session, ref)
    return await shown(context, blob_size, lambda: gate.read_hers(session, ref, purpose))


async def until_answerable(context: ApiContext, refused: Refused) -> None:
    """Wait until a refusal may be given: as long whatever its reason is."""
    wait_ms = refused.answer_at - context.api.assembly.given.clock()
    await asyncio.sleep(max(wait_ms, 0) / 1_000)


def _resource(found: bytes) -> RawJson | None:
    try:
        return RawJson(msgspec.json.decode(found))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # a document that is no JSON: its bytes are there


__all__ = [
    "CONTENT_COST",
    "TOLD_BY_READING",
    "PurposeArgument",
    "RecordContent",
    "purpose_of",
    "shown",
    "shown_to_patient",
    "until_answerable",
]
