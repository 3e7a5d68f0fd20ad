"""Invented laboratory results, as FHIR R4 Observations of about a kilobyte."""

from collections.abc import Callable

import orjson

from app.samples import ADA

MODEL_TEXT = "Invented for a measurement; nobody was measured. "


def observations(count: int, entropy: Callable[[int], bytes]) -> list[bytes]:
    """Return documents that differ from each other: a real result of the sample patient, each with an id of its own."""
    model = next(
        entry["resource"]
        for bundle in ADA.bundles
        for entry in orjson.loads(bundle.read())["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    )
    padding = max(1_000 - len(orjson.dumps(model)), 0) // len(MODEL_TEXT)
    return [
        orjson.dumps(
            {
                **model,
                "id": entropy(16).hex(),
                "note": [{"text": MODEL_TEXT * max(padding, 1)}],
            }
        )
        for _ in range(count)
    ]
