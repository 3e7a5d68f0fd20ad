"""Clinical codes that reveal something sensitive, and what: a short list, to be reviewed before anybody relies on it.

Each row names the vocabulary, and the part of it, that gives its codes their meaning. Check digits of LOINC and SNOMED
CT are tested; the meanings have not been compared with a release. A hierarchy whose codes spell it (ICD-10, ATC) is
listed by prefix; SNOMED CT, LOINC and RxNorm only code by code, and so with gaps: their full value sets need a
terminology server. Labels are v3-ActCode's (`SENSITIVITIES`): SUD is what 42 CFR Part 2 protects, which leaves
tobacco out.
"""

from dataclasses import dataclass
from typing import Literal

from states.subjects.codes import Sensitivity

Vocabulary = Literal["ATC", "CVX", "ICD-10", "LOINC", "RxNorm", "SNOMED CT"]

VOCABULARIES: dict[str, Vocabulary] = {
    "http://fhir.de/CodeSystem/bfarm/atc": "ATC",
    "http://www.whocc.no/atc": "ATC",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD-10",
    "http://hl7.org/fhir/sid/icd-10": "ICD-10",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10",
    "urn:oid:2.16.840.1.113883.6.3": "ICD-10",
    "urn:oid:2.16.840.1.113883.6.90": "ICD-10",
    "http://loinc.org": "LOINC",
    "urn:oid:2.16.840.1.113883.6.1": "LOINC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "urn:oid:2.16.840.1.113883.6.88": "RxNorm",
    "http://snomed.info/sct": "SNOMED CT",
    "urn:oid:2.16.840.1.113883.6.96": "SNOMED CT",
}
"""URI of a code system as HL7 registers it, to the table that judges its codes."""

BY_PREFIX: tuple[Vocabulary, ...] = ("ATC", "ICD-10")


@dataclass(frozen=True, slots=True)
class SensitiveCodes:
    """A row: codes (prefixes without a dot, where the vocabulary is read so), labels, and who says what they mean."""

    vocabulary: Vocabulary
    codes: str
    labels: tuple[Sensitivity, ...]
    source: str


_ICD_V = "ICD-10 and ICD-10-CM chapter V"
_ICD_I = "ICD-10 and ICD-10-CM chapter I"
_ICD_XIX = "ICD-10 and ICD-10-CM chapters XIX, XX"
_ICD_XXI = "ICD-10 and ICD-10-CM chapter XXI"
_ATC = "WHO ATC index"
_LOINC = "LOINC, component and document names"
_SNOMED = "SNOMED CT international edition, concept's fully specified name"
_RXNORM = "RxNorm, ingredient (TTY=IN)"

SENSITIVE_CODES: tuple[SensitiveCodes, ...] = (
    SensitiveCodes(
        "ICD-10",
        "F0",
        ("MH",),
        _ICD_V + ": organic mental disorders",
    ),
    SensitiveCodes(
        "ICD-10",
        "F10",
        ("ETHUD",),
        _ICD_V + ": alcohol; 42 CFR 2.11",
    ),
    SensitiveCodes(
        "ICD-10",
        "F11",
        ("OPIOIDUD",),
        _ICD_V + ": opioids; 42 CFR 2.11",
    ),
    SensitiveCodes(
        "ICD-10",
        "F12 F13 F14 F15 F16 F18 F19",
        ("ETH", "SUD"),
        _ICD_V + ": substances; 42 CFR 2.11",
    ),
    SensitiveCodes(
        "ICD-10",
        "F2 F3 F4 F5 F60 F61 F62 F63 F68 F69",
        ("MH", "PSY"),
        _ICD_V + ": psychiatric disorders",
    ),
    SensitiveCodes(
        "ICD-10",
        "F64 F65 F66",
        ("MH", "PSY", "SEX"),
        _ICD_V + ": gender identity, sexual preference",
    ),
    SensitiveCodes(
        "ICD-10",
        "F52",
        ("SEX",),
        _ICD_V + ": sexual dysfunction",
    ),
    SensitiveCodes(
        "ICD-10",
        "F7",
        ("COGN",),
        _ICD_V + ": intellectual disability",
    ),
    SensitiveCodes(
        "ICD-10",
        "F8",
        ("DVD",),
        _ICD_V + ": developmental disorders",
    ),
    SensitiveCodes(
        "ICD-10",
        "F9",
        ("EMOTDIS", "MH", "PSY"),
        _ICD_V + ": disorders with onset in childhood",
    ),
    SensitiveCodes(
        "ICD-10",
        "X6 X7 X80 X81 X82 X83 X84 T1491 R45851",
        ("MH", "PSY"),
        _ICD_XIX + ": self-harm",
    ),
    SensitiveCodes(
        "ICD-10",
        "B20 B21 B22 B23 B24 B9735 R75",
        ("HIV",),
        _ICD_I + ": HIV disease; R75 in XVIII",
    ),
    SensitiveCodes(
        "ICD-10",
        "O987 Z114 Z206 Z21 Z717",
        ("HIV",),
        _ICD_XXI + ": HIV status, contact, counselling; O98.7",
    ),
    SensitiveCodes(
        "ICD-10",
        "A5 A60 A61 A62 A63 A64",
        ("STD",),
        _ICD_I + ": sexually transmitted infections",
    ),
    SensitiveCodes(
        "ICD-10",
        "Z113 Z202",
        ("STD",),
        _ICD_XXI + ": screening for and contact with these",
    ),
    SensitiveCodes(
        "ICD-10",
        "T74 T76 Y05 Y06 Y07",
        ("SDV",),
        _ICD_XIX + ": abuse, sexual assault",
    ),
    SensitiveCodes(
        "ICD-10",
        "Z044 Z69 Z6281 Z9141",
        ("SDV",),
        _ICD_XXI + ": examination and care after these",
    ),
    SensitiveCodes(
        "ICD-10",
        "D57",
        ("SCA",),
        "ICD-10 chapter III: sickle-cell disorders",
    ),
    SensitiveCodes(
        "ICD-10",
        "O Z3 N97 N46",
        ("SEX",),
        "ICD-10 chapters XV, XXI, XIV: pregnancy, contraception, fertility",
    ),
    SensitiveCodes(
        "ICD-10",
        "Q9 Z14 Z15 E84 G10 D66 D67",
        ("GDIS",),
        "ICD-10 chapters XVII, XXI, IV, VI, III: hereditary disease",
    ),
    SensitiveCodes(
        "ATC",
        "N05A N06A",
        ("MH", "PSY"),
        _ATC + ": antipsychotics, antidepressants",
    ),
    SensitiveCodes(
        "ATC",
        "N07BB",
        ("ETHUD",),
        _ATC + ": drugs used in alcohol dependence",
    ),
    SensitiveCodes(
        "ATC",
        "N07BC",
        ("OPIOIDUD",),
        _ATC + ": drugs used in opioid dependence",
    ),
    SensitiveCodes(
        "ATC",
        "J05AR J05AJ J05AG",
        ("HIV",),
        _ATC + ": antivirals against HIV",
    ),
    SensitiveCodes(
        "ATC",
        "G03A G02BB",
        ("SEX",),
        _ATC + ": contraceptives",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "86406008 62479008 91947003 165816005 31676001",
        ("HIV",),
        _SNOMED + ": HIV infection, AIDS, HIV positive, HIV antigen test",
    ),
    SensitiveCodes(
        "SNOMED CT",
        (
            "35489007 370143000 36923009 66344007 58214004 13746004 197480006 "
            "21897009 47505003 191736004 371631005 74732009 69322001 72366004 "
            "56882008 6471006 82313006"
        ),
        ("MH", "PSY"),
        _SNOMED + ": psychiatric disorders, suicidal thoughts, attempt",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "406506008 192127007",
        ("EMOTDIS", "MH", "PSY"),
        _SNOMED + ": attention deficit disorder",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "736254008 718347000 88848003 79094001 171207006 715252007 385892002",
        ("MH", "PSY"),
        _SNOMED + ": psychiatric care plan, follow-up, interview, screening",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "76168009",
        ("MH", "PSY", "PSYTHPN"),
        _SNOMED + ": group psychotherapy",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "52448006 26929004",
        ("COGN", "MH"),
        _SNOMED + ": dementia, Alzheimer's disease",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "35919005 408856003",
        ("DVD",),
        _SNOMED + ": pervasive developmental disorder, autism",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "7200002 66590003 15167005",
        ("ETHUD",),
        _SNOMED + ": alcoholism, dependence, abuse",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "75544000 5602001",
        ("OPIOIDUD",),
        _SNOMED + ": opioid dependence, abuse",
    ),
    SensitiveCodes(
        "SNOMED CT",
        ("191816009 26416006 6525002 37344009 85005007 78267003 31956009 55680006"),
        ("ETH", "SUD"),
        _SNOMED + ": drug dependence and abuse, overdose",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "706893006",
        ("SDV",),
        _SNOMED + ": victim of intimate partner abuse",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "417357006 127040003 16402000",
        ("SCA",),
        _SNOMED + ": sickle-cell disorder, disease, trait",
    ),
    SensitiveCodes(
        "SNOMED CT",
        "8098009 76272004 15628003 105629000",
        ("STD",),
        _SNOMED + ": sexually transmitted infections",
    ),
    SensitiveCodes(
        "SNOMED CT",
        ("77386006 72892002 714812005 386394001 10383002 252160004 169553002 301807007 65200003"),
        ("SEX",),
        _SNOMED + ": pregnancy, its termination, contraception",
    ),
    SensitiveCodes(
        "LOINC",
        "75622-1 7917-8 29893-5 20447-9 25836-8 56888-1 68961-2",
        ("HIV",),
        _LOINC + ": HIV antibody, antigen, RNA",
    ),
    SensitiveCodes(
        "LOINC",
        (
            "44249-1 44261-6 44250-9 44255-8 44259-0 44254-1 44251-7 44258-2 "
            "44252-5 44253-3 44260-8 55758-7 69737-5 70274-6 73831-0 73832-8"
        ),
        ("MH", "PSY"),
        _LOINC + ": PHQ-9, PHQ-2, GAD-7, depression screening",
    ),
    SensitiveCodes(
        "LOINC",
        "34788-0 75443-2 84215-3",
        ("MH", "PSY"),
        _LOINC + ": psychiatry and mental health notes",
    ),
    SensitiveCodes(
        "LOINC",
        "72109-2 75626-2 11331-6 74013-4 5643-2 5640-8",
        ("ETHUD",),
        _LOINC + ": AUDIT-C, alcohol use, ethanol",
    ),
    SensitiveCodes(
        "LOINC",
        "82667-7",
        ("ETH", "SUD"),
        _LOINC + ": DAST-10",
    ),
    SensitiveCodes(
        "LOINC",
        "76500-8 76501-6 76502-4 76503-2",
        ("SDV",),
        _LOINC + ": HARK questions on a partner's violence",
    ),
    SensitiveCodes(
        "LOINC",
        "82810-3 11778-8 2106-3 2118-8 11996-6 11640-0 76690-7 76691-5",
        ("SEX",),
        _LOINC + ": pregnancy, births, orientation, gender identity",
    ),
    SensitiveCodes(
        "LOINC",
        "48018-6 51969-4 81252-9 69548-6",
        ("GDIS",),
        _LOINC + ": gene studied, genetic report, variant",
    ),
    SensitiveCodes(
        "RxNorm",
        ("36437 4493 2556 321988 39786 15996 51272 61381 35636 89013 5093 2626 6448"),
        ("MH", "PSY"),
        _RXNORM + ": antidepressants, antipsychotics, lithium",
    ),
    SensitiveCodes(
        "RxNorm",
        "6813 1819 7243",
        ("OPIOIDUD",),
        _RXNORM + ": methadone, buprenorphine, naltrexone",
    ),
    SensitiveCodes(
        "RxNorm",
        "3554 82819",
        ("ETHUD",),
        _RXNORM + ": disulfiram, acamprosate",
    ),
    SensitiveCodes(
        "RxNorm",
        "195085 276237 322248 719872 1433868",
        ("HIV",),
        _RXNORM + ": efavirenz, emtricitabine, tenofovir, raltegravir, dolutegravir",
    ),
)
