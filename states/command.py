"""What a transaction does, and whose signatures it asks for (specification §2.4)."""

import itertools
from typing import Annotated

import msgspec

from states.crypto.policy import Policy, policy_bytes
from states.encoding import Codec

COMMAND_BYTES_MAX = 1 << 16
SIGNERS_MAX = 16


class Command(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="command/1"
):
    """A subject's command (its own encoding) and the policies that must sign, sorted, none twice."""

    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=COMMAND_BYTES_MAX)]
    signers: Annotated[tuple[Policy, ...], msgspec.Meta(min_length=1, max_length=SIGNERS_MAX)]

    def __post_init__(self) -> None:
        order = [policy_bytes(signer) for signer in self.signers]
        if any(a >= b for a, b in itertools.pairwise(order)):
            raise ValueError("signers are sorted and none is named twice")


def command(data: bytes, *signers: Policy) -> Command:
    """Build a command with its signers in order, each named once."""
    by_bytes = {policy_bytes(signer): signer for signer in signers}
    return Command(data, tuple(by_bytes[key] for key in sorted(by_bytes)))


COMMAND = Codec(Command, "command", COMMAND_BYTES_MAX)
