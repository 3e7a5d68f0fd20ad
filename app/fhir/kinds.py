"""The resource types that are read: where each says whose it is, what it is about, and when it was.

Names and elements are those of FHIR R4 (4.0.1), https://hl7.org/fhir/R4/. A type outside this table is refused.
"""

from dataclasses import dataclass

from states.subjects.codes import Category


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type. Elements are tried in their order.

    `patient`: references to the patient. `code`: CodeableConcepts that say what it is about. `day`: the clinical
    day before that of writing. `prose`: what it says is text that no code table can judge.
    """

    category: Category
    patient: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    day: tuple[str, ...] = ()
    prose: bool = False


_SUBJECT = ("subject",)
_PATIENT = ("patient",)
_CODE = ("code",)
_MEDICATION = ("medicationCodeableConcept",)
_EFFECTIVE = ("effectiveDateTime", "effectivePeriod")
_OCCURRENCE = ("occurrenceDateTime", "occurrencePeriod", "occurrenceTiming")
_CREATED = ("created",)

KINDS: dict[str, Kind] = {
    "AdverseEvent": Kind("condition", _SUBJECT, ("event",), ("date", "detected", "recordedDate")),
    "AllergyIntolerance": Kind(
        "allergy", _PATIENT, _CODE, ("onsetDateTime", "onsetPeriod", "recordedDate")
    ),
    "Appointment": Kind("encounter", (), ("serviceType", "appointmentType"), ("start", *_CREATED)),
    "Basic": Kind("document", _SUBJECT, _CODE, _CREATED, prose=True),
    "Binary": Kind("document", prose=True),
    "BodyStructure": Kind("condition", _PATIENT, ("location",)),
    "CarePlan": Kind("plan", _SUBJECT, ("category",), ("period", *_CREATED), prose=True),
    "CareTeam": Kind("plan", _SUBJECT, ("category",), ("period",)),
    "Claim": Kind("administrative", _PATIENT, ("type",), ("billablePeriod", *_CREATED)),
    "ClaimResponse": Kind("administrative", _PATIENT, ("type",), _CREATED),
    "ClinicalImpression": Kind(
        "note", _SUBJECT, _CODE, (*_EFFECTIVE, "date"), prose=True
    ),
    "Communication": Kind("note", _SUBJECT, ("topic", "category"), ("sent", "received"), prose=True),
    "CommunicationRequest": Kind(
        "note", _SUBJECT, ("category",), ("occurrenceDateTime", "authoredOn"), prose=True
    ),
    "Composition": Kind("document", _SUBJECT, ("type",), ("date",), prose=True),
    "Condition": Kind(
        "condition", _SUBJECT, _CODE, ("onsetDateTime", "onsetPeriod", "recordedDate")
    ),
    "Consent": Kind("administrative", _PATIENT, ("scope",), ("dateTime",), prose=True),
    "Coverage": Kind("administrative", ("beneficiary",), ("type",), ("period",)),
    "DetectedIssue": Kind(
        "condition", _PATIENT, _CODE, ("identifiedDateTime", "identifiedPeriod"), prose=True
    ),
    "Device": Kind("procedure", _PATIENT, ("type",), ("manufactureDate",)),
    "DeviceRequest": Kind(
        "plan", _SUBJECT, ("codeCodeableConcept",), (*_OCCURRENCE, "authoredOn")
    ),
    "DeviceUseStatement": Kind(
        "procedure", _SUBJECT, (), ("timingDateTime", "timingPeriod", "recordedOn")
    ),
    "DiagnosticReport": Kind("document", _SUBJECT, _CODE, (*_EFFECTIVE, "issued")),
    "DocumentManifest": Kind("document", _SUBJECT, ("type",), _CREATED, prose=True),
    "DocumentReference": Kind("document", _SUBJECT, ("type", "category"), ("date",), prose=True),
    "Encounter": Kind("encounter", _SUBJECT, ("type", "class"), ("period",)),
    "EpisodeOfCare": Kind("encounter", _PATIENT, ("type",), ("period",)),
    "ExplanationOfBenefit": Kind(
        "administrative", _PATIENT, ("type",), ("billablePeriod", *_CREATED)
    ),
    "FamilyMemberHistory": Kind("condition", _PATIENT, (), ("date",)),
    "Flag": Kind("condition", _SUBJECT, _CODE, ("period",)),
    "Goal": Kind("plan", _SUBJECT, ("description",), ("startDate", "statusDate")),
    "ImagingStudy": Kind("imaging", _SUBJECT, ("procedureCode",), ("started",)),
    "Immunization": Kind(
        "immunization", _PATIENT, ("vaccineCode",), ("occurrenceDateTime", "recorded")
    ),
    "ImmunizationEvaluation": Kind("immunization", _PATIENT, ("targetDisease",), ("date",)),
    "ImmunizationRecommendation": Kind("immunization", _PATIENT, (), ("date",)),
    "List": Kind("document", _SUBJECT, _CODE, ("date",), prose=True),
    "Location": Kind("administrative", (), ("type",)),
    "Media": Kind("imaging", _SUBJECT, ("type",), ("createdDateTime", "createdPeriod", "issued"), prose=True),
    "Medication": Kind("medication", (), _CODE),
    "MedicationAdministration": Kind("medication", _SUBJECT, _MEDICATION, _EFFECTIVE),
    "MedicationDispense": Kind(
        "medication", _SUBJECT, _MEDICATION, ("whenHandedOver", "whenPrepared")
    ),
    "MedicationRequest": Kind("medication", _SUBJECT, _MEDICATION, ("authoredOn",)),
    "MedicationStatement": Kind(
        "medication", _SUBJECT, _MEDICATION, (*_EFFECTIVE, "dateAsserted")
    ),
    "MolecularSequence": Kind("genetics", _PATIENT),
    "NutritionOrder": Kind("plan", _PATIENT, (), ("dateTime",)),
    "Observation": Kind(
        "document", _SUBJECT, _CODE, (*_EFFECTIVE, "effectiveInstant", "effectiveTiming", "issued")
    ),
    "Organization": Kind("administrative", (), ("type",)),
    "Patient": Kind("administrative"),
    "Practitioner": Kind("administrative"),
    "PractitionerRole": Kind("administrative", (), _CODE),
    "Procedure": Kind("procedure", _SUBJECT, _CODE, ("performedDateTime", "performedPeriod")),
    "Provenance": Kind("administrative", ("target",), ("activity",), ("occurredDateTime", "recorded")),
    "QuestionnaireResponse": Kind("document", _SUBJECT, (), ("authored",), prose=True),
    "RelatedPerson": Kind("administrative", _PATIENT, ("relationship",), ("period",)),
    "RequestGroup": Kind("plan", _SUBJECT, _CODE, ("authoredOn",), prose=True),
    "RiskAssessment": Kind("condition", _SUBJECT, _CODE, _OCCURRENCE, prose=True),
    "Schedule": Kind("administrative", (), ("serviceType",), ("planningHorizon",)),
    "ServiceRequest": Kind("plan", _SUBJECT, _CODE, (*_OCCURRENCE, "authoredOn")),
    "Slot": Kind("administrative", (), ("serviceType",), ("start",)),
    "Specimen": Kind("laboratory", _SUBJECT, ("type",), ("receivedTime",)),
    "SupplyDelivery": Kind("procedure", _PATIENT, ("type",), _OCCURRENCE),
    "Task": Kind("administrative", ("for",), _CODE, ("authoredOn",), prose=True),
    "VisionPrescription": Kind("plan", _PATIENT, (), ("dateWritten", *_CREATED)),
}  # fmt: skip
