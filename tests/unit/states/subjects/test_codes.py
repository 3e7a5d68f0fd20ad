"""Codes cover what is beneath them and nothing above; the lists are closed and free of cycles.

The expected relations are those of v3-ActReason and v3-ActCode, written out here by hand.
"""

import pytest

from states.subjects.codes import (
    CATEGORIES,
    CONFIDENTIALITIES,
    LABELS,
    PURPOSE_PARENT,
    PURPOSES,
    SENSITIVITIES,
    Purpose,
    Sensitivity,
    purpose_covers,
    require_sorted,
    sensitivity_covers,
)

ROOTS = {"TREAT", "HPAYMT", "HRESCH", "PATRQT", "PUBHLTH", "HOPERAT", "HMARKT"}


def test_every_purpose_leads_to_one_of_seven_roots() -> None:
    for purpose in PURPOSES:
        assert (
            len([root for root in PURPOSES if root in ROOTS and purpose_covers(root, purpose)]) == 1
        )
    assert {purpose for purpose in PURPOSES if purpose not in PURPOSE_PARENT} == ROOTS


@pytest.mark.parametrize(
    ("named", "declared"),
    [
        ("TREAT", "TREAT"),
        ("TREAT", "BTG"),
        ("ETREAT", "ERTREAT"),
        ("TREAT", "CLINTRL"),
        ("HRESCH", "CLINTRCHNPC"),
        ("HPAYMT", "ELIGVER"),
        ("HOPERAT", "METAMGT"),
        ("SYSDEV", "HTEST"),
    ],
)
def test_a_purpose_covers_what_is_beneath_it_and_never_the_other_way(
    named: Purpose, declared: Purpose
) -> None:
    assert purpose_covers(named, declared)
    assert named == declared or not purpose_covers(declared, named)


def test_a_clinical_trial_is_treatment_and_its_research_is_not() -> None:
    assert purpose_covers("TREAT", "CLINTRL")
    assert not purpose_covers("TREAT", "CLINTRCH")
    assert not purpose_covers("HRESCH", "CLINTRL")


@pytest.mark.parametrize(
    ("named", "found"),
    [("ETH", "OPIOIDUD"), ("SUD", "ETHUD"), ("BH", "OPIOIDUD"), ("BH", "PSY"), ("HIV", "HIV")],
)
def test_a_sensitivity_covers_what_either_source_puts_beneath_it(
    named: Sensitivity, found: Sensitivity
) -> None:
    assert sensitivity_covers(named, found)


def test_unrelated_sensitivities_do_not_cover_each_other() -> None:
    assert not sensitivity_covers("PSY", "HIV")
    assert not sensitivity_covers("ETHUD", "ETH")
    assert not sensitivity_covers("PSY", "BH")


def test_no_list_names_a_code_twice() -> None:
    for codes in (PURPOSES, CATEGORIES, CONFIDENTIALITIES, SENSITIVITIES, LABELS):
        assert len(set(codes)) == len(codes)
    assert CONFIDENTIALITIES == ("U", "L", "M", "N", "R", "V")


@pytest.mark.parametrize("codes", [("b", "a"), ("a", "a")])
def test_codes_out_of_order_or_twice_are_refused(codes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="labels are sorted"):
        require_sorted("labels", codes)
    require_sorted("labels", ("a", "b"))
