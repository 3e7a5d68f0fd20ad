"""Writes the golden vectors: `python -m tests.vectors.second.generate` from the repository root."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.vectors.second.cases import (
    components,
    encodings,
    messages,
    policies,
    readings,
    receipts,
    signatures,
    spending,
    tearoffs,
    transactions,
)
from tests.vectors.second.cases.case import Case
from tests.vectors.second.fields import Object
from tests.vectors.second.operations import evaluate

FOLDER = Path(__file__).parents[1] / "ledger"


@dataclass(frozen=True)
class VectorFile:
    """One file: whence its cases, what its inputs are, and what is expected of them."""

    cases: Callable[[], list[Case]]
    about: str
    input: str
    expected: str


FILES = {
    "encodings": VectorFile(
        encodings.encodings,
        "Any value, decoded in the strict part of MessagePack.",
        "hex",
        "value: arrays as lists, byte strings as {bytes: hex}",
    ),
    "digests": VectorFile(
        encodings.digests,
        "Tagged hashes, derived keys, and the identifiers made by hashing.",
        "function, and its arguments (bytes in hex, tag and name as text)",
        "hex",
    ),
    "dids": VectorFile(
        encodings.dids, "Names of parties, read.", "did", "scheme, raw: the key that it names"
    ),
    "keys": VectorFile(policies.keys, "Encodings of a Key.", "hex", "scheme, raw"),
    "policies": VectorFile(
        policies.policies,
        "Encodings of a Policy.",
        "hex; by: encodings of the keys that signed",
        'digest: H("policy", hex); keys: encodings, in order; satisfied: by those in `by`',
    ),
    "headers": VectorFile(
        components.headers,
        "Leaf 0 of a transaction.",
        "hex",
        "counts; leaves: how many, header included",
    ),
    "components": VectorFile(
        components.components,
        "One component, read as what its group asks for.",
        "group; hex; for sealed also counts, the header's",
        "value: as in encodings.json",
    ),
    "transactions": VectorFile(
        transactions.transactions,
        "What a builder makes of components. What a component says plays no part here.",
        "salt; groups: hex, or {nonce, component} of a seal, or {leaf_hash} of another's seal",
        "header; leaf_hashes; id",
    ),
    "multiproofs": VectorFile(
        transactions.multiproofs,
        "Proofs for several leaves of a tree, apart from transactions.",
        "size: leaves of the tree; shown: position and leaf hash; proof: hashes",
        "root",
    ),
    "tearoffs": VectorFile(
        tearoffs.tearoffs,
        "Encodings of a tear-off, and the id they lead to. Components are not decoded here.",
        "hex",
        "id; counts; complete: names of the groups; shown: every leaf but the header",
    ),
    "structures": VectorFile(
        tearoffs.structures,
        "Checks 1, 2, 3 and 7 of verification: complete groups, strict components, no state or "
        "label twice, no output without its lock.",
        "hex: the encoding of a tear-off",
        "id; complete: names of the groups",
    ),
    "locks": VectorFile(
        spending.locks,
        "A lock made from a secret.",
        "secret, label",
        "seed, public_key: of the one-time key; salt; policy: encoding; policy_digest; lock: "
        "encoding",
    ),
    "nullifiers": VectorFile(
        spending.nullifiers,
        "Whether this is the nullifier of that state.",
        "salt; transaction, index: the state; nullifier: as claimed",
        "nullifier",
    ),
    "openings": VectorFile(
        spending.openings,
        "Openings to spend and to refer, against the state they are for.",
        "kind: spend or refer; transaction, index: the state; hex: encoding of the opening",
        "at; label; policy_digest; nullifier: of the state, were it spent",
    ),
    "signatures": VectorFile(
        signatures.signatures,
        "Signatures by Ed25519 keys, of three kinds.",
        "kind: transaction, evidence or lock; network; over: transaction id or body; hex: encoding",
        "key; digest: what is signed",
    ),
    "requests": VectorFile(
        messages.requests,
        "Requests to a notary: tear-off, openings and lock signatures together.",
        "hex: encoding of notarise/1; network",
        "transaction; nullifiers: of the inputs, in order",
    ),
    "messages": VectorFile(
        messages.messages,
        "Structs that travel, read for their shape: no signature, id or receipt is checked.",
        "hex",
        "tag; value: as in encodings.json",
    ),
    "entries": VectorFile(
        receipts.entries,
        "Lines of a notary's log.",
        "hex",
        "transaction; time: ms; nullifiers; extra: for a receipt; leaf_hash",
    ),
    "receipts": VectorFile(
        receipts.receipts,
        "Receipts, against one log key and one cosigner, both required.",
        "text; transaction; origin: of the log; log, cosigner: C2SP verifier keys",
        "index; size; root; time: ms; nullifiers; cosigned_at: seconds",
    ),
    "liveness": VectorFile(
        receipts.liveness,
        "Encodings of is-live/1, against the log's key.",
        "hex; log_key: Ed25519",
        'the fields of liveness/1; digest: H("liveness", body)',
    ),
    "readings": VectorFile(
        readings.readings,
        "Reported entries of a reading log, with their proofs, against its organisation and key.",
        "hex: encoding of reported/1; organisation: its name; log_key: Ed25519",
        "chain, number, previous, restored: of the entry; digest; index, origin, size, root: of "
        "the log that holds it",
    ),
    "heads": VectorFile(
        readings.heads,
        "Daily heads of a chain of a reading log, against network, organisation and key.",
        "hex: encoding of signed-head/1; network; organisation: its name; log_key: Ed25519",
        "chain, number, digest, day, at, restored",
    ),
}


class Unexpected(Exception):
    """The second implementation does not do with a case what its author meant it to show."""


def vectors(file: str) -> Iterable[Object]:
    """Every case of a file with its outcome.

    Raises:
        Unexpected: a case meant to pass is refused, or the reverse, or by another clause.
    """
    names = set()
    for case in FILES[file].cases():
        outcome = evaluate(file, case.given)
        refused = outcome["outcome"] == "refused"
        by_clause = not refused or outcome["clause"] == case.clause
        if refused != case.refused or not by_clause or case.name in names:
            raise Unexpected(f"{file}: {case.name}: {outcome}")
        names.add(case.name)
        note: Object = {} if case.note is None else {"note": case.note}
        yield {"name": case.name, "clause": case.clause, **note, "input": case.given} | outcome


def text(file: str) -> str:
    """A vector file, of one spelling."""
    written = FILES[file]
    whole: Object = {
        "about": written.about,
        "input": written.input,
        "expected": written.expected,
        "vectors": list(vectors(file)),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path) -> None:
    for file in FILES:
        (folder / f"{file}.json").write_text(text(file), encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
