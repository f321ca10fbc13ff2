"""A folder is worked through one image after another; what cannot be used is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.detection.inference.folder import detect_folder
from napari_landmark.detection.inference.shard import Shard
from napari_landmark.detection.model.store import load_model
from napari_landmark.progress import CancelToken


@pytest.fixture
def model(study):
    return load_model(study, device="cpu")


def test_every_image_of_the_folder(model, data, phantoms):
    events = []
    found = detect_folder(model, data / "images", progress=events.append)
    names = [phantom.image.name for phantom in phantoms]
    assert list(found.landmarks) == list(found.geometries) == names
    assert found.skipped_files == []
    assert not found.cancelled
    assert [event.fraction for event in events] == [0.25, 0.5, 0.75, 1.0]
    alone = model.detect(phantoms[1].image).landmarks
    np.testing.assert_allclose(found.landmarks[names[1]].positions(), alone.positions(), atol=1e-4)


def test_bad_files_are_named_once_and_the_rest_is_done(model, data):
    folder = data / "images"
    whole = (folder / "hand_001.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("hello")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "dot.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 40, 3), dtype=np.uint8)).save(
        folder / "photo.jpg"
    )
    Image.fromarray(np.zeros((40, 90), np.uint16) + np.arange(90, dtype=np.uint16) * 500).save(
        folder / "deep.tif"
    )
    found = detect_folder(model, folder)
    assert set(found.landmarks) == {f"hand_00{k}.png" for k in range(4)} | {"photo.jpg", "deep.tif"}
    assert {problem.name for problem in found.skipped_files} == {"cut.png", "notes.txt", "dot.png"}
    for problem in found.skipped_files:
        assert problem.name not in problem.reason
        assert str(folder) not in problem.reason


def test_a_volume_among_pictures_is_a_problem(model, data):
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9, 9), np.uint8)), str(data / "images" / "v.nii"))
    found = detect_folder(model, data / "images")
    assert [problem.name for problem in found.skipped_files] == ["v.nii"]
    assert found.skipped_files[0].reason.startswith("has 3 dimensions")


def test_spacing_goes_into_the_geometries(model, data):
    found = detect_folder(model, data / "images", spacing=0.5)
    assert all(geometry.spacing == (0.5, 0.5) for geometry in found.geometries.values())


def test_heatmaps(model, data, tmp_path):
    detect_folder(model, data / "images", heatmaps=tmp_path / "heat")
    assert len(list((tmp_path / "heat").glob("*.heatmaps.nrrd"))) == 4
    assert len(list((tmp_path / "heat").glob("*.png"))) == 4


def test_cancel(model, data):
    token = CancelToken()
    found = detect_folder(model, data / "images", progress=lambda event: token.cancel(), cancel=token)
    assert found.cancelled
    assert list(found.landmarks) == ["hand_000.png"]


@pytest.mark.parametrize("content", [None, "text"])
def test_nothing_to_work_on(model, tmp_path, content):
    folder = tmp_path / "empty"
    folder.mkdir()
    if content:
        (folder / "x.png").write_text(content)
    with pytest.raises(InputError, match="holds no image that can be used; choose the folder") as caught:
        detect_folder(model, folder)
    assert str(folder) in str(caught.value)
    assert ("x.png" in str(caught.value)) == bool(content)


def test_no_such_folder(model, tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        detect_folder(model, tmp_path / "nothing")


def test_a_shard_of_a_folder(model, data):
    parts = [detect_folder(model, data / "images", shard=Shard(index, 2)) for index in range(2)]
    assert [list(part.landmarks) for part in parts] == [
        ["hand_000.png", "hand_002.png"],
        ["hand_001.png", "hand_003.png"],
    ]


def test_no_journal_is_left_where_nothing_can_be_used(model, tmp_path):
    folder, journal = tmp_path / "images", tmp_path / "x.jsonl"
    folder.mkdir()
    (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"holds no image that can be used.*cut\.png"):
        detect_folder(model, folder, journal=journal)
    assert not journal.exists()
