"""What is sent to another machine: all that a training needs, and nothing that names a patient."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_landmark.backend import sending
from napari_landmark.backend.hosts import Host
from napari_landmark.backend.job_file import read_job
from napari_landmark.backend.job_record import Step, list_records
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.backend.sending import SentNames, number_name, prepare_detection, prepare_training
from napari_landmark.cli.wording import word
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.images.image import read_image
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.study import Study
from napari_landmark.detection.inference.detect import ImageReference
from napari_landmark.detection.model.store import load_model
from napari_landmark.progress import Cancelled, CancelToken
from napari_landmark.synthetic import SCHEMA, hand_phantom

from ..data.images.dicom_files import save

SECRET = "Zwiebelfisch"
HOST = Host(name="lab", address="lab")


@pytest.fixture
def patients(tmp_path):
    """A study of DICOM images with patient data in headers and in the names of files."""
    folder = tmp_path / f"{SECRET} images"
    folder.mkdir()
    for seed in range(3):
        array = np.ascontiguousarray(hand_phantom(seed, size=(64, 64)).image.array.astype("<u2") * 16)
        tags = {"PatientName": SECRET, "PatientID": SECRET, "ImageComments": SECRET}
        path = folder / f"{SECRET} {seed}.dcm"
        save(path, array, StudyInstanceUID=generate_uid(), PixelSpacing=[0.5, 0.25], **tags)
    study = Study.create(tmp_path / "study", schema=SCHEMA, images=folder, template=f"{SECRET} 1.dcm")
    cohort = Cohort.from_folder(folder)
    for seed in (0, 1):
        study.save_annotations(f"{SECRET} {seed}.dcm", hand_phantom(seed, size=(64, 64)).landmarks)
    study.decide(f"{SECRET} 2.dcm", ImageDecision.LEFT_OUT)
    return study, cohort


def job(study, cohort):
    return TrainJob(study=study.folder, images=cohort.folder, seed=3)


def test_numbers_for_names_and_no_headers(patients):
    study, cohort = patients
    record = prepare_training(study, cohort, job(study, cohort), HOST)
    assert record.step is Step.READY
    files = [path for path in record.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes() or SECRET in path.name]
    assert {path.name for path in files if path.suffix == ".nrrd"} == {number_name(k) for k in range(3)}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (record.path, record.folder))


def test_the_same_pixels_grids_landmarks_and_decisions(patients):
    study, cohort = patients
    record = prepare_training(study, cohort, job(study, cohort), HOST)
    sent = read_job(record.folder)
    assert (sent.seed, sent.images) == (3, record.folder / "images")
    there, copy = Cohort.from_folder(sent.images), Study.open(sent.study)
    assert there.canvas == cohort.canvas
    for number in range(3):
        np.testing.assert_array_equal(there.working(number), cohort.working(number))
        np.testing.assert_array_equal(there.read(number).array, cohort.read(number).array)
        assert there.geometry(number).spacing == cohort.geometry(number).spacing
    assert copy.template == number_name(1)
    assert copy.decisions() == {number_name(2): ImageDecision.LEFT_OUT}
    names = SentNames.read(record).names
    for name, marks in copy.annotations().items():
        assert marks == study.load_annotations(names[name])
    assert set(copy.annotations()) == {number_name(0), number_name(1)}


def test_reduced_images_are_the_working_grid(patients):
    study, cohort = patients
    record = prepare_training(study, cohort, job(study, cohort), HOST, reduced=True)
    there = Cohort.from_folder(record.folder / "images")
    assert there.canvas == cohort.canvas
    for number in range(3):
        image = there.read(number)
        assert image.array.shape == cohort.canvas
        np.testing.assert_allclose(image.array / 65535, cohort.working(number), atol=1e-3)
        # As long in millimetres as the working grid of the image.
        native = cohort.canvas_transform(number)
        ends = np.array([[0, 0], [10, 7]])
        length = np.linalg.norm(np.diff(cohort.geometry(number).to_world(native.to_native(ends)), axis=0))
        assert np.linalg.norm(np.diff(there.geometry(number).to_world(ends), axis=0)) == pytest.approx(length)
    for name, marks in Study.open(record.folder / "study").annotations().items():
        number = int(name[:7])
        back = sending.to_native(marks, cohort.canvas_transform(number))
        original = study.load_annotations(cohort.names[number])
        np.testing.assert_allclose(back.positions(2), original.positions(2), atol=1e-3)


def test_images_without_spacing_stay_without(untrained, data):
    cohort = Cohort.from_folder(data / "images")
    record = prepare_training(untrained, cohort, job(untrained, cohort), HOST)
    assert not read_image(record.folder / "images" / number_name(0)).geometry.has_spacing


def test_much_is_not_sent_without_asking(patients, monkeypatch):
    study, cohort = patients
    monkeypatch.setattr(sending, "LARGEST_WITHOUT_ASKING", 3 * 64 * 64 * 2 - 1)
    with pytest.raises(InputError, match=r"0\.0 GB of images would be sent") as caught:
        prepare_training(study, cohort, job(study, cohort), HOST)
    assert caught.value.code is ErrorCode.MUCH_TO_SEND
    assert "--yes" in word(caught.value)
    assert list_records() == []
    assert prepare_training(study, cohort, job(study, cohort), HOST, confirmed=True).step is Step.READY


def test_nothing_is_left_where_it_is_cancelled(patients):
    study, cohort = patients
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        prepare_training(study, cohort, job(study, cohort), HOST, cancel=cancel)
    assert list_records() == []


def test_a_model_is_sent_without_the_names_of_its_images(study, data):
    references = [ImageReference(path.name, path) for path in sorted((data / "images").iterdir())]
    record = prepare_detection(
        study, study.models_dir / "001", references, HOST, device="cpu", about={"study": str(study.folder)}
    )
    sent = read_job(record.folder)
    model = load_model(Study.open(sent.study), name="001", device="cpu")
    assert model.digest() == load_model(study, device="cpu").digest()
    for path in record.folder.rglob("*.json"):
        assert "hand_0" not in path.read_text(), path
