"""What `carecord demo` says where it cannot begin."""

import os
from pathlib import Path

import pytest

from app.cli.application import main
from app.config import usual_folders
from app.operations.ownership import owner_of, owning


def test_a_second_demonstration_says_which_runs_and_what_can_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, me = tmp_path / "demo", os.getpid()
    keys = usual_folders(folder / "mercy").keys
    keys.mkdir(parents=True)
    with owning(tmp_path, "demo.lock"), owning(keys):
        assert main(["demo", "--check", "--folder", str(folder)]) == 2
    told = capsys.readouterr().err
    assert f"{folder} as process {me}; its nodes: mercy {me}." in told
    assert f"kill {me}" in told
    assert f"--folder {folder}-2" in told
    assert keys.is_dir(), "nothing of it was touched"
    assert owner_of(keys) is None


def test_demonstrations_in_other_folders_do_not_mind_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    with owning(tmp_path, "demo.lock"):
        assert main(["demo", "--check", "--folder", str(other)]) == 2
    assert "nothing there is touched" in capsys.readouterr().err
