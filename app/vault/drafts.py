"""Drafts: from what a subject wants to say to a built transaction, with fresh salt and nonces."""

from collections.abc import Callable

import msgspec

from flows.flow import FlowRefused
from states.builder import BuiltTransaction, HiddenSeal, OpenSeal, TransactionDraft, build
from states.command import command
from states.crypto.policy import Policy
from states.encoding import encode
from states.identity import Party
from states.ledger import Data
from states.lock import SpendLock
from states.parameters import NetworkParameters, ParametersHistory
from states.sealed import Sealed
from states.state import StateRef, TransactionState
from states.timewindow import TimeWindow

BACK_MS = 30_000  # clocks differ: a window opens a little before now
NONCE_SIZE = 32

Entropy = Callable[[int], bytes]


class Output(msgspec.Struct, frozen=True):
    """A state to create: its contract, its data, its lock; its notary, where it moves to another."""

    contract: str
    data: Data
    lock: SpendLock
    notary: Party | None = None


class Saying(msgspec.Struct, frozen=True):
    """What a transaction shall say; the rest (notary, window, parameters, nonces) is the node's."""

    command: Data
    signers: tuple[Policy, ...]
    outputs: tuple[Output, ...] = ()
    sealed: tuple[Sealed | HiddenSeal, ...] = ()
    inputs: tuple[StateRef, ...] = ()
    references: tuple[StateRef, ...] = ()
    attachments: tuple[bytes, ...] = ()
    until: int | None = None  # an earlier end of the window, where the basis runs out
    begins: int | None = None  # a later begin, where the basis starts


class Drafts:
    """Builds transactions for this node, by the parameters in force and at its notary."""

    def __init__(self, parameters: ParametersHistory, notary: Party, entropy: Entropy) -> None:
        self._parameters = parameters
        self.notary = notary
        self._entropy = entropy

    def in_force(self, now: int) -> NetworkParameters:
        return self._parameters.in_force(now)[1]

    def window(self, now: int, saying: Saying) -> TimeWindow:
        """Return [now - 30 s, as long as the network allows), cut to the basis of what is said.

        Raises FlowRefused where the basis has run out.
        """
        begins = max(now - BACK_MS, saying.begins or 0)
        limits = self._parameters.in_force(begins)[1].limits
        ends = begins + limits.window_ms
        if saying.until is not None and saying.until <= begins:
            raise FlowRefused("too-late", "the time for which this was meant is over")
        return TimeWindow(begins, ends if saying.until is None else min(ends, saying.until))

    def build(self, now: int, saying: Saying, notary: Party | None = None) -> BuiltTransaction:
        """Build a transaction at `notary` (that of its inputs, else this node's). Draws salt and nonces."""
        at = notary or self.notary
        window = self.window(now, saying)
        parameters, _ = self._parameters.in_force(window.from_time)
        draft = TransactionDraft(
            notary=at,
            window=window,
            parameters=parameters,
            inputs=saying.inputs,
            references=saying.references,
            outputs=tuple(
                TransactionState(output.contract, output.notary or at, encode(output.data))
                for output in saying.outputs
            ),
            locks=tuple(output.lock for output in saying.outputs),
            commands=(command(encode(saying.command), *saying.signers),),
            sealed=tuple(
                OpenSeal(seal, self._entropy(NONCE_SIZE)) if isinstance(seal, Sealed) else seal
                for seal in saying.sealed
            ),
            attachments=saying.attachments,
        )
        return build(draft, self._entropy(NONCE_SIZE))
