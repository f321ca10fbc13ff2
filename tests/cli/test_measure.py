from __future__ import annotations

import csv
import json

import pytest

from napari_landmark.cli.app import main
from napari_landmark.data.study.study import Study
from napari_landmark.measurement.presets.preset import preset


@pytest.fixture
def table(tmp_path):
    """Cephalometric landmarks of two faces, one without gonion."""
    names = preset("cephalometric").landmarks.names
    face = [
        (600, 500), (1100, 450), (1050, 680), (500, 700), (1080, 980), (1050, 1300), (1060, 1420), (1000, 1490),
        (1040, 1470), (610, 1250), (1120, 1160), (1150, 1150), (1230, 1080), (1210, 1230), (1180, 1010), (1150, 1440),
        (720, 940), (1120, 930), (560, 800),
    ]  # fmt: skip
    lines = ["image,landmark,x,y,status,expected_error_px"]
    for image in ("a.png", "b.png"):
        for name, (x, y) in zip(names, face, strict=True):
            if (image, name) != ("b.png", "Gonion"):
                lines.append(f"{image},{name},{x},{y},predicted,10")
    path = tmp_path / "landmarks.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_and_a_report_of_a_preset(table, tmp_path, capsys):
    out, report = tmp_path / "values.csv", tmp_path / "report.html"
    options = ["--schema", "cephalometric", "--spacing", "0.1", "--out", str(out), "--report", str(report)]
    assert main(["measure", str(table), *options]) == 0
    printed = capsys.readouterr()
    assert "SNA" in printed.out
    assert "2 images" in printed.out
    assert "needs Gonion" in printed.err
    found = {(row["image"], row["measurement"]): row for row in rows(out)}
    assert float(found["a.png", "SNA"]["standard_error"]) > 0
    assert found["b.png", "FHI"]["left_out"] == "needs Gonion"
    assert "Not computed" in report.read_text()
    record = json.loads((tmp_path / "values.csv.run.json").read_text())
    assert record["command"] == "measure"
    assert record["measurements"]["facing"] == ["Gonion", "Pogonion"]


def test_another_study_is_a_schema(table, tmp_path, capsys):
    chosen = preset("hallux")
    Study.create(tmp_path / "other", schema=chosen.landmarks, measurements=chosen.measurements)
    assert main(["measure", str(table), "--schema", str(tmp_path / "other")]) == 2
    assert "has none of the landmarks that are measured" in capsys.readouterr().err
    chosen = preset("cephalometric")
    Study.create(tmp_path / "faces", schema=chosen.landmarks, measurements=chosen.measurements)
    assert main(["measure", str(table), "--schema", str(tmp_path / "faces")]) == 0
    assert "SNA" in capsys.readouterr().out


def test_one_row_for_each_image(table, tmp_path):
    out = tmp_path / "values.csv"
    assert main(["measure", str(table), "--schema", "cephalometric", "--out", str(out), "--wide"]) == 0
    found = rows(out)
    assert [row["image"] for row in found] == ["a.png", "b.png"]
    assert found[0]["anterior cranial base (S-N) (mm)"] == ""  # without a spacing
    assert float(found[0]["SNA (deg)"]) > 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "name what is measured with --schema FILE"),
        (["--schema", "cephalometrc"], "did you mean 'cephalometric'?"),
        (["--schema", "none.json"], "there is no such file"),
        (["--schema", "hip"], "has none of the landmarks that are measured"),
        (["--schema", "cephalometric", "--out", "x.txt"], "measurements are written as CSV"),
        (["--schema", "cephalometric", "--report", "x.doc"], "a report is a .pdf or a .html file"),
        (
            ["--schema", "cephalometric", "--report", "x.pdf", "--image", "c.png"],
            "c.png: has no landmarks here",
        ),
        (["--schema", "cephalometric", "--reader-error", "-1"], "--reader-error"),
    ],
)
def test_mistakes_are_told_in_one_line(table, tmp_path, monkeypatch, capsys, options, expected):
    monkeypatch.chdir(tmp_path)
    assert main(["measure", str(table), *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert expected in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["landmarks.csv"]


def test_the_table_that_is_read_is_not_written(table, capsys):
    assert main(["measure", str(table), "--schema", "cephalometric", "--out", str(table)]) == 2
    assert "is read and written" in capsys.readouterr().err
