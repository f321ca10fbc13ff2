"""Results of another machine: taken over under the names here, or refused in one line with the study untouched."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from napari_landmark.backend.hosts import Host
from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.train import RESULT_JOURNAL, TrainJob
from napari_landmark.backend.receiving import receive_detections, receive_training
from napari_landmark.backend.sending import number_name, prepare_detection, prepare_training
from napari_landmark.backend.worker import run_worker
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.inference.detect import ImageReference
from napari_landmark.detection.inference.folder import detect_folder
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.report import write_report
from napari_landmark.synthetic import SCHEMA

from .conftest import FEW
from .small_networks import make_small

HOST = Host(name="lab", address="lab")


@pytest.fixture(scope="module")
def _returned(tmp_path_factory, _drawn_cohort, phantoms):
    """A training that was sent, done in the folder where it lay, and fetched."""
    folder = tmp_path_factory.mktemp("returned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_LANDMARK_JOBS", str(folder / "jobs"))
        make_small(patch.setattr)
        first = phantoms[0]
        study = Study.create(
            folder / "study", schema=SCHEMA, images=_drawn_cohort / "images", template=first.image.name
        )
        study.save_annotations(first.image.name, first.landmarks)
        cohort = Cohort.from_folder(_drawn_cohort / "images")
        job = TrainJob(study=study.folder, images=cohort.folder, device="cpu", steps=FEW)
        record = prepare_training(study, cohort, job, HOST)
        assert run_worker(record.folder) == 0
    return record, study, cohort


@pytest.fixture
def returned(_returned, tmp_path):
    """Record and study of one's own, and the cohort."""
    record, study, cohort = _returned
    path = shutil.copytree(record.path, tmp_path / record.path.name)
    copy = Study.open(shutil.copytree(study.folder, tmp_path / "study"))
    return replace(record, path=path), copy, cohort


def test_model_and_predictions_under_the_names_here(returned):
    record, study, cohort = returned
    report = receive_training(record, study, cohort)
    assert list(report.predictions) == list(cohort.names)
    assert [path.name for path in study.models_dir.iterdir()] == ["001"]
    done = json.loads((record.folder / "done.json").read_text())
    model = load_model(study, device="cpu")
    assert model.digest() == done["result"]["digest"]
    assert model.record["templates"] == [cohort.names[0]]
    assert model.record["host"] == "lab"
    assert set(study.predictions()) == set(cohort.names)
    assert write_report(study, cohort, report).exists()
    for path in study.folder.rglob("*"):
        assert not (
            path.is_file() and path.suffix != ".safetensors" and b"0000000.nrrd" in path.read_bytes()
        ), path
    # Once more, as after a crash in between: another model, and no harm.
    receive_training(record, study, cohort)
    assert [path.name for path in sorted(study.models_dir.iterdir())] == ["001", "002"]


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_result(record, **values):
    path = record.folder / "done.json"
    content = json.loads(path.read_text())
    content["result"] |= values
    path.write_text(json.dumps(content))


def model_file(record, name):
    return record.folder / "study" / "models" / "001" / name


HOSTILE = {
    "a digest of another model": lambda r: change_result(r, digest="0" * 64),
    "a name that leads elsewhere": lambda r: change_result(r, model="../../../study"),
    "a name that is no text": lambda r: change_result(r, model=["001"]),
    "a model that is not there": lambda r: change_result(r, model="007"),
    "a done that is none": lambda r: (r.folder / "done.json").write_text("[1]"),
    "a deep done": lambda r: (r.folder / "done.json").write_text("[" * 100_000),
    "no done": lambda r: (r.folder / "done.json").unlink(),
    "a sidecar that is none": lambda r: model_file(r, "model.json").write_text("{}"),
    "a deep sidecar": lambda r: model_file(r, "model.json").write_text('{"a":' * 100_000),
    "a huge grid": lambda r: change_json(model_file(r, "model.json"), canvas=[10**9, 10**9]),
    "weights that are none": lambda r: model_file(r, "embedding.safetensors").write_bytes(b"\x80\x04pickle"),
    "weights of another network": lambda r: shutil.copy(
        model_file(r, "detector.safetensors"), model_file(r, "embedding.safetensors")
    ),
    "no weights": lambda r: model_file(r, "embedding.safetensors").unlink(),
    "histories that are none": lambda r: change_json(model_file(r, "history.json"), stages=[{"stage": 1}]),
    "losses without end": lambda r: change_json(
        model_file(r, "history.json"),
        stages=[
            {"stage": "x", "steps": 1e300, "seconds": 1, "cancelled": False, "losses": [], "least_steps": 0}
        ],
    ),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_what_is_not_a_result_is_refused_in_one_line(returned, fault):
    record, study, cohort = returned
    HOSTILE[fault](record)
    before = sorted(path for path in study.folder.rglob("*") if path.is_file())
    with pytest.raises(InputError) as caught:
        receive_training(record, study, cohort)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600
    assert sorted(path for path in study.folder.rglob("*") if path.is_file()) == before


@pytest.mark.parametrize(
    "line", [b"{", b"[" * 100_000, b'{"image": "x"}', b"\0" * 5000, b'{"image": 3, "found": 4}']
)
def test_predictions_that_are_none_are_left_out(returned, line):
    record, study, cohort = returned
    path = record.folder / RESULT_JOURNAL
    first, second, *_ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second + line + b"\n")
    report = receive_training(record, study, cohort)
    assert list(report.predictions) == [cohort.names[0]]


def test_landmarks_outside_all_bounds_are_no_predictions(returned):
    record, study, cohort = returned
    path = record.folder / RESULT_JOURNAL
    lines = path.read_text().splitlines()
    entry = json.loads(lines[1])
    entry["found"][0] = [float("inf"), 1.0, 0.5, 1.0]
    lines[1] = json.dumps(entry)
    path.write_text("\n".join(lines) + "\n")
    try:
        report = receive_training(record, study, cohort)
    except InputError:
        return
    assert cohort.names[0] not in report.predictions


def test_a_detection_gives_what_one_here_gives(study, data, tmp_path):
    (data / "images" / "broken.nrrd").write_bytes(b"NRRD0004\n")
    references = [ImageReference(p.name, p) for p in sorted((data / "images").glob("*.png"))]
    record = prepare_detection(
        study, study.models_dir / "001", references, HOST, device="cpu", about={"study": str(study.folder)}
    )
    assert run_worker(record.folder) == 0
    here = detect_folder(load_model(study, device="cpu"), data / "images", default_spacing=study.spacing)
    found = receive_detections(record, here.skipped_files, here.geometries)
    assert found.landmarks == here.landmarks
    assert found.poses.keys() == here.poses.keys()
    assert found.skipped_files == here.skipped_files
    assert not found.cancelled
    # A model that was exchanged there, and a result that lacks an image.
    change_result(record, digest="0" * 64)
    with pytest.raises(InputError, match="another model than the one that was sent"):
        receive_detections(record, [], here.geometries)
    digest = load_model(study, device="cpu").digest()
    change_result(record, digest=digest)
    journal = record.folder / "found.csv.part.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="gave back no result for"):
        receive_detections(record, [], here.geometries)
    assert isinstance(record, JobRecord) and number_name(0) == "0000000.nrrd"
