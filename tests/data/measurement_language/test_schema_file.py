from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.study.schema_migration import change_schema
from napari_landmark.data.study.study import Study

ROWS = {"measurements": [{"name": "angle", "angle": ["A", "B", "C"]}]}
UNKNOWN = {"name": "x", "angle": ["A", "B", "Cc"]}
LANDMARKS = {"landmarks": [{"name": name} for name in "ABC"]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is damaged"),
        ("[]", "holds no JSON object"),
        ("[" * 200_000, "is damaged"),
        ('{"version": 2}', "is a schema of version 2, known is 1"),
        (json.dumps({**LANDMARKS, "measurements": {}}), "'measurements' is {}: expected a list"),
        (json.dumps({**LANDMARKS, "title": 3}), "'title' is 3"),
        (json.dumps({**LANDMARKS, "measurements": [UNKNOWN]}), "x: unknown landmark 'Cc'"),
        (json.dumps({**LANDMARKS, "facing": ["A", "F"]}), "'facing': unknown landmark 'F'"),
    ],
)  # fmt: skip
def test_files_that_are_none_are_refused_in_a_line(tmp_path, content, expected):
    path = tmp_path / "schema.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        SchemaFile.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        SchemaFile.read(tmp_path / "none.json")


def test_a_study_is_a_schema_file(tmp_path):
    study = Study.create(tmp_path / "study", schema=LandmarkSchema(tuple("ABC")))
    study.update(measurements=MeasurementSchema.from_json(ROWS))
    assert SchemaFile.read(tmp_path / "study/study.json").measurements == study.measurements


def test_a_study_keeps_its_measurements_and_renames_their_landmarks(tmp_path):
    study = Study.create(tmp_path / "study", schema=LandmarkSchema(tuple("ABC")))
    assert not study.measurements
    study.update(measurements=MeasurementSchema.from_json(ROWS))
    change_schema(study, LandmarkSchema(("X", "B", "C")), renames={"A": "X"})
    again = Study.open(tmp_path / "study")
    assert again.measurements.measurements[0].landmarks == ("X", "B", "C")
    change_schema(again, LandmarkSchema(("X", "B")))  # one that is measured leaves the schema
    assert Study.open(tmp_path / "study").measurements == again.measurements


def test_the_example_of_the_manual_can_be_read(tmp_path):
    page = (Path(__file__).parents[3] / "docs/measure.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "example.json").write_text(example)
    assert SchemaFile.read(tmp_path / "example.json").measurements.names == ("SNA", "tilt")
