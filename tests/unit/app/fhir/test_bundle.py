"""A folder of bundles is read through, whatever single records and files in it are like."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from app.fhir import entries
from app.fhir.bundle import BadFile, BadRecord, Outcome, PatientRecords, Providers, read_bundles
from app.fhir.entries import entries_of
from app.fhir.report import report_of

SYNTHEA = Path(__file__).parents[5] / "shared" / "data" / "fhir" / "r4"

PATIENT = {"resourceType": "Patient", "id": "p"}
DOCTOR = {
    "resourceType": "Practitioner",
    "id": "d",
    "name": [{"given": ["Anselm"], "family": "Reed"}],
}
HOUSE = {"resourceType": "Organization", "id": "o", "name": "Mercy Hospital"}
PLACE = {"resourceType": "Location", "id": "l"}


def visit(of: str = "urn:uuid:p", **changed: object) -> dict[str, object]:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": of},
        "participant": [{"individual": {"reference": "urn:uuid:d"}}],
    } | changed


def entry(resource: object, url: str, **more: object) -> dict[str, object]:
    return {"fullUrl": url, "resource": resource} | more


WHOLE = [
    entry(visit(id="v1"), "urn:uuid:v1"),  # before the patient
    entry(PATIENT, "urn:uuid:p"),
    entry(DOCTOR, "urn:uuid:d"),
    entry(HOUSE, "urn:uuid:o"),
    entry(PLACE, "urn:uuid:l"),
    entry(visit("Patient/p/_history/2", id="v2"), "urn:uuid:v2"),
]


def bundle(*listed: object, kind: str = "transaction") -> bytes:
    return orjson.dumps({"resourceType": "Bundle", "type": kind, "entry": listed})


def outcomes_of(folder: Path, content: bytes, name: str = "a.json") -> list[Outcome]:
    (folder / name).write_bytes(content)
    return list(read_bundles(folder))


def test_patients_come_with_their_records_in_order_and_references_resolved(tmp_path: Path) -> None:
    providers, of_patient = outcomes_of(tmp_path, bundle(*WHOLE))
    assert isinstance(providers, Providers)
    assert isinstance(of_patient, PatientRecords)
    assert [one.name for one in providers.practitioners] == ["Anselm Reed"]
    assert [one.name for one in providers.organisations] == ["Mercy Hospital"]
    assert providers.others == 1
    assert of_patient.patient.id == "p"
    assert [(record.entry, record.resource.id) for record in of_patient.records] == [
        (0, "v1"),
        (5, "v2"),
    ]
    assert {record.refers_to for record in of_patient.records} == {("Patient/p", "Practitioner/d")}


@pytest.mark.parametrize("kind", ["batch", "collection", "searchset", "transaction"])
def test_bundles_of_four_types_are_read(tmp_path: Path, kind: str) -> None:
    assert any(
        isinstance(one, PatientRecords) for one in outcomes_of(tmp_path, bundle(*WHOLE, kind=kind))
    )


def test_the_bytes_of_a_record_are_those_of_the_file(tmp_path: Path) -> None:
    odd = (
        b'{ "resourceType":"Observation", "id":"x","status":"final","code":{"text":"]}\\"[{"},\n'
        b'"subject":{"reference":"urn:uuid:p"},"valueQuantity":{"value":1.500}}'
    )
    before = orjson.dumps(entry(PATIENT, "urn:uuid:p"))
    content = b'\xef\xbb\xbf{"resourceType":"Bundle","type":"collection","entry":[' + before
    content += b' , {"resource" : ' + odd + b' , "fullUrl":"urn:uuid:x"} ]}'
    of_patient = outcomes_of(tmp_path, content)[-1]
    assert isinstance(of_patient, PatientRecords)
    assert of_patient.records[0].resource.data == odd


BAD_ENTRIES: list[tuple[object, str, str]] = [
    (entry(visit(status=None, id="b"), "urn:uuid:b"), "Encounter", "Encounter.status"),
    (
        entry(visit(id="b", transfer=1), "urn:uuid:b"),
        "Encounter",
        "Encounter.transfer is no element",
    ),
    (
        entry(visit("urn:uuid:nobody", id="b"), "urn:uuid:b"),
        "Encounter",
        "is about a patient who is not",
    ),
    (entry(visit(id="b"), "urn:uuid:p"), "Encounter", "is in the file twice"),
    (entry(visit(id="v1"), "urn:uuid:b"), "Encounter", "is in the file twice"),
    (entry(visit(id="b"), "x", request={"method": "DELETE"}), "?", "asks for something other"),
    (entry({"resourceType": "Quill Feather"}, "x"), "?", "? is no resource type"),
    (entry([], "x"), "?", "has no resource"),
    ({"fullUrl": 5, "resource": visit()}, "?", "is no entry of a Bundle"),
    ("Quillfeather", "?", "not a JSON object"),
    (7, "?", "not a JSON object"),
]


@pytest.mark.parametrize(("bad", "kind", "reason"), BAD_ENTRIES)
def test_a_bad_record_is_named_and_does_not_stop_the_others(
    tmp_path: Path, bad: object, kind: str, reason: str
) -> None:
    found = outcomes_of(tmp_path, bundle(*WHOLE[:-1], bad, WHOLE[-1]))
    assert isinstance(found[0], BadRecord)
    assert (found[0].file, found[0].entry, found[0].kind) == ("a.json", 5, kind)
    assert reason in found[0].reason
    assert "Quill" not in repr(found)
    assert isinstance(found[-1], PatientRecords)
    assert [record.resource.id for record in found[-1].records] == ["v1", "v2"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Quillfeather", "truncated, or not JSON"),
        (bundle(*WHOLE)[:-1], "truncated, or not JSON"),
        (bundle(*WHOLE)[:200], "truncated, or not JSON"),
        (b'{"a":' * 50_000, "truncated, or not JSON"),
        (b"[]", "not a Bundle of FHIR"),
        (b'{"resourceType":"Bundle","type":7}', "not a Bundle of FHIR"),
        (orjson.dumps(PATIENT), "not a Bundle"),
        (bundle(*WHOLE, kind="history"), "not a Bundle of type"),
        (b'{"resourceType":"Bundle","type":"batch","entry":{}}', "Bundle.entry is no list"),
        (b'{"resourceType":"Bundle","type":"batch","entry":[],"entr\\u0079":[]}', "name twice"),
    ],
)
def test_a_bad_file_is_one_bad_file(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "b.json").write_bytes(bundle(*WHOLE))
    bad, *others = outcomes_of(tmp_path, content)
    assert isinstance(bad, BadFile)
    assert (bad.file, reason in bad.reason) == ("a.json", True)
    assert "Quill" not in bad.reason
    assert [type(one) for one in others] == [Providers, PatientRecords]


def test_a_name_that_is_there_twice_in_an_entry_hides_no_second_resource(tmp_path: Path) -> None:
    twice = (
        b'{"resource":{"resourceType":"Patient"},"resource":{"resourceType":"Patient","id":"q"}}'
    )
    content = b'{"resourceType":"Bundle","type":"batch","entry":[' + twice + b"]}"
    assert isinstance(outcomes_of(tmp_path, content)[0], BadRecord)


def test_an_archive_is_unpacked_and_only_as_far_as_the_limit(tmp_path: Path) -> None:
    whole = bundle(*WHOLE)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(whole))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b" " * (len(whole) + 1)))
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(whole)[:-9])
    (tmp_path / "d.json.gz").write_bytes(whole)
    broken = bytearray(gzip.compress(whole))
    broken[20] ^= 0xFF
    (tmp_path / "e.json.gz").write_bytes(broken)
    found = list(read_bundles(tmp_path, bytes_max=len(whole)))
    assert [type(one) for one in found] == [Providers, PatientRecords, *[BadFile] * 4]
    assert [one.reason for one in found if isinstance(one, BadFile)] == [
        f"longer than {len(whole):,} bytes",
        *["no whole gzip archive"] * 3,
    ]
    with pytest.raises((zlib.error, EOFError, gzip.BadGzipFile)):
        gzip.decompress(broken)


def test_a_file_that_is_not_there_is_a_bad_file(tmp_path: Path) -> None:
    (bad,) = read_bundles([tmp_path / "none.json"])
    assert isinstance(bad, BadFile)


def test_more_entries_than_the_limit_make_a_bad_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "ENTRIES_MAX", 6)
    assert not isinstance(outcomes_of(tmp_path, bundle(*WHOLE))[0], BadFile)
    assert isinstance(outcomes_of(tmp_path, bundle(*WHOLE, 1))[0], BadFile)


@pytest.mark.parametrize(
    "element",
    ['"a,]b"', "1.5e3", "true", "null", '{"a":["}",{}]}', "[[],[1]]", '"\\\\"', '"\\""', "{}"],
)
def test_entries_end_where_json_says_they_end(element: str) -> None:
    text = f'{{"resourceType":"Bundle","type":"batch","x":{element},"entry":[ {element} ,{element}\n]}}'
    found = [bytes(one).decode() for one in entries_of(text.encode())]
    assert found == [element, element]
    assert json.loads(text)["entry"] == [json.loads(one) for one in found]


def test_a_report_counts_what_was_read_and_lists_what_was_bad(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"{")
    report = report_of(outcomes_of(tmp_path, bundle(*WHOLE, 7)))
    assert report.rows()[0] == (
        "file",
        "patients",
        "records",
        "practitioners",
        "organisations",
        "others",
        "bad",
    )
    assert report.rows()[1:] == [
        ("a.json", "1", "2", "1", "1", "1", "1"),
        ("b.json", "0", "0", "0", "0", "0", "0"),
        ("all", "1", "2", "1", "1", "1", "1"),
    ]
    told = json.loads(report.to_json())
    assert told["kinds"] == {"Encounter": 2}
    assert (told["bad_records"][0]["entry"], told["bad_files"][0]["file"]) == (6, "b.json")


def synthea_files() -> Iterator[tuple[str, int]]:
    yield "synthea-2019/Buster_Hoeger_ad2e3fc5-2b5d-4cb9-8d03-9ea0f4ac8423.json.gz", 63
    yield "synthea-2019/Chauncey_Johnston_f4673866-81fb-411a-8486-0c27f2a5b480.json.gz", 87
    yield "synthea-2021/Cecelia952_Romaguera67_f1731e33-dc55-4ee8-72d7-cece2e49bedd.json.gz", 258
    yield "synthea-2021/Kiley170_Glover433_87b83af9-9b56-f6cd-0e0c-dbe665ac61ec.json.gz", 314


@pytest.mark.skipif(not SYNTHEA.exists(), reason="shared/data/fhir/r4 is missing")
@pytest.mark.parametrize(("name", "records"), list(synthea_files()))
def test_synthetic_records_of_others_are_all_read(name: str, records: int) -> None:
    report = report_of(read_bundles([SYNTHEA / name]))
    (file,) = report.files
    assert (file.patients, file.records, file.bad, report.bad_files) == (1, records, 0, ())
    data = gzip.decompress((SYNTHEA / name).read_bytes())
    for outcome in read_bundles([SYNTHEA / name], "shape"):
        if isinstance(outcome, PatientRecords):
            assert all(record.resource.data in data for record in outcome.records[:20])
