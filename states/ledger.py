"""A transaction as its contracts see it: typed, resolved as far as the verifier knows (§7)."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from states.crypto.keys import Key
from states.crypto.policy import One, Policy
from states.groups import Group
from states.identity import Party
from states.lock import SpendLock
from states.parameters import Directory, NetworkParameters
from states.sealed import Sealed
from states.state import StateRef, TransactionId, TransactionState
from states.timewindow import TimeWindow

Data = msgspec.Struct
D = TypeVar("D", bound=msgspec.Struct)


class StateAndData(msgspec.Struct, frozen=True):
    """A state with what its contract's codec read from it."""

    state: TransactionState
    data: Data


class Resolved(msgspec.Struct, frozen=True):
    """An input or reference; `held` is None where this verifier has not seen the state."""

    ref: StateRef
    held: StateAndData | None


class LedgerCommand(msgspec.Struct, frozen=True):
    """A command and the policies that must sign."""

    data: Data
    signers: tuple[Policy, ...]


class LedgerSeal(msgspec.Struct, frozen=True):
    """A sealed component that this verifier may read, and its index."""

    index: int
    sealed: Sealed
    data: Data


class LedgerTransaction(msgspec.Struct, frozen=True):
    """What contracts judge. Outputs and seals hold what is shown; counts tell how many there are."""

    id: TransactionId
    notary: Party
    window: TimeWindow
    parameters: NetworkParameters
    counts: tuple[int, ...]
    inputs: tuple[Resolved, ...]
    references: tuple[Resolved, ...]
    outputs: Mapping[int, StateAndData]
    commands: tuple[LedgerCommand, ...]
    sealed: tuple[LedgerSeal, ...]
    attachments: tuple[bytes, ...]
    directory: Directory
    locks: Mapping[int, SpendLock] = msgspec.field(default_factory=dict)

    def count(self, group: Group) -> int:
        return self.counts[group]

    def outputs_of(self, kind: type[D]) -> list[tuple[int, D]]:
        """Return (index, data) of the shown outputs of a kind."""
        return [(i, o.data) for i, o in self.outputs.items() if isinstance(o.data, kind)]

    def inputs_of(self, kind: type[D]) -> list[D]:
        """Return the data of the inputs of a kind, as far as this verifier holds them."""
        return [i.held.data for i in self.inputs if i.held and isinstance(i.held.data, kind)]

    def references_of(self, kind: type[D]) -> list[D]:
        return [r.held.data for r in self.references if r.held and isinstance(r.held.data, kind)]

    def seals_of(self, kind: type[D]) -> list[tuple[LedgerSeal, D]]:
        return [(seal, seal.data) for seal in self.sealed if isinstance(seal.data, kind)]

    def all_outputs_are(self, kind: type[Data]) -> bool:
        return all(isinstance(o.data, kind) for o in self.outputs.values())

    def all_inputs_are(self, kind: type[Data]) -> bool:
        return all(isinstance(i.held.data, kind) for i in self.inputs if i.held)

    def party_signs(self, party: Party) -> bool:
        """Whether an identity key that `party` has at the window's opening is among the signers.

        Raises UnknownParty where the directory has no key of it.
        """
        keys = self.directory.identity_keys(party, self.window.from_time)
        return any(self.signs(One(key)) for key in keys)

    def signs(self, policy: Policy) -> bool:
        """Whether a command asks for `policy`: signatures are checked against commands apart."""
        return any(policy in command.signers for command in self.commands)

    def signer_policies(self) -> frozenset[Policy]:
        return frozenset(policy for command in self.commands for policy in command.signers)

    def is_policy_of(self, policy: Policy, party: Party) -> bool:
        """Whether `policy` is one identity key of `party` at the window's opening."""
        keys: frozenset[Key] = self.directory.identity_keys(party, self.window.from_time)
        return isinstance(policy, One) and policy.key in keys
