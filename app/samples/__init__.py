"""Five invented patients, as FHIR R4 bundles of the organisations that keep their records.

Nobody in them lives, and nothing is taken from another data set. Each patient has canaries: text so odd that finding
it anywhere but at its keeper is a leak, whatever found it.
"""

from dataclasses import dataclass
from importlib.resources import files

MERCY_HOSPITAL = "Mercy Hospital"
RIVERSIDE_HOSPITAL = "Riverside Hospital"
NORTHSIDE_LABORATORY = "Northside Laboratory"


@dataclass(frozen=True, slots=True)
class SampleBundle:
    """A transaction bundle, and the organisation that keeps what is in it."""

    organisation: str
    file: str

    def read(self) -> bytes:
        return files(__name__).joinpath(self.file).read_bytes()


@dataclass(frozen=True, slots=True)
class SamplePatient:
    """A patient: her bundles, one an organisation, each under a medical record number of its own.

    `family` is in every bundle. `remark` is in the text of one record, as it stands. `note` begins the attachment of
    a DocumentReference, so that its base64 (`base64.b64encode(note)`, but for the end) can be searched for, too.
    """

    given: str
    family: str
    remark: str
    note: str
    bundles: tuple[SampleBundle, ...]

    @property
    def canaries(self) -> tuple[str, ...]:
        return (self.family, self.remark, self.note)


ADA = SamplePatient(
    "Ada",
    "Quillfeather",
    "She keeps her glucose diary in a tin shaped like a heron.",
    "Ada Quillfeather says the lighthouse stairs no longer frighten her knees.",
    (
        SampleBundle(MERCY_HOSPITAL, "ada-mercy-hospital.json"),
        SampleBundle(NORTHSIDE_LABORATORY, "ada-northside-laboratory.json"),
    ),
)
"""Type 2 diabetes: HbA1c over a year, at laboratory and hospital; metformin, a penicillin allergy."""

BRUNO = SamplePatient(
    "Bruno",
    "Thistlewick",
    "He calls the bad mornings the slate-roof weather.",
    "Bruno Thistlewick dreamed that the clockmaker owed him eleven gulls.",
    (
        SampleBundle(RIVERSIDE_HOSPITAL, "bruno-riverside-hospital.json"),
        SampleBundle(NORTHSIDE_LABORATORY, "bruno-northside-laboratory.json"),
    ),
)
"""Depression and alcohol in remission: PSY, ETHUD, HIV, and one note that is V and SDV by its author."""

CLARA = SamplePatient(
    "Clara",
    "Marrowgold",
    "First child; she has already named it after a comet.",
    "Clara Marrowgold brought a jar of quince jam for whoever finds the heartbeat.",
    (
        SampleBundle(MERCY_HOSPITAL, "clara-mercy-hospital.json"),
        SampleBundle(NORTHSIDE_LABORATORY, "clara-northside-laboratory.json"),
    ),
)
"""A pregnancy: SEX, and iron deficiency found on the way."""

DOMINIC = SamplePatient(
    "Dominic",
    "Ferrisholt",
    "Measures his pressure aboard a moored ferry; he trusts no kitchen.",
    "Dominic Ferrisholt insists that the barometer reads him, not the weather.",
    (SampleBundle(RIVERSIDE_HOSPITAL, "dominic-riverside-hospital.json"),),
)
"""Hypertension: five visits with vital signs, an ECG and an echocardiogram."""

EMIL = SamplePatient(
    "Emil",
    "Bramblecote",
    "The biscuit came from a puppet theatre called The Owl in Slippers.",
    "Emil Bramblecote counted to nineteen and then declared the rest was mostly ducks.",
    (SampleBundle(MERCY_HOSPITAL, "emil-mercy-hospital.json"),),
)
"""A child: growth, eleven immunizations, a peanut allergy."""

SAMPLE_PATIENTS = (ADA, BRUNO, CLARA, DOMINIC, EMIL)
CANARIES = tuple(canary for patient in SAMPLE_PATIENTS for canary in patient.canaries)
