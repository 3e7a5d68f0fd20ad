"""Notaries of the network, and how far this node has followed their logs."""

from datetime import datetime

import strawberry
from sqlalchemy import bindparam, select

from app.graphql.scalars import Digest, UInt53
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.moment import sql
from app.graphql.schema.party import Party, party_of
from app.storage.statements import table_of
from app.vault.tables import CheckpointRow, DistrustRow

_CHECKPOINT, _DISTRUST = table_of(CheckpointRow), table_of(DistrustRow)
_NEWEST = sql(
    select(_CHECKPOINT.c.size, _CHECKPOINT.c.note).where(
        _CHECKPOINT.c.origin == bindparam("origin")
    )
)
_BROKEN = sql(
    select(_DISTRUST.c.at, _DISTRUST.c.why, _DISTRUST.c.note, _DISTRUST.c.evidence).where(
        _DISTRUST.c.notary == bindparam("notary")
    )
)


@strawberry.type(description="A notary's log as this node last saw it.")
class LogView:
    """The newest checkpoint that was found consistent with all before."""

    size: UInt53 = strawberry.field(description="Entries in the log.")
    note: str = strawberry.field(description="The signed checkpoint (C2SP), to verify offline.")


@strawberry.type(
    description="A notary broke its promise, or its log is not proven: this node believes nothing of it."
)
class NotaryDistrust:
    """What shows it; kept for ever, and of a log that is not proven until it is."""

    at: datetime = strawberry.field(description="When this node found it.")
    why: str = strawberry.field(
        description="A code: `forked`, `rolled-back` or `spent-twice`; "
        "`unproven` or `other-log` until the notary's log is proven."
    )
    note: str = strawberry.field(
        description="The signed checkpoint that was accepted; empty where none was."
    )
    evidence: str = strawberry.field(
        description="What cannot be true, or is not proven, beside it; empty where nothing was shown."
    )


@strawberry.type(description="Who fixes the order of transactions.")
class Notary:
    """As the network parameters name it."""

    party: Party = strawberry.field(description="The member that runs it.")
    origin: str = strawberry.field(description="The name of its log in checkpoints.")
    log_key: Digest = strawberry.field(description="Ed25519 key of its log, 32 bytes.")
    cosigner_key: Digest = strawberry.field(description="Ed25519 key of its cosigner, 32 bytes.")
    seen: LogView | None = strawberry.field(description="Null where this node keeps none yet.")
    distrust: NotaryDistrust | None = strawberry.field(description="Null while it is believed.")


def notaries(info: Info) -> list[Notary]:
    """Notaries of the parameters in force now."""
    context = info.context
    given = context.api.assembly.given
    _, parameters = given.parameters.in_force(context.moment.now)
    found = []
    for each in parameters.notaries:
        row = context.moment.row(_NEWEST, {"origin": each.origin})
        seen = None
        if row is not None:
            seen = LogView(size=UInt53(int(row[0] or 0)), note=str(row[1]))
        found.append(
            Notary(
                party=party_of(context, each.party),
                origin=each.origin,
                log_key=Digest(each.log_key),
                cosigner_key=Digest(each.cosigner_key),
                seen=seen,
                distrust=_distrust(context, each.party),
            )
        )
    return found


def _distrust(context: ApiContext, notary: str) -> NotaryDistrust | None:
    row = context.moment.row(_BROKEN, {"notary": notary})
    if row is None:
        return None
    at, why, note, evidence = row
    return NotaryDistrust(
        at=instant(int(at or 0)), why=str(why), note=str(note), evidence=str(evidence)
    )
