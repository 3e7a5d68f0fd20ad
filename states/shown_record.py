"""Published records as far as tear-offs show them: by commitment, with what they are where that is shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from states.identity import Party
from states.ledger import LedgerTransaction
from states.subjects.content import Content
from states.subjects.record import About, MedicalRecord


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A published record; `content` is None where the bundle does not show what it is."""

    custodian: Party
    content: Content | None


def records_of(ledgers: Iterable[LedgerTransaction]) -> dict[bytes, ShownRecord]:
    found: dict[bytes, ShownRecord] = {}
    for ledger in ledgers:
        said = {seal.sealed.about.index: about.content for seal, about in ledger.seals_of(About)}
        for index, record in ledger.outputs_of(MedicalRecord):
            found[record.commitment] = ShownRecord(record.custodian, said.get(index))
    return found


def contents_of(contents: Iterable[Content | None]) -> tuple[Content, ...]:
    return tuple(content for content in contents if content is not None)
