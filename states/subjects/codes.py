"""The codes that terms, records and disclosures speak in: closed lists, and what covers what.

Purposes are HL7 v3-ActReason 2018-08-12 with its is-a relation; confidentiality is v3-Confidentiality; sensitivity
labels and obligations are of v3-ActCode. Categories are Carecord's own: what a patient recognises, not what a
system stores. A list may grow only with a new version of every subject that uses it.
"""

import itertools
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import msgspec

Purpose = Literal[
    "TREAT", "CLINTRL", "COC", "POPHLTH", "ETREAT", "BTG", "ERTREAT",
    "HPAYMT", "CLMATTCH", "COVAUTH", "REMITADV", "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG",
    "HRESCH", "BIORCH", "DSRCH", "POARCH", "TRANSRCH", "CLINTRCH", "CLINTRCHPC", "CLINTRCHNPC", "PRECLINTRCH",
    "PATRQT", "FAMRQT", "PWATRNY", "SUPNWK",
    "PUBHLTH", "DISASTER", "THREAT",
    "HOPERAT", "CAREMGT", "DONAT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL",
    "HOUTCOMS", "HPRGRP", "HQUALIMP", "HSYSADMIN", "LABELING", "METAMGT", "MEMADMIN", "MILCDM", "PATADMIN",
    "PATSFTY", "PERFMSR", "RECORDMGT", "SYSDEV", "HTEST", "TRAIN",
    "HMARKT",
]  # fmt: skip
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

_PURPOSES_UNDER: dict[Purpose, tuple[Purpose, ...]] = {
    "TREAT": ("CLINTRL", "COC", "POPHLTH", "ETREAT"),
    "ETREAT": ("BTG", "ERTREAT"),
    "HPAYMT": ("CLMATTCH", "COVAUTH", "REMITADV", "COVERAGE"),
    "COVERAGE": ("ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG"),
    "HRESCH": ("BIORCH", "DSRCH", "POARCH", "TRANSRCH", "CLINTRCH"),
    "CLINTRCH": ("CLINTRCHPC", "CLINTRCHNPC", "PRECLINTRCH"),
    "PATRQT": ("FAMRQT", "PWATRNY", "SUPNWK"),
    "PUBHLTH": ("DISASTER", "THREAT"),
    "HOPERAT": (
        "CAREMGT", "DONAT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL",
        "HOUTCOMS", "HPRGRP", "HQUALIMP", "HSYSADMIN", "MEMADMIN", "MILCDM", "PATADMIN", "PATSFTY", "PERFMSR",
        "RECORDMGT", "SYSDEV", "TRAIN",
    ),
    "HSYSADMIN": ("LABELING", "METAMGT"),
    "SYSDEV": ("HTEST",),
}  # fmt: skip
PURPOSE_PARENT = {child: parent for parent, under in _PURPOSES_UNDER.items() for child in under}

Category = Literal[
    "administrative",
    "allergy",
    "condition",
    "document",
    "encounter",
    "genetics",
    "imaging",
    "immunization",
    "laboratory",
    "medication",
    "note",
    "plan",
    "procedure",
    "social-history",
    "vital-signs",
]
CATEGORIES: tuple[Category, ...] = get_args(Category)

Confidentiality = Literal["U", "L", "M", "N", "R", "V"]
CONFIDENTIALITIES: tuple[Confidentiality, ...] = get_args(Confidentiality)
"""From least to most restricted: their order is their meaning."""

Sensitivity = Literal[
    "BH", "COGN", "DVD", "EMOTDIS", "ETH", "ETHUD", "GDIS", "HIV", "MH", "OPIOIDUD", "PSY", "PSYTHPN", "SCA",
    "SDV", "SEX", "STD", "SUD",
]  # fmt: skip
SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)

SENSITIVITY_PARENTS: dict[Sensitivity, tuple[Sensitivity, ...]] = {
    "COGN": ("BH",),
    "DVD": ("BH",),
    "EMOTDIS": ("BH",),
    "MH": ("BH",),
    "PSY": ("BH",),
    "PSYTHPN": ("BH",),
    "SUD": ("BH",),
    "ETHUD": ("ETH", "SUD"),  # v3-ActCode puts it beneath SUD, IHE PCF beneath ETH: a denial of
    "OPIOIDUD": ("ETH", "SUD"),  # either must reach it
}

Label = Literal[
    "U", "L", "M", "N", "R", "V",
    "BH", "COGN", "DVD", "EMOTDIS", "ETH", "ETHUD", "GDIS", "HIV", "MH", "OPIOIDUD", "PSY", "PSYTHPN", "SCA",
    "SDV", "SEX", "STD", "SUD",
]  # fmt: skip
LABELS: tuple[Label, ...] = get_args(Label)
assert LABELS == CONFIDENTIALITIES + SENSITIVITIES, "a label is one or the other"

Obligation = Literal[
    "DELAU", "ENCRYPT", "MINEC", "NOINTEGRATE", "NOPERSISTP", "NORDSCLCD", "NOREUSE"
]
"""Delete after use, encrypt, minimum necessary, do not integrate, not beyond the purpose, do not disclose on."""
OBLIGATIONS: tuple[Obligation, ...] = get_args(Obligation)

Decision = Literal["permit", "deny"]

RoleCode = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[a-z][a-z-]*\Z")]
"""A person's role as the network's credential issuers name it: clinician, pharmacist, researcher."""

ROLES: tuple[str, ...] = (
    "clinician",
    "dentist",
    "dietitian",
    "laboratory-technician",
    "midwife",
    "nurse",
    "paramedic",
    "pharmacist",
    "physiotherapist",
    "psychologist",
    "researcher",
    "social-worker",
)
"""The roles that a node lets its users name, in a statement or in its staff directory.

Carecord's own names for occupations of ISCO-08: clinician is 221 (medical doctors), then 2261, 2265, 3212, 2222, 2221,
2240, 2262, 2264, 2634 and 2635; researcher is of FHIR R4's practitioner-role. They do not close `RoleCode`: what a
peer with a longer list has written stays readable, and a role that nobody has opens and closes nothing.
"""


def purpose_covers(named: Purpose, declared: Purpose) -> bool:
    """Whether a statement that names one purpose speaks of the other: itself and what is beneath it."""
    at: Purpose | None = declared
    while at is not None:
        if at == named:
            return True
        at = PURPOSE_PARENT.get(at)
    return False


def sensitivity_covers(named: Sensitivity, found: Sensitivity) -> bool:
    """Whether a statement that names one sensitivity speaks of the other."""
    parents = SENSITIVITY_PARENTS.get(found, ())
    return named == found or any(sensitivity_covers(named, parent) for parent in parents)


def require_sorted(what: str, codes: Sequence[str]) -> None:
    """Raise ValueError unless `codes` ascend and none is there twice: one set has one encoding."""
    if any(left >= right for left, right in itertools.pairwise(codes)):
        raise ValueError(f"{what} are sorted and none is there twice")
