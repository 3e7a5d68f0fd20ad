"""A mutation of operators: a state is moved to another notary of the network."""

from typing import Annotated

import strawberry

from app.graphql.errors import ErrorCode
from app.graphql.scalars import Digest, UInt53
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.mutation import ASKED, KEY_DESCRIPTION, FlowPayload, Mistake, start
from app.graphql.schema.node import keys_of
from app.graphql.schema.party import KIND as PARTY_KIND
from app.graphql.schema.policy import Action
from flows.notary_change import ChangeNotary
from states.crypto.hashes import HASH_SIZE
from states.identity import Party
from states.state import StateRef, TransactionId


@strawberry.input(description="Move a state of this node to another notary.")
class ChangeNotaryInput:
    """By an operator, who is shown no states: an auditor's `states` name them. The node that owns its lock moves it."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    transaction: Digest = strawberry.field(description="The transaction that created the state.")
    index: UInt53 = strawberry.field(description="Which of its outputs, from 0.")
    notary: strawberry.ID = strawberry.field(description="The party of the notary to move it to.")


def change_notary(info: Info, input: Annotated[ChangeNotaryInput, ASKED]) -> FlowPayload:  # noqa: A002  its name in the API
    context = info.context

    def make() -> ChangeNotary:
        notary = _notary(context, input.notary)
        digest = bytes(input.transaction)
        if len(digest) != HASH_SIZE:
            raise Mistake(ErrorCode.BAD_USER_INPUT, f"{HASH_SIZE} bytes", "transaction")
        ref = StateRef(TransactionId(digest), int(input.index))
        assembly = context.api.assembly
        state = assembly.vault.state(assembly.db, ref)
        if state is None or not assembly.vault.is_live(assembly.db, ref):
            raise Mistake(ErrorCode.NOT_FOUND, "no such state lives here", "transaction")
        if state.notary == notary:
            raise Mistake(ErrorCode.CONFLICT, "the state is with that notary", "notary")
        return ChangeNotary(ref, notary)

    return start(info, Action.OPERATE, input.idempotency_key, input, make)


def _notary(context: ApiContext, id_: str) -> Party:
    """Return a notary of the parameters in force; raises Mistake."""
    keys = keys_of(context, id_, PARTY_KIND)
    _, parameters = context.api.assembly.given.parameters.in_force(context.moment.now)
    info = parameters.notary(Party(str(keys[0]))) if keys else None
    if info is None:
        raise Mistake(ErrorCode.NOT_FOUND, "no such notary", "notary")
    return info.party
