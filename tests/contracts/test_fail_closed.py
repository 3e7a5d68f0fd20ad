"""No command of its own, no acceptance: each contract alone, against every command that is not for it."""

import pytest
from msgspec.structs import replace

from states.errors import RuleBroken
from states.ledger import LedgerCommand
from states.subjects.notary_change import NotaryChange
from tests.attack.bad_input import said
from tests.contracts.cast import CONTRACTS, OTHER_NOTARY
from tests.contracts.ledger_dsl import Draft
from tests.contracts.test_consent import AMEND as AMEND_CONSENT
from tests.contracts.test_consent import GRANT, REVOKE
from tests.contracts.test_disclosure import DISCLOSE
from tests.contracts.test_notary_change import ALL
from tests.contracts.test_record import AMEND, ERASE, PUBLISH, TRANSFER
from tests.contracts.test_restriction import AMEND as AMEND_RESTRICTION
from tests.contracts.test_restriction import CLOSE, LIFT

GOOD = (
    PUBLISH, AMEND, TRANSFER, ERASE, GRANT, AMEND_CONSENT, REVOKE, CLOSE, AMEND_RESTRICTION, LIFT, DISCLOSE,
    ALL,
)  # fmt: skip
EVERY_COMMAND = tuple(kind for c in CONTRACTS.by_name.values() for kind in c.commands)


@pytest.mark.parametrize("good", GOOD)
def test_a_contract_refuses_every_command_but_its_own(good: Draft) -> None:
    ledger = good.checked().ledger
    (own,) = ledger.commands
    for kind in EVERY_COMMAND:
        if kind in good.contract.commands or kind is NotaryChange:
            continue
        with pytest.raises(RuleBroken) as refusal:
            good.contract.verify(replace(ledger, commands=(LedgerCommand(kind(), own.signers),)))
        assert type(refusal.value.rule) is good.contract.rules
        said("clause", refusal.value)
    with pytest.raises(RuleBroken):
        good.contract.verify(replace(ledger, commands=()))


@pytest.mark.parametrize("good", GOOD)
def test_a_command_does_not_do_the_work_of_another(good: Draft) -> None:
    for kind in good.contract.commands:
        if kind is not NotaryChange and not isinstance(good.commands[0][0], kind):
            with pytest.raises(RuleBroken):
                good.commanding(kind(), *good.commands[0][1]).checked()


@pytest.mark.parametrize("good", GOOD[:-1])
def test_a_change_of_notary_does_not_do_the_work_of_a_command(good: Draft) -> None:
    to_other = good.commanding(NotaryChange(OTHER_NOTARY), *good.commands[0][1])
    with pytest.raises(RuleBroken):
        to_other.checked()


def test_every_command_of_every_contract_is_known() -> None:
    assert len(EVERY_COMMAND) == len(set(EVERY_COMMAND)) == 12
