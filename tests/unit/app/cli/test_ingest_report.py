"""What an ingest tells at its end."""

import pytest

from app.cli.ingest_report import IngestReport, Published, show


def test_the_same_records_in_two_files_are_counted_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = Published("a.json", "MRN 1", 2, "flow-1", "DONE")
    again = Published("a.json.gz", "MRN 1", 2, "flow-1", "DONE")
    other = Published("b.json", "MRN 1", 3, "flow-2", "DONE")
    show(IngestReport((first, again, other), ()))
    assert "5 records in 2 transactions; 0 left out" in capsys.readouterr().out
