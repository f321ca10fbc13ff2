"""Patient data of a DICOM file reach no output, log, cache, model, report or message."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_landmark.cli.app import main
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.synthetic import hand_phantom

from .data.images.dicom_files import save

pytestmark = pytest.mark.usefixtures("quick")
SECRET = "Zwiebelfisch"  # in every tag that may identify a patient
TAGS = {
    "PatientName": f"{SECRET}^Erika",
    "PatientID": f"{SECRET}-4711",
    "PatientBirthDate": "19700101",
    "PatientAddress": f"{SECRET} street 1",
    "InstitutionName": f"{SECRET} hospital",
    "ReferringPhysicianName": f"{SECRET}^Doctor",
    "OperatorsName": f"{SECRET}^Operator",
    "StudyDescription": f"{SECRET} study",
    "SeriesDescription": f"{SECRET} series",
    "ImageComments": f"{SECRET} comment",
    "AccessionNumber": SECRET,
    "StationName": SECRET,
    "OtherPatientIDs": SECRET,
    "PatientComments": SECRET,
}


@pytest.fixture
def patients(tmp_path):
    """DICOM images with patient data, and the landmarks of the first."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(3):
        phantom = hand_phantom(seed, size=(64, 64))
        array = np.ascontiguousarray(phantom.image.array.astype("<u2") * 16)
        save(folder / f"{seed}.dcm", array, StudyInstanceUID=generate_uid(), PixelSpacing=[0.5, 0.5], **TAGS)
        if seed == 0:
            write_landmarks(tmp_path / "template.csv", {"0.dcm": phantom.landmarks})
    assert SECRET.encode() in (folder / "0.dcm").read_bytes()
    return folder


def test_no_file_or_message_identifies_a_patient(patients, tmp_path, capfd, caplog, monkeypatch):
    out = tmp_path / "out"
    cache = tmp_path / "cache"
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(cache))
    study, table = out / "study", out / "found.csv"
    broken = (patients / "2.dcm").read_bytes()
    (patients / "broken.dcm").write_bytes(broken[: len(broken) - 3000])
    commands = [
        ["train", "--images", patients, "--template", patients / "0.dcm", "--landmarks", tmp_path / "template.csv",
         "--out", study, "--device", "cpu"],
        ["detect", study, "--images", patients, "--out", table, "--heatmaps", out / "heat", "--device", "cpu"],
        ["convert", table, out / "{image}.mrk.json", "--images", patients],
        ["convert", table, out / "all.fcsv", "--images", patients],  # refused: several images
        ["convert", table, out / "all.json", "--images", patients],
        ["convert", table, out / "all.tps", "--images", patients],
        ["evaluate", table, table],
    ]  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        codes = [main([str(part) for part in command]) for command in commands]
    assert codes == [0, 0, 0, 2, 0, 0, 0]
    assert set(read_landmarks(table)) == {"0.dcm", "1.dcm", "2.dcm"}
    files = [path for folder in (out, cache) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    printed = "".join(capfd.readouterr()) + caplog.text
    for word in (SECRET, "Erika", "19700101"):
        assert word not in printed
        for path in files:
            assert word.encode() not in path.read_bytes(), path
            assert word not in path.name


def test_results_name_files_relative_to_their_folder(patients, tmp_path):
    """Files that are passed on (tables, heatmaps, their records, models, reports) contain no absolute path."""
    out = tmp_path / "out"
    study = out / "study"
    assert main(["train", "--images", str(patients), "--template", str(patients / "0.dcm"), "--landmarks",
                 str(tmp_path / "template.csv"), "--out", str(study), "--device", "cpu"]) == 0  # fmt: skip
    assert main(["detect", str(study), "--images", str(patients), "--out", str(out / "found.csv"), "--heatmaps",
                 str(out / "heat"), "--device", "cpu"]) == 0  # fmt: skip
    passed_on = [out / "found.csv", out / "found.csv.run.json", *(out / "heat").iterdir()]
    passed_on += [
        path
        for part in ("models", "predictions", "annotations", "report")
        for path in (study / part).rglob("*")
    ]
    for path in passed_on:
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path
