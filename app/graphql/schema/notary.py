"""Notaries of the network, and how far this node has followed their logs."""

import strawberry
from sqlalchemy import bindparam, select

from app.graphql.scalars import Digest, UInt53
from app.graphql.schema.context import Info
from app.graphql.schema.moment import sql
from app.graphql.schema.party import Party, party_of
from app.storage.statements import table_of
from app.vault.tables import CheckpointRow

_CHECKPOINT = table_of(CheckpointRow)
_NEWEST = sql(
    select(_CHECKPOINT.c.size, _CHECKPOINT.c.note).where(
        _CHECKPOINT.c.origin == bindparam("origin")
    )
)


@strawberry.type(description="A notary's log as this node last saw it.")
class LogView:
    """The newest checkpoint that was found consistent with all before."""

    size: UInt53 = strawberry.field(description="Entries in the log.")
    note: str = strawberry.field(description="The signed checkpoint (C2SP), to verify offline.")


@strawberry.type(description="Who fixes the order of transactions.")
class Notary:
    """As the network parameters name it."""

    party: Party = strawberry.field(description="The member that runs it.")
    origin: str = strawberry.field(description="The name of its log in checkpoints.")
    log_key: Digest = strawberry.field(description="Ed25519 key of its log, 32 bytes.")
    cosigner_key: Digest = strawberry.field(description="Ed25519 key of its cosigner, 32 bytes.")
    seen: LogView | None = strawberry.field(description="Null where this node keeps none yet.")


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
            )
        )
    return found
