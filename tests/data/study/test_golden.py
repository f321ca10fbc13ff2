"""Studies as released versions wrote them open, keep what was placed, and are trained again."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.landmarks import Status
from napari_landmark.data.study.study import Study

GOLDEN = Path(__file__).parent / "golden_0_1"
NAMES = ("1.png", "2.png", "10.png", "später (1).png")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A copy of the study of version 0.1."""
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "cache"))
    return Study.open(shutil.copytree(GOLDEN, tmp_path / "golden") / "study")


@pytest.fixture
def cohort(study):
    return Cohort.from_folder(study.require_images(), spacing=study.spacing)


def rows(folder):
    """Rows of the tables in a folder by image and landmark, without the package."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                found[row["image"], row["landmark"]] = row
    return found


def check_annotations(study):
    """All that was placed is as the table of that version has it, to the last digit."""
    found = study.annotations()
    assert set(found) == {"1.png", "später (1).png"}
    table = rows(GOLDEN / "study" / "annotations")
    assert len(table) == 10
    for (image, name), row in table.items():
        mark = found[image][name]
        assert mark.status.value == row["status"]
        assert mark.position == ((float(row["y"]), float(row["x"])) if row["x"] else None)
    partly = found["später (1).png"]
    statuses = [partly[name].status for name in study.schema.names]
    assert statuses == [Status.CORRECTED, Status.MISSING, Status.PLACED, Status.UNPLACED, Status.UNPLACED]


def test_it_opens_with_all_that_was_placed(study, cohort):
    assert (study.template, study.spacing) == ("1.png", 0.5)
    assert study.schema.names[-1] == "Ω über"
    assert cohort.names == NAMES
    assert cohort.skipped_files == ()
    check_annotations(study)
    predicted = rows(GOLDEN / "study" / "predictions")
    assert len(predicted) == 20
    for (image, name), row in predicted.items():
        assert study.predictions()[image][name].position == (float(row["y"]), float(row["x"]))


def test_its_images_are_known_again_by_their_full_hash(study, cohort):
    record = json.loads((study.folder / "models" / "001" / "run.json").read_text())
    assert cohort.fingerprint(full=True) == record["data_fingerprint"]


def test_its_model_detects(study, cohort):
    from napari_landmark.detection.model.store import load_model

    found = load_model(study, device="cpu").detect(cohort.read(1)).landmarks
    assert found.schema.names == study.schema.names
    assert np.isfinite(found.positions()).all()


def test_it_is_trained_again(study, cohort, quick):
    from napari_landmark.detection.training.options import default_options
    from napari_landmark.detection.training.train import train
    from napari_landmark.learning.device import choose_device

    report = train(study, cohort, options=default_options(choose_device("cpu")))
    assert report.model_dir.name == "003"
    assert set(report.predictions) == set(NAMES)
    check_annotations(Study.open(study.folder))


def test_its_interrupted_training_cannot_be_resumed_and_says_so(study, cohort):
    from napari_landmark.detection.model.store import can_resume
    from napari_landmark.detection.training.train import train

    assert can_resume(study)
    with pytest.raises(InputError) as error:
        train(study, cohort, resume=True)
    assert error.value.code is ErrorCode.TRAINING_CHANGED
    check_annotations(study)
