"""Jobs on other machines from the terminal: listed, and refused where there is nothing to do."""

from __future__ import annotations

import pytest

from napari_landmark.backend.job_record import Step, list_records, new_record
from napari_landmark.cli.app import main


@pytest.fixture(autouse=True)
def _own_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_LANDMARK_JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("NAPARI_LANDMARK_CONFIG", str(tmp_path / "config"))


def said(capsys, *arguments, code=0):
    assert main(["jobs", *arguments]) == code
    return "".join(capsys.readouterr())


def test_list_and_remove(capsys):
    assert said(capsys, "list") == "none\n"
    made, ended = new_record("train", host="lab"), new_record("detect", host="lab").at(Step.FINISHED)
    lines = said(capsys, "list").splitlines()
    assert sorted(lines) == sorted(
        [
            f"{made.job_id}  train on lab, was never complete",
            f"{ended.job_id}  detect on lab, ended",
        ]
    )
    for record in (made, ended):
        assert "remove it" in said(capsys, "follow", record.job_id, code=2)
        assert "does not run" in said(capsys, "stop", record.job_id, code=2)
        said(capsys, "remove", record.job_id)
    assert list_records() == []


def test_a_job_of_a_host_that_is_forgotten(capsys):
    record = new_record("train", host="lab", about={"study": "s"}).at(Step.STARTED)
    assert "is not known (known: none)" in said(capsys, "stop", record.job_id, code=2)
    assert "that host is not known any more" in said(capsys, "remove", record.job_id)
    assert list_records() == []


@pytest.mark.parametrize("command", ["follow", "stop", "remove"])
@pytest.mark.parametrize("name", ["20260102-030405-0123abcd", "../..", "x", ""])
def test_no_such_job(capsys, command, name):
    text = said(capsys, command, name, code=2)
    assert "there is no such job" in text or "is no name of a job" in text


def test_a_damaged_record_is_left_out_of_the_list_and_named(capsys):
    record = new_record("train")
    (record.path / "record.json").write_text("{")
    assert said(capsys, "list") == "none\n"
    assert "record.json" in said(capsys, "follow", record.job_id, code=2)
