"""What a recorded transaction does to the vault's states: inputs are consumed, outputs live, the feed tells of both."""

from sqlite3 import Connection

from app.vault.statements import ADD_STATE, ADD_UPDATE, CONSUME, GET_STATE
from states.encoding import encode
from states.state import StateRef, TransactionId
from states.verifier import VerifiedTransaction

CREATED, CONSUMED = 0, 1


def move_states(db: Connection, verified: VerifiedTransaction, seq: int, *, followed: bool) -> None:
    """Consume and create as transaction number `seq`, inside the open transaction.

    Where this node will not hear what becomes of the outputs, none is `followed`: it could never say that one lives.
    """
    ledger = verified.checked.ledger
    outputs = ledger.outputs if followed else {}
    consumed = [item for item in ledger.inputs if _consume(db, item.ref, seq, ledger.id)]
    db.executemany(
        ADD_STATE,
        [
            {
                "tx": ledger.id,
                "idx": index,
                "contract": output.state.contract,
                "state": encode(output.state),
                "created_seq": seq,
                "consumed_seq": None,
                "consumed_by": None,
            }
            for index, output in outputs.items()
        ],
    )
    ended = [
        (CONSUMED, item.ref.tx, item.ref.index, item.held.state.contract)
        for item in consumed
        if item.held is not None
    ]
    created = [(CREATED, ledger.id, i, o.state.contract) for i, o in outputs.items()]
    db.executemany(
        ADD_UPDATE,
        [
            {"seq": seq, "kind": kind, "tx": tx, "idx": idx, "contract": contract}
            for kind, tx, idx, contract in ended + created
        ],
    )


def _consume(db: Connection, ref: StateRef, seq: int, by: TransactionId) -> bool:
    """Consume a state if it is recorded here: one that was only shown is none of this vault's."""
    key = {"ref_tx": ref.tx, "ref_idx": ref.index}
    if db.execute(CONSUME, key | {"seq": seq, "by": by}).rowcount:
        return True
    row = db.execute(GET_STATE, {"tx": ref.tx, "idx": ref.index}).fetchone()
    assert row is None, "the notary let a state be consumed twice"
    return False
