"""The corpora are what the tests say, every clause is broken in them, and the code names their hashes.

A corpus is replayed from its file alone: no part of the ledger DSL takes part in that.
"""

import json
from collections.abc import Iterator
from hashlib import sha256

import msgspec
import pytest

from states.contract import Contract, Contracts, Subject
from states.crypto.keys import Key
from states.encoding import Codec
from states.errors import LedgerError, RuleBroken
from states.identity import Party
from states.parameters import PARAMETERS, ParametersHistory, parameters_id
from states.signed import SIGNED_TRANSACTION
from states.state import STATE_REF, TRANSACTION_STATE
from states.subjects.consent import ConsentContract
from states.subjects.disclosure import DisclosureContract
from states.subjects.notary_change import with_notary_change
from states.subjects.record import RecordContract
from states.subjects.restriction import RestrictionContract
from states.verifier import Verifier
from tests.contracts.cast import NO_CORPUS, Keys
from tests.vectors.contracts.generate import MODULES, corpus_of, path_of

SHIPPED = {
    contract.name: contract
    for contract in with_notary_change(
        [RecordContract(), ConsentContract(), RestrictionContract(), DisclosureContract()]
    )
}


class Case(msgspec.Struct, rename={"held": "every input held", "error": "refused with"}):
    claim: str
    transaction: str
    states: list[tuple[str, str]]
    held: bool
    error: str | None
    clause: str | None


class Corpus(msgspec.Struct, rename={"keys": "identity keys"}):
    contract: str
    parameters: str
    keys: dict[Party, list[str]]
    cases: list[Case]


def read(name: str) -> Corpus:
    return msgspec.json.decode(path_of(name).read_bytes(), type=Corpus)


def verifier_of(corpus: Corpus) -> Verifier:
    body = bytes.fromhex(corpus.parameters)
    history = ParametersHistory([(parameters_id(body), PARAMETERS.decode(body))])
    key = Codec(Key, "key")
    keys = {
        party: frozenset(key.decode(bytes.fromhex(one)) for one in theirs)
        for party, theirs in corpus.keys.items()
    }
    subjects: list[Subject] = [
        RecordContract(NO_CORPUS),
        ConsentContract(NO_CORPUS),
        RestrictionContract(NO_CORPUS),
        DisclosureContract(NO_CORPUS),
    ]
    return Verifier(history, Contracts(with_notary_change(subjects, NO_CORPUS)), Keys(keys))


def outcome(verifier: Verifier, case: Case) -> tuple[str | None, str | None]:
    """(error, clause) of a case as the verifier sees it now."""
    held = {
        STATE_REF.decode(bytes.fromhex(ref)): TRANSACTION_STATE.decode(bytes.fromhex(state))
        for ref, state in case.states
    }
    transaction = SIGNED_TRANSACTION.decode(bytes.fromhex(case.transaction))
    try:
        verifier.check(transaction, held.get, held=case.held)
    except RuleBroken as refused:
        return type(refused).__name__, refused.rule.name
    except LedgerError as refused:
        return type(refused).__name__, None
    return None, None


def each_case() -> Iterator[tuple[str, Verifier, Case]]:
    for name in MODULES:
        corpus = read(name)
        verifier = verifier_of(corpus)
        yield from ((name, verifier, case) for case in corpus.cases)


def test_every_contract_has_a_corpus() -> None:
    assert set(SHIPPED) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_corpus_is_what_the_tests_say(name: str) -> None:
    assert path_of(name).read_bytes() == corpus_of(name), (
        "run python -m tests.vectors.contracts.generate"
    )


@pytest.mark.parametrize("contract", SHIPPED.values(), ids=SHIPPED)
def test_a_contract_names_the_hash_of_its_corpus(contract: Contract) -> None:
    assert sha256(path_of(contract.name).read_bytes()).digest() == contract.corpus


@pytest.mark.parametrize("contract", SHIPPED.values(), ids=SHIPPED)
def test_every_clause_is_broken_by_a_case_of_its_own(contract: Contract) -> None:
    cases = read(contract.name).cases
    assert {case.clause for case in cases if case.clause} == set(contract.rules.__members__)
    assert any(case.error is None for case in cases), "and something is accepted"


def test_every_case_of_every_corpus_comes_out_as_it_says() -> None:
    seen = 0
    for name, verifier, case in each_case():
        assert outcome(verifier, case) == (case.error, case.clause), f"{name}: {case.claim}"
        seen += 1
    assert seen > 200


def test_a_corpus_is_ascii_json_with_a_line_for_each_case() -> None:
    for name in MODULES:
        lines = path_of(name).read_bytes().decode("ascii").splitlines()
        assert len(lines) == len(read(name).cases) + 2
        json.loads(lines[1].rstrip(","))
