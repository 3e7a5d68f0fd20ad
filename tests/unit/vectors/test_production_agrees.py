"""The ledger decides every golden vector as its specification's second implementation does."""

from collections.abc import Callable

import pytest

from states.errors import LedgerError
from tests.unit.vectors import production_checks as checks
from tests.unit.vectors import production_values as values
from tests.unit.vectors.test_second_implementation import vectors
from tests.vectors.second.fields import Object, as_object, text_of
from tests.vectors.second.generate import FILES

PRODUCTION: dict[str, Callable[[Object], Object]] = {
    "encodings": values.encoding,
    "digests": values.digest,
    "dids": values.did,
    "keys": values.key,
    "policies": values.policy,
    "headers": values.header,
    "components": checks.component,
    "transactions": values.transaction,
    "tearoffs": values.tearoff,
    "structures": checks.structure,
    "multiproofs": values.multiproof,
    "locks": values.lock,
    "nullifiers": values.nullifier_of,
    "openings": values.opening,
    "signatures": checks.signature,
    "requests": checks.request,
    "messages": checks.message,
    "entries": checks.entry,
    "receipts": checks.receipt,
    "liveness": checks.liveness,
    "readings": checks.reading,
    "heads": checks.head,
}


def test_every_file_of_vectors_is_put_to_the_ledger() -> None:
    assert set(PRODUCTION) == set(FILES)


@pytest.mark.parametrize(
    ("file", "vector"),
    [
        pytest.param(file, vector, id=f"{file}: {text_of(vector, 'name')}")
        for file in FILES
        for vector in vectors(file)
    ],
)
def test_the_ledger_decides_as_the_vector_says(file: str, vector: Object) -> None:
    given = as_object(vector["input"])
    if vector["outcome"] == "accepted":
        assert PRODUCTION[file](given) == vector["expected"]
    else:
        with pytest.raises((LedgerError, ValueError)):
            PRODUCTION[file](given)
