"""`carecord ingest`: bundles of FHIR R4 through a running node's API; what is bad is told, and does not stop the rest.

Each batch has an idempotency key made of what is in it: to run the same command again publishes nothing twice.
"""

import base64
import os
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.cli.api import Api
from app.cli.exits import CommandFailed, Exit
from app.cli.ingest_report import IngestReport, LeftOut, Published, show
from app.cli.output import AsJson, show_json
from app.cli.places import passphrase_of
from app.config import PASSPHRASE, load_config
from app.fhir.bundle import (
    BadFile,
    BadRecord,
    LocatedRecord,
    PatientRecords,
    Providers,
    read_bundles,
)
from app.fhir.errors import FhirRefused
from app.fhir.files import bundle_files
from app.node_file import NODE_FILE

TOKEN = "CARECORD_TOKEN"  # noqa: S105 - the name of the variable
PASSWORD = "CARECORD_PASSWORD"  # noqa: S105 - as above
MAP_BYTES_MAX = 16 << 20
RECORDS_A_BATCH = 100
REST_OF_BODY = 4_096  # what a request has besides its documents
POLL_SECONDS = 0.2
ENDED = {"DONE", "FAILED", "KILLED"}

_PATIENTS = """query Patients($after: String) {
  patients(first: 100, after: $after) { nodes { id localName } pageInfo { hasNextPage endCursor } }
}"""
_LIMITS = "{ serviceLimits { bodyBytesMax } }"
_PUBLISH = """mutation Publish($input: PublishRecordsInput!) {
  publishRecords(input: $input) { flow { id status } userErrors { message } }
}"""
_FLOW = "query Flow($id: ID!) { node(id: $id) { ... on Flow { id status } } }"


class _After(msgspec.Struct, frozen=True):
    after: str | None


class _Patient(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    local_name: str


class _PageInfo(msgspec.Struct, frozen=True, rename="camel"):
    has_next_page: bool
    end_cursor: str | None


class _PatientPage(msgspec.Struct, frozen=True, rename="camel"):
    nodes: tuple[_Patient, ...]
    page_info: _PageInfo


class _Patients(msgspec.Struct, frozen=True):
    patients: _PatientPage


class _Limit(msgspec.Struct, frozen=True, rename="camel"):
    body_bytes_max: int


class _Limits(msgspec.Struct, frozen=True, rename="camel"):
    service_limits: _Limit


class _Input(msgspec.Struct, frozen=True, rename="camel"):
    idempotency_key: str
    patient: str
    documents: tuple[str, ...]


class _PublishVariables(msgspec.Struct, frozen=True):
    input: _Input


class _Flow(msgspec.Struct, frozen=True):
    id: str
    status: str


class _UserError(msgspec.Struct, frozen=True):
    message: str


class _Payload(msgspec.Struct, frozen=True, rename="camel"):
    flow: _Flow | None
    user_errors: tuple[_UserError, ...]


class _Publication(msgspec.Struct, frozen=True, rename="camel"):
    publish_records: _Payload


class _FlowId(msgspec.Struct, frozen=True):
    id: str


class _Node(msgspec.Struct, frozen=True):
    node: _Flow | None


def ingest(  # noqa: PLR0913 - a person names each of these
    folder: Annotated[Path, typer.Argument(help="The node's folder: where its web side is.")],
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles (*.json, *.ndjson, *.gz), or folders of them.")
    ],
    patient_map: Annotated[
        Path,
        typer.Option(
            help='JSON: {"Patient/<id of the file>": "<patient number here>"}; '
            'a key may also be "<file>#Patient/<id>".'
        ),
    ],
    user: Annotated[
        str, typer.Option(help="A clinician; CARECORD_PASSWORD (or …_FILE). Else CARECORD_TOKEN.")
    ] = "",
    url: Annotated[str, typer.Option(help="Where the web side is, if not as node.toml says.")] = "",
    *,
    wait: Annotated[bool, typer.Option(help="Wait until all is on the ledger.")] = True,
    as_json: AsJson = False,
) -> None:
    """Publish the records of FHIR R4 bundles through a running node. One bad record does not stop the others.

    Exit code 1 where something was left out; the report says what and why, without a word of its content.
    """
    config = load_config(folder / NODE_FILE, {PASSPHRASE: "not needed here"})
    names = _patient_map(patient_map)
    host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
    with closing(Api(url or f"http://{host}:{config.web.port}", os.environ.get(TOKEN, ""))) as api:
        if user:
            api.sign_in(user, passphrase_of(PASSWORD, f"user {user}"))
        elif TOKEN not in os.environ:
            raise CommandFailed(Exit.USAGE, f"give --user, or set {TOKEN}")
        try:
            report = _Ingest(api, names, quiet=as_json).run(bundles, wait=wait)
        finally:
            if user:
                api.sign_out()
    if as_json:
        show_json(report)
    else:
        show(report)
    raise typer.Exit(Exit.OK if report.is_clean else Exit.FAILED)


def _patient_map(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        data = file.read(MAP_BYTES_MAX + 1)
    if len(data) > MAP_BYTES_MAX:
        raise CommandFailed(Exit.USAGE, f"{path} is larger than {MAP_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(data, type=dict[str, str])
    except msgspec.MsgspecError as refused:
        raise CommandFailed(Exit.USAGE, f"{path}: {refused}") from refused


class _Ingest:
    """One run."""

    def __init__(self, api: Api, names: dict[str, str], *, quiet: bool) -> None:
        self._api = api
        self._names = names
        self._quiet = quiet
        self._patients: dict[str, str] = {}
        self._room = 0
        self._published: list[Published] = []
        self._left_out: list[LeftOut] = []

    def run(self, places: list[Path], *, wait: bool) -> IngestReport:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

        self._room = self._api.ask(_Limits, _LIMITS).service_limits.body_bytes_max - REST_OF_BODY
        self._patients = self._find_patients()
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TextColumn("records"))
        with Progress(*columns, console=Console(stderr=True), disable=self._quiet) as bars:
            sealing = bars.add_task("sent", total=0)
            found = 0
            for group in self._groups(places):
                found += len(group.records)
                bars.update(sealing, total=found)
                for batch in self._batches(group):
                    self._publish(group, batch)
                    bars.advance(sealing, len(batch))
            if wait:
                settling = bars.add_task(
                    "on the ledger", total=sum(p.records for p in self._published)
                )
                for at, published in enumerate(self._published):
                    self._published[at] = self._settled(published)
                    bars.advance(settling, published.records)
        return IngestReport(tuple(self._published), tuple(self._left_out))

    def _find_patients(self) -> dict[str, str]:
        found = dict[str, str]()
        after: str | None = None
        while True:
            page = self._api.ask(_Patients, _PATIENTS, _After(after)).patients
            found |= {each.local_name: each.id for each in page.nodes}
            after = page.page_info.end_cursor
            if not page.page_info.has_next_page:
                return found

    def _groups(self, places: list[Path]) -> Iterator[PatientRecords]:
        """Yield what can be published, and note what can not."""
        self._left_out += [
            LeftOut(place.name, None, "", "no bundle lies directly in the folder")
            for place in places
            if place.is_dir() and not bundle_files(place)
        ]
        try:
            for outcome in read_bundles(places):
                match outcome:
                    case BadRecord(file, entry, kind, reason):
                        self._left_out.append(LeftOut(file, entry, kind, reason))
                    case BadFile(file, reason):
                        self._left_out.append(LeftOut(file, None, "", reason))
                    case Providers():
                        continue  # nobody's records
                    case PatientRecords() if self._is_known(outcome):
                        yield outcome
                    case PatientRecords():
                        continue
        except FhirRefused as refused:
            raise CommandFailed(Exit.USAGE, str(refused)) from refused

    def _is_known(self, group: PatientRecords) -> bool:
        local = self._local(group)
        if local in self._patients:
            return True
        why = "the patient is not enrolled here" if local else "the patient map does not name her"
        self._left_out += [
            LeftOut(group.file, each.entry, each.resource.kind, why) for each in group.records
        ]
        return False

    def _local(self, group: PatientRecords) -> str | None:
        reference = group.patient.patient or ""
        return self._names.get(f"{group.file}#{reference}", self._names.get(reference))

    def _batches(self, group: PatientRecords) -> Iterator[list[LocatedRecord]]:
        """Cut a patient's records so that each request fits; a record that fits in none is left out."""
        batch, size = list[LocatedRecord](), 0
        for record in group.records:
            length = 4 * (len(record.resource.data) // 3 + 1) + 3  # as base64, in quotes
            if length > self._room:
                why = f"larger than a request of this node may be, {self._room} bytes"
                self._left_out.append(LeftOut(group.file, record.entry, record.resource.kind, why))
                continue
            if batch and (len(batch) == RECORDS_A_BATCH or size + length > self._room):
                yield batch
                batch, size = [], 0
            batch.append(record)
            size += length
        if batch:
            yield batch

    def _publish(self, group: PatientRecords, batch: list[LocatedRecord]) -> None:
        local = self._local(group)
        assert local is not None, "only groups whose patient is known"
        documents = tuple(base64.b64encode(each.resource.data).decode() for each in batch)
        key = sha256("\n".join((local, *documents)).encode()).hexdigest()
        asked = _PublishVariables(_Input(key, self._patients[local], documents))
        payload = self._api.ask(_Publication, _PUBLISH, asked).publish_records
        if payload.flow is None:
            why = "; ".join(each.message for each in payload.user_errors) or "refused"
            self._left_out += [
                LeftOut(group.file, each.entry, each.resource.kind, why) for each in batch
            ]
            return
        flow = payload.flow
        self._published.append(Published(group.file, local, len(batch), flow.id, flow.status))

    def _settled(self, published: Published) -> Published:
        """Ask until the flow has ended; how long that takes is the notary's affair, Ctrl-C leaves it running."""
        while published.status not in ENDED:
            time.sleep(POLL_SECONDS)
            found = self._api.ask(_Node, _FLOW, _FlowId(published.flow)).node
            if found is not None:
                published = msgspec.structs.replace(published, status=found.status)
        return published
