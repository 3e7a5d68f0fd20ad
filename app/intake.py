"""Intake: documents as received become sealed blobs and staged rows, which a publication then names."""

import io
from collections.abc import Callable, Sequence
from sqlite3 import Connection

from app.blobs.cipher import Sealed, seal
from app.blobs.store import BlobStore
from app.fhir.resource import FhirResource
from app.keystore.keys import KeyStore
from app.storage.database import transaction
from app.subjects.enrolment import Enrolments
from app.subjects.record import BATCH_MAX, RecordSubject, Staged
from flows.subjects.patient_access import WithheldReason
from states.errors import OverLimit
from states.identity import Party, PatientId

BATCH_ID_SIZE = 16


class Intake:
    """Takes documents into a custodian's care. The bytes are kept exactly as received (architecture §6.1)."""

    def __init__(
        self,
        me: Party,
        keys: KeyStore,
        blobs: BlobStore,
        enrolments: Enrolments,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._me = me
        self._keys = keys
        self._blobs = blobs
        self._enrolments = enrolments
        self._entropy = entropy

    def seal(
        self,
        db: Connection,
        local: str,
        documents: Sequence[FhirResource],
        withheld: WithheldReason | None = None,
    ) -> list[Staged]:
        """Seal documents of a local patient under fresh data keys; the ciphertext is durable when it returns.

        `withheld`: why their content is withheld from her; None where her agent gets the keys with the publication.
        Raises NotEnrolled, OverLimit. A crash from here on leaves ciphertext without a row, which is swept.
        """
        if len(documents) > BATCH_MAX:
            raise OverLimit("documents of a batch", len(documents), BATCH_MAX)
        patient = self._enrolments.of_local(db, self._me, local).patient
        keys = [self._keys.new_data_key() for _ in documents]
        sealings = [
            seal(io.BytesIO(document.data), key)
            for document, key in zip(documents, keys, strict=True)
        ]
        self._blobs.put_all(sealings)
        return [
            self._staged(patient, local, document, key, sealing.sealed, withheld)
            for document, key, sealing in zip(documents, keys, sealings, strict=True)
        ]

    def _staged(
        self,
        patient: PatientId,
        local: str,
        document: FhirResource,
        key: bytes,
        sealed: Sealed,
        withheld: WithheldReason | None,
    ) -> Staged:
        return Staged(
            patient=patient,
            local=local,
            content=document.content,
            commitment=sealed.commitment,
            blob=sealed.cid,
            size_class=sealed.size_class,
            length=sealed.length,
            key=self._keys.wrap_at_rest(key, sealed.commitment),
            resource_id=document.id or "",
            withheld=withheld,
        )

    def stage(self, db: Connection, staged: Sequence[Staged]) -> bytes:
        """Put sealed documents where `PublishRecords` finds them, durably; return the batch's id."""
        batch = self._entropy(BATCH_ID_SIZE)
        with transaction(db):
            RecordSubject.stage(db, batch, staged)
        return batch
