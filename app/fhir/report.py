"""What a reading of bundles came to: counts and bad ones, for a table on a screen or as JSON."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from app.fhir.bundle import BadFile, BadRecord, Outcome, PatientRecords, Providers


class FileReport(msgspec.Struct, frozen=True):
    """The counts of one file; `others` are resources about no patient, neither practitioner nor organisation."""

    file: str
    patients: int
    records: int
    practitioners: int
    organisations: int
    others: int
    bad: int


class BundlesReport(msgspec.Struct, frozen=True):
    """The counts of all files, in their order. Categories and labels count records, without the Patient resources."""

    files: tuple[FileReport, ...]
    kinds: dict[str, int]
    categories: dict[str, int]
    labels: dict[str, int]
    unlabelled: int
    bad_records: tuple[BadRecord, ...]
    bad_files: tuple[BadFile, ...]

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    def rows(self) -> list[tuple[str, ...]]:
        """Return a table's rows, the heading first and the totals last."""
        columns = FileReport.__struct_fields__[1:]
        counts = [tuple(int(getattr(file, name)) for name in columns) for file in self.files]
        totals = tuple(sum(column) for column in zip(*counts, strict=True)) or (0,) * len(columns)
        named = zip((file.file for file in self.files), counts, strict=True)
        body = [(name, *map(str, numbers)) for name, numbers in named]
        return [("file", *columns), *body, ("all", *map(str, totals))]


def report_of(outcomes: Iterable[Outcome]) -> BundlesReport:
    """Return the report of all outcomes; none of the records is kept while it goes through them."""
    counts: dict[str, Counter[str]] = {}
    kinds, categories, labels = Counter[str](), Counter[str](), Counter[str]()
    unlabelled = 0
    bad_records: list[BadRecord] = []
    bad_files: list[BadFile] = []
    for outcome in outcomes:
        count = counts.setdefault(outcome.file, Counter())
        match outcome:
            case PatientRecords(_, _, records):
                count.update(patients=1, records=len(records))
                contents = [record.resource.content for record in records]
                kinds.update(content.kind for content in contents)
                categories.update(content.category for content in contents)
                labels.update(label for content in contents for label in content.labels)
                unlabelled += sum(not content.labels for content in contents)
            case Providers(_, practitioners, organisations, others):
                count.update(
                    practitioners=len(practitioners),
                    organisations=len(organisations),
                    others=others,
                )
            case BadRecord():
                count.update(bad=1)
                bad_records.append(outcome)
            case BadFile():
                bad_files.append(outcome)
    files = tuple(_file_report(file, count) for file, count in counts.items())
    return BundlesReport(
        files,
        _ordered(kinds),
        _ordered(categories),
        _ordered(labels),
        unlabelled,
        tuple(bad_records),
        tuple(bad_files),
    )


def _file_report(file: str, count: Counter[str]) -> FileReport:
    return FileReport(file, *(count[name] for name in FileReport.__struct_fields__[1:]))


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
