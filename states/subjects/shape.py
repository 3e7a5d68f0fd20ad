"""The shape of a transaction of one subject: its one command, its notary, its signers, its seals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from states.contract import Contract, Owner
from states.groups import Group
from states.ledger import Data, LedgerTransaction
from states.sealed import Place, Sealed

KEEPERS = ("agent", "custodian")
"""Who reads a name of the patient, or what a record is about: her agent and the custodian."""


@dataclass(frozen=True, slots=True)
class SealPlace:
    """What a contract wants at one index of the sealed group."""

    kind: type[Data]
    output: int
    readers: tuple[str, ...]

    def holds(self, data: bytes) -> Sealed:
        """Return the sealed component with this encoding that belongs here."""
        return Sealed(self.readers, Place(Group.OUTPUTS, self.output), data)


def own_command(tx: LedgerTransaction, contract: Contract) -> Data | None:
    """Return the command of a transaction that has one, of `contract`, and touches only its states; else None."""
    if len(tx.commands) != 1 or contract.state is None:
        return None
    command = tx.commands[0].data
    alone = tx.all_inputs_are(contract.state) and tx.all_outputs_are(contract.state)
    return command if alone and isinstance(command, contract.commands) else None


def is_one(tx: LedgerTransaction, inputs: int, outputs: int) -> bool:
    """Whether the transaction has so many inputs and outputs, shown or not."""
    return (tx.count(Group.INPUTS), tx.count(Group.OUTPUTS)) == (inputs, outputs)


def at_its_notary(tx: LedgerTransaction) -> bool:
    return all(output.state.notary == tx.notary for output in tx.outputs.values())


def is_signed_by(tx: LedgerTransaction, owner: Owner) -> bool:
    """Whether a command asks for the signature of a policy, or of an organisation's identity key."""
    return tx.party_signs(owner) if isinstance(owner, str) else tx.signs(owner)


def is_signed_only_by(tx: LedgerTransaction, owners: Iterable[Owner]) -> bool:
    """Whether every policy that a command asks for is one of these owners'."""
    known = tuple(owners)
    return all(
        any(
            tx.is_policy_of(policy, owner) if isinstance(owner, str) else policy == owner
            for owner in known
        )
        for policy in tx.signer_policies()
    )


def seals_are_counted(tx: LedgerTransaction, places: Sequence[SealPlace]) -> bool:
    """Whether there are as many sealed components, shown or not, as places."""
    return tx.count(Group.SEALED) == len(places)


def seals_are_of_their_kind(tx: LedgerTransaction, places: Sequence[SealPlace]) -> bool:
    return all(isinstance(seal.data, places[seal.index].kind) for seal in tx.sealed)


def seals_are_about_theirs(tx: LedgerTransaction, places: Sequence[SealPlace]) -> bool:
    return all(
        seal.sealed.about == Place(Group.OUTPUTS, places[seal.index].output) for seal in tx.sealed
    )


def seals_are_for_their_readers(tx: LedgerTransaction, places: Sequence[SealPlace]) -> bool:
    return all(seal.sealed.readers == places[seal.index].readers for seal in tx.sealed)
