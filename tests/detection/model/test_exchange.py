"""Models passed on as archives: the same predictions, no names of images, and nothing damaged."""

from __future__ import annotations

import hashlib
import json
import zipfile

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.exchange import import_model
from napari_landmark.detection.model.store import load_model, model_folders
from napari_landmark.learning.model_archive import write_archive


@pytest.fixture
def archive(study, tmp_path):
    """Archive of a small model."""
    path = tmp_path / "hands.model.zip"
    write_archive(model_folders(study)[0], path)
    return path


def rewritten(archive, change):
    """The archive with a change of its files (dict of name to bytes) and of its manifest, with right checksums."""
    with zipfile.ZipFile(archive) as source:
        files = {name: source.read(name) for name in source.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    change(files, manifest)
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("manifest.json", json.dumps(manifest))
        for name, data in files.items():
            target.writestr(name, data)
    return archive


def relisted(files, manifest):
    manifest["files"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }


def test_an_imported_model_predicts_the_same(study, cohort, archive, tmp_path):
    folder = import_model(archive, tmp_path / "elsewhere")
    other = Study.open(tmp_path / "elsewhere")
    assert folder == other.models_dir / "001"
    assert other.schema == study.schema
    image = cohort.read(2)
    first, second = (load_model(one, device="cpu") for one in (study, other))
    assert first.digest() == second.digest()
    np.testing.assert_array_equal(
        first.detect(image).landmarks.positions(2), second.detect(image).landmarks.positions(2)
    )


def test_a_study_keeps_its_own_models(study, archive):
    before = {path: path.read_bytes() for path in model_folders(study)[0].iterdir()}
    folder = import_model(archive, study.folder)
    assert folder.name == "002"
    assert [path.name for path in model_folders(study)] == ["001", "002"]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_no_name_of_an_image_is_in_an_archive(study, cohort, archive):
    with zipfile.ZipFile(archive) as source:
        everything = b"".join(source.read(name) for name in source.namelist())
    assert b"MODEL_CARD.md" in everything
    assert not any(name.encode() in everything for name in cohort.names)
    assert json.loads(zipfile.ZipFile(archive).read("model.json"))["training"]["templates_count"] == 1


def test_the_same_model_gives_the_same_bytes(study, archive, tmp_path):
    again = tmp_path / "again.model.zip"
    checksum = write_archive(model_folders(study)[0], again)
    assert archive.read_bytes() == again.read_bytes()
    assert checksum == hashlib.sha256(again.read_bytes()).hexdigest()


def test_a_study_of_other_landmarks_refuses_it(archive, tmp_path):
    other = Study.create(tmp_path / "other", schema=LandmarkSchema(("tip", "base")))
    with pytest.raises(InputError, match="lacks the landmark"):
        import_model(archive, other.folder)
    assert model_folders(other) == []


def test_a_folder_that_is_no_study_is_left_alone(archive, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no study"):
        import_model(archive, tmp_path / "full")


def flip_a_bit(archive):
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)


def cut(archive):
    archive.write_bytes(archive.read_bytes()[:-2000])


def leave_a_file_out(archive):
    rewritten(archive, lambda files, manifest: files.pop("embedding.safetensors"))


def add_a_path(archive):
    def change(files, manifest):
        files["../../evil.safetensors"] = b"x"
        relisted(files, manifest)

    rewritten(archive, change)


def compress(archive):
    with zipfile.ZipFile(archive) as source:
        files = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name, data)


def come_from_later(archive):
    rewritten(archive, lambda files, manifest: manifest.update(version=2))


def be_of_another_program(archive):
    rewritten(archive, lambda files, manifest: manifest.update(format="something"))


def fit_no_network(archive):
    def change(files, manifest):
        sidecar = json.loads(files["model.json"])
        sidecar["embedding"]["size"] *= 2
        files["model.json"] = json.dumps(sidecar).encode()
        relisted(files, manifest)

    rewritten(archive, change)


def be_text(archive):
    archive.write_text("no archive")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_bit, "damaged"),
        (cut, "damaged"),
        (leave_a_file_out, "embedding.safetensors is missing"),
        (add_a_path, "which no model has"),
        (compress, "compressed"),
        (come_from_later, "newer version"),
        (be_of_another_program, "no archive of a model"),
        (fit_no_network, "do not fit"),
        (be_text, "damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_or_hostile_archive_leaves_nothing_behind(archive, tmp_path, damage, message):
    damage(archive)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=message):
        import_model(archive, tmp_path / "study")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_archive_has_its_ending(study, tmp_path):
    with pytest.raises(InputError, match=r"\.model\.zip"):
        write_archive(model_folders(study)[0], tmp_path / "model.zip")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no model"):
        write_archive(tmp_path, tmp_path / "a.model.zip")
