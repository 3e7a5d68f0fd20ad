"""FHIR R4 resources and bundles as they come in: read, judged and sorted; the bytes stay what they were."""
