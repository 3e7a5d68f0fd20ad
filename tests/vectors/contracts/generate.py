"""Writes the corpora of the contracts: the checks of tests/contracts, as bytes that anybody can replay.

`python -m tests.vectors.contracts.generate` writes them and pins their hashes in the contracts' modules. Everything is
seeded, so the same tests give the same bytes; a changed clause or test gives a contract with another identity.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from states.contract import Contract
from states.encoding import encode
from tests.contracts import (
    test_consent,
    test_disclosure,
    test_notary_change,
    test_record,
    test_restriction,
)
from tests.contracts.cast import CONTRACTS, DIRECTORY, PARAMETERS
from tests.contracts.ledger_dsl import Checked, recording

FOLDER = Path(__file__).parent

MODULES: dict[str, ModuleType] = {
    "consent/1": test_consent,
    "disclosure/1": test_disclosure,
    "notary-change/1": test_notary_change,
    "record/1": test_record,
    "restriction/1": test_restriction,
}


def path_of(contract: str) -> Path:
    return FOLDER / (contract.partition("/")[0] + ".json")


def checks_of(contract: str) -> Iterator[tuple[str, Checked]]:
    """Run the tests of a contract; give (claim, check) for each check of that contract, in order."""
    for name, test in vars(MODULES[contract]).items():
        # A test with arguments is a table over others' claims; the corpus keeps the plain ones.
        if not name.startswith("test_") or not inspect.isfunction(test):
            continue
        if inspect.signature(test).parameters:
            continue
        with recording() as checks:
            test()
        claim = name.removeprefix("test_").replace("_", " ")
        yield from ((claim, check) for check in checks if check.contract == contract)


def corpus_of(contract: str) -> bytes:
    """Return the corpus file of a contract: a line of JSON a case."""
    keys = {
        party: sorted(encode(key).hex() for key in keys) for party, keys in DIRECTORY.keys.items()
    }
    head = {
        "contract": contract,
        "parameters": encode(PARAMETERS).hex(),
        "identity keys": keys,
    }
    cases = [json.dumps(_case(claim, check)) for claim, check in checks_of(contract)]
    body = ",\n".join(cases)
    return (json.dumps(head)[:-1] + ', "cases": [\n' + body + "\n]}\n").encode("ascii")


def _case(claim: str, check: Checked) -> dict[str, object]:
    return {
        "claim": claim,
        "transaction": encode(check.transaction).hex(),
        "states": [[encode(ref).hex(), encode(state).hex()] for ref, state in check.states],
        "every input held": check.held,
        "refused with": check.error,
        "clause": check.rule,
    }


def pin(contract: Contract, corpus: bytes) -> None:
    """Write the hash of a corpus into the module of its contract."""
    module = sys.modules[type(contract).__module__].__file__
    assert module is not None, "contracts live in files"
    text = Path(module).read_text("utf-8")
    line = f'CORPUS = bytes.fromhex("{sha256(corpus).hexdigest()}")'
    Path(module).write_text(
        re.sub(r'^CORPUS = bytes\.fromhex\("[0-9a-f]*"\)$', line, text, flags=re.MULTILINE), "utf-8"
    )


def main() -> None:
    for name in MODULES:
        corpus = corpus_of(name)
        path_of(name).write_bytes(corpus)
        pin(CONTRACTS.named(name), corpus)


if __name__ == "__main__":
    main()
