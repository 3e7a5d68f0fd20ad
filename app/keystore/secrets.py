"""The secrets themselves, as they are stored: values whose text shows nothing."""

from typing import Annotated

import msgspec

from app.blobs.wrap import Entropy
from app.keystore.keys import NodeKey
from states.encoding import Codec
from states.sizes import U8, U32, Bytes32

SECRETS_BYTES_MAX = 16 << 20
PATIENTS_MAX = 100_000  # the whole file is written anew at each change: some 6 MB then
EPOCHS_MAX = 1_200  # a hundred years of months
PATIENT_BYTES_MAX = 64

PatientName = Annotated[bytes, msgspec.Meta(min_length=1, max_length=PATIENT_BYTES_MAX)]


class Hidden(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A struct that a log, a traceback or a debugger's print may meet."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("fields", "hidden")]


class NodeSecret(Hidden, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A signing key of the node, and the one prepared to follow it."""

    name: NodeKey
    seed: Bytes32
    following: Bytes32 | None = None


class EpochSecret(Hidden, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An epoch key; `scheme` is one of app.blobs.wrap."""

    epoch: U32
    scheme: U8
    seed: Bytes32


class PatientSecret(Hidden, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What all keys of one patient of an agent come from."""

    patient: PatientName
    seed: Bytes32


class Secrets(Hidden, frozen=True, array_like=True, forbid_unknown_fields=True, tag="secrets/1"):
    """All that a key store keeps."""

    node: tuple[NodeSecret, ...]
    box: Bytes32
    lock: Bytes32
    storage: Bytes32
    epochs: tuple[EpochSecret, ...] = ()
    patients: tuple[PatientSecret, ...] = ()


SECRETS = Codec(Secrets, "secrets", SECRETS_BYTES_MAX)


def new_secrets(entropy: Entropy) -> Secrets:
    """Draw the secrets of a new node; its first epoch key is made when the month is known."""
    node = tuple(NodeSecret(name, entropy(32)) for name in NodeKey)
    return Secrets(node, entropy(32), entropy(32), entropy(32))
