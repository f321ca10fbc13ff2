"""Studies as version 0.2 wrote them open with everything in them, and their models predict what they did."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_landmark.backend.job_file import read_job
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Status
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.sides import Mirroring
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.readers import readers
from napari_landmark.data.study.study import Study

HERE = Path(__file__).parent
NEWEST, EARLIER, VOLUMES = HERE / "golden_0_2", HERE / "golden_0_2_format_4", HERE / "golden_0_2_volumes"
PICTURES = pytest.mark.parametrize("golden", [NEWEST, EARLIER], ids=["format 5", "format 4"])


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens a copy of a study."""
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "cache"))
    return lambda golden: Study.open(shutil.copytree(golden, tmp_path / "golden") / "study")


def cohort_of(study):
    return Cohort.from_folder(study.require_images(), spacing=study.spacing)


def table(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def position(row, axes):
    return tuple(float(row[axis]) for axis in axes) if row["x"] else None


def check_annotations(study, golden):
    """All that was placed is as the tables of that version have it, to the last digit."""
    found = study.annotations()
    assert set(found) == {"1.png", "später (1).png"}
    rows = [row for path in (golden / "study" / "annotations").glob("*.csv") for row in table(path)]
    assert len(rows) == 14
    for row in rows:
        mark = found[row["image"]][row["landmark"]]
        assert mark.status.value == row["status"]
        assert mark.position == position(row, "yx")
    assert found["1.png"]["thumb_tip"].covered
    assert found["später (1).png"]["thumb_mcp"].status is Status.MISSING


@PICTURES
def test_settings(opened, golden):
    study = opened(golden)
    assert (study.template, study.spacing) == ("1.png", 0.5)
    (curve,) = study.schema.curves
    assert list(curve.chain) == ["thumb_cmc", "edge[1]", "edge[2]", "thumb_mcp"]
    assert [link.landmarks for link in study.schema.links] == [("thumb_cmc", "thumb_mcp", "thumb_ip")]
    assert [one.name for one in study.measurements.measurements] == ["thumb", "length"]
    assert study.sides.mirroring is Mirroring.SWAPPED
    facts = study.facts()
    assert facts["2.png"].decision is ImageDecision.LEFT_OUT
    assert (facts["2.png"].remark, facts["2.png"].value("age")) == ("blurred", "12")
    assert facts["10.png"].decision is ImageDecision.DONE
    if golden is NEWEST:
        assert facts["13.png"].decision is ImageDecision.CONFIRMED


@PICTURES
def test_annotations_to_the_last_digit(opened, golden):
    check_annotations(opened(golden), golden)


@PICTURES
def test_predictions_to_the_last_digit(opened, golden):
    study = opened(golden)
    found, paths = study.predictions(), list((golden / "study" / "predictions").glob("*.csv"))
    assert len(found) == len(paths) == len(list((golden / "images").iterdir()))
    for row in (row for path in paths for row in table(path)):
        mark = found[row["image"]][row["landmark"]]
        assert mark.position == position(row, "yx")
        assert mark.expected_error == float(row["expected_error_px"])
        covariance = row.get("error_cov_xx_px2"), row.get("error_cov_xy_px2"), row.get("error_cov_yy_px2")
        if golden is EARLIER:
            assert mark.covariance is None and covariance == (None,) * 3
        else:
            xx, xy, yy = map(float, covariance)
            np.testing.assert_array_equal(mark.covariance, [[yy, xy], [xy, xx]])


@PICTURES
def test_its_model_predicts_what_it_did(opened, golden):
    from napari_landmark.detection.model.store import load_model

    study = opened(golden)
    cohort = cohort_of(study)
    model = load_model(study, name="001", device="cpu")
    assert (model.patch_detector is not None) == (golden is NEWEST)
    found = model.detect_in_cohort(cohort, cohort.index("10.png")).landmarks
    rows = table(golden / "study" / "predictions" / "10.png.csv")
    distances = [np.hypot(*np.subtract(found[row["landmark"]].position, position(row, "yx"))) for row in rows]
    # Networks that learned for a few steps are unsure: rounding, which differs between processors, may move a landmark.
    assert np.median(distances) < 0.05
    errors = [found[row["landmark"]].expected_error / float(row["expected_error_px"]) for row in rows]
    assert np.median(errors) == pytest.approx(1, abs=0.05)


def test_the_earlier_one_is_trained_again(opened, quick):
    from napari_landmark.detection.training.options import default_options
    from napari_landmark.detection.training.train import train
    from napari_landmark.learning.device import choose_device

    study = opened(EARLIER)
    cohort = cohort_of(study)
    report = train(study, cohort, options=default_options(choose_device("cpu")))
    assert report.model_dir.name == "002"
    assert set(report.predictions) == set(cohort.names)
    check_annotations(Study.open(study.folder), EARLIER)


@PICTURES
def test_it_is_the_same_after_it_was_saved(opened, golden):
    study = opened(golden)
    path = study.folder / "study.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    study.update(template="10.png")
    study.update(template="1.png")
    moved = {"images_absolute": str(study.require_images().resolve())}
    assert json.loads(path.read_text(encoding="utf-8")) == before | moved


def test_its_interrupted_training_is_resumed(opened, monkeypatch):
    from napari_landmark.detection.embedding.embedding import EmbeddingConfig
    from napari_landmark.detection.model.store import can_resume
    from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
    from napari_landmark.detection.training import stages
    from napari_landmark.detection.training.train import train

    # Its networks were made smaller than those of a training.
    size = {"size": 8, "channels": (4,) * 5}
    monkeypatch.setattr(stages, "embedding_config", lambda canvas: EmbeddingConfig(2, 1, **size))
    monkeypatch.setattr(
        PatchEmbeddingConfig, "for_canvas", lambda canvas: PatchEmbeddingConfig(2, 32, **size)
    )
    study = opened(NEWEST)
    assert can_resume(study)
    report = train(study, cohort_of(study), resume=True)
    assert report.model_dir.name == "002" and not report.cancelled
    assert not can_resume(study)
    check_annotations(study, NEWEST)


def test_a_model_of_an_earlier_format_is_passed_on(opened, tmp_path):
    from napari_landmark.detection.model.exchange import import_model
    from napari_landmark.detection.model.store import load_model
    from napari_landmark.learning.model_archive import write_archive

    write_archive(opened(EARLIER).folder / "models" / "001", tmp_path / "hands.model.zip")
    folder = import_model(tmp_path / "hands.model.zip", tmp_path / "new")
    assert json.loads((folder / "model.json").read_text(encoding="utf-8"))["version"] == 4
    assert load_model(Study.open(tmp_path / "new"), device="cpu").schema.names[-1] == "edge[2]"


def test_its_finished_reading(opened):
    study = opened(NEWEST)
    ((name, reading),) = readers(study).items()
    assert name == "Ben (2nd)"
    assert reading.plan.images == ("14.png", "1.png") and reading.plan.finished
    placed, read = study.annotations()["1.png"], reading.annotations()["1.png"]
    for landmark in placed.schema.names[:5]:
        assert np.subtract(read[landmark].position, placed[landmark].position) == pytest.approx(0.25)
    with pytest.raises(InputError, match="finished"):
        reading.save_annotations("1.png", placed)


def test_its_registration_model(opened):
    from napari_landmark.data.images.image import read_image
    from napari_landmark.learning.device import choose_device
    from napari_landmark.registration.model import RegistrationModel

    study = opened(NEWEST)
    model = RegistrationModel.load(study.folder / "registration" / "001", device=choose_device("cpu"))
    images = study.require_images()
    result = model.register(read_image(images / "1.png"), read_image(images / "13.png"))
    assert model.labels == (1, 7)
    # Pixels; what it said when it was written.
    np.testing.assert_allclose(
        result.transform.to_moving([[20, 30], [40, 24]]), [[20.0047, 30.0009], [39.9779, 23.9916]], atol=0.005
    )


def test_its_files():
    folder = NEWEST / "files"
    assert read_job(folder) == TrainJob(
        study=folder / "study", images=folder / "images", minutes=2.5, steps={"self_steps": 3}
    )
    passed_on = SchemaFile.read(folder / "measurements.json")
    assert (passed_on.title, passed_on.source) == ("A thumb", "drawn")
    assert [curve.name for curve in passed_on.landmarks.curves] == ["edge"]
    assert [one.name for one in passed_on.measurements.measurements] == ["thumb", "length"]


def test_volumes(opened):
    from napari_landmark.detection.model.store import load_model

    study = opened(VOLUMES)
    cohort = cohort_of(study)
    (placed,) = table(next((VOLUMES / "study" / "annotations").glob("*.csv")))[:1]
    assert study.annotations()["0.nii.gz"]["a"].position == position(placed, "zyx")
    found = load_model(study, device="cpu").detect_in_cohort(cohort, cohort.index("2.nii.gz")).landmarks
    for row in table(VOLUMES / "study" / "predictions" / "2.nii.gz.csv"):
        mark = study.predictions()["2.nii.gz"][row["landmark"]]
        assert mark.position == position(row, "zyx")
        # Voxels: an alignment ends where it did, but its cubes were matched in one direction only at that time.
        assert np.linalg.norm(np.subtract(found[row["landmark"]].position, mark.position)) < 0.1
