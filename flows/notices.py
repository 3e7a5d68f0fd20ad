"""What a node owes others after it took a transaction: small signed or advisory messages, sent as letters."""

from typing import Annotated

import msgspec

from flows.flow import FlowContext
from states.crypto.signatures import EvidenceSignature
from states.identity import PartyField
from states.sizes import U32, Bytes32, Millis
from states.state import TransactionIdField


class InForce(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="in-force/1"
):
    """The party acts on the transaction since `at` by its clock: what binds a custodian (architecture §2.7)."""

    party: PartyField
    tx: TransactionIdField
    at: Millis


class InForceSince(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="in-force-since/1"
):
    """The statement and the party's identity key's evidence over its encoding."""

    statement: InForce
    signature: EvidenceSignature


class Withdrawn(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="withdrawn/1"
):
    """Items of a disclosure may no longer be read. Never why (architecture §7.4)."""

    disclosure: TransactionIdField
    commitments: Annotated[tuple[Bytes32, ...], msgspec.Meta(min_length=1, max_length=65_535)]


class Superseded(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="superseded/1"
):
    """A newer version of an item of a disclosure exists at its custodian."""

    disclosure: TransactionIdField
    commitment: Bytes32
    version: U32


Notice = InForceSince | Withdrawn | Superseded


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """A notice and whom it is for."""

    party: PartyField
    notice: Notice


RESPONDERS: dict[type[Notice], str] = {
    InForceSince: "note-in-force/1",
    Withdrawn: "note-withdrawn/1",
    Superseded: "note-superseded/1",
}


def post(flow: FlowContext, letters: tuple[Letter, ...]) -> None:
    """Send each notice to its party."""
    for letter in letters:
        flow.letter(letter.party, RESPONDERS[type(letter.notice)], letter.notice)
