"""Models of volumes: what they refuse, native coordinates, files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_landmark.data.cohort.fine_grid import fine_grids
from napari_landmark.data.cohort.isotropic_grid import isotropic_transform
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.errors import InputError, UnknownSpacingError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.model.predictor import PoseNotFoundError
from napari_landmark.detection.model.volume_model import TemplateAtlas, VolumeModel
from napari_landmark.detection.model.volume_model_files import read_volume_model, save_volume_model
from napari_landmark.detection.volumes.alignment import align
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.checkpoint import load_tensors, save_tensors

IDENTITY = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@pytest.fixture
def model(ball_body, cpu, quick_alignment):
    """Model of the upright body, whose cells are half a millimetre."""
    volume = ball_body.draw()
    grey = np.round(volume.array * 65_535) / 65_535
    atlas = Atlas.from_annotation(Pyramid(grey, 0.5), torch.from_numpy(volume.landmarks * 0.5).float())
    return VolumeModel(
        LandmarkSchema(ball_body.names),
        (64, 64, 64),
        [TemplateAtlas.first(atlas, 0.95)],
        has_spacing=True,
        typical_spread=torch.full((4,), 0.5),
        device=cpu,
    )


def _image(array, spacing=(0.5, 0.5, 0.5), direction=IDENTITY):
    geometry = Geometry(array.shape, spacing=spacing, direction=tuple(map(tuple, direction)))
    return MedicalImage(array, geometry, "head.nii.gz")


def test_positions_are_those_of_the_native_volume_whatever_its_axes_and_spacing(model, ball_body):
    """Every second slice, axes exchanged, and stored from right to left."""
    volume = ball_body.draw(rotation=1)
    array = volume.array[::2].transpose(2, 0, 1)[:, :, ::-1]
    truth = volume.landmarks[:, [2, 0, 1]] * (1, 0.5, 1)
    truth[:, 2] = array.shape[2] - 1 - truth[:, 2]
    direction = np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]])
    found = model.detect(_image(array, (0.5, 1.0, 0.5), direction), heatmaps=True)
    off = (found.landmarks.positions() - truth) * (1, 2, 1)
    assert np.linalg.norm(off, axis=1).max() < 1.0
    peaks = [np.unravel_index(heat.argmax(), heat.shape) for heat in found.heatmaps]
    at = np.array(peaks) @ found.heatmap_matrix.T + found.heatmap_offset
    assert np.abs(at - truth).max() < 2.0


def test_something_else_is_refused_by_name(model):
    noise = np.random.default_rng(0).random((50, 50, 50)).astype(np.float32)
    with pytest.raises(PoseNotFoundError, match=r"^head\.nii\.gz: .* in no pose .* by hand$"):
        model.detect(_image(noise))


def test_a_picture_and_an_unknown_spacing_are_refused(model):
    with pytest.raises(InputError, match="has 2 dimensions"):
        model.detect(MedicalImage(np.zeros((9, 9)), Geometry((9, 9)), "film.png"))
    with pytest.raises(UnknownSpacingError, match="spacing is not known"):
        model.detect(MedicalImage(np.zeros((9, 9, 9)), Geometry((9, 9, 9)), "head.tif"))


def test_a_landmark_beyond_the_volume_has_no_position(model, ball_body):
    volume = ball_body.draw(rotation=2)
    last = volume.landmarks[:, 0].argmax()
    cut = volume.array[: int(volume.landmarks[last, 0]) - 1]
    found = model.detect(_image(cut)).landmarks.positions(3)
    assert np.isnan(found[last]).all()
    assert np.isfinite(np.delete(found, last, 0)).all()


def _with_second(model, ball_body, rotation=1, landmarks=None):
    """The model with the body in another pose as its second template, whose landmarks may be others."""
    volume = ball_body.draw(rotation=rotation)
    truth = volume.landmarks if landmarks is None else landmarks
    second = Atlas.from_annotation(Pyramid(volume.array, 0.5), torch.from_numpy(truth * 0.5).float())
    one = align(model.templates[0].atlas, second.volume)
    template = TemplateAtlas(second, 0.95, one.matrix, one.shift)
    return VolumeModel(
        model.schema,
        model.canvas,
        [*model.templates, template],
        has_spacing=True,
        typical_spread=model.typical_spread,
        device=model.device,
    )


def test_atlases_vote_and_one_gives_what_the_other_lacks(model, ball_body):
    landmarks = ball_body.draw(rotation=1).landmarks.copy()
    landmarks[0, 2] += 2  # half of it is left where both vote alike
    landmarks[1] = np.nan
    both = _with_second(model, ball_body, landmarks=landmarks)
    shown = ball_body.draw(rotation=2)
    errors = np.linalg.norm(both.detect(_image(shown.array)).landmarks.positions() - shown.landmarks, axis=1)
    assert errors[0] == pytest.approx(1, abs=0.3)
    assert errors[1:].max() < 0.4


def test_an_atlas_that_resembles_no_pose_has_no_vote(model, ball_body):
    """The first one asks for more than any volume gives: the second alone finds the landmarks, and the same pose."""
    shown = _image(ball_body.draw(rotation=2).array)
    both = _with_second(model, ball_body)
    expected = both.detect(shown)
    both.templates = (both.templates[0]._replace(typical_agreement=2.0), both.templates[1])
    alone = both.detect(shown)
    assert alone.landmarks != expected.landmarks
    assert np.allclose(alone.landmarks.positions(), expected.landmarks.positions(), atol=0.5)
    assert np.allclose(alone.pose.matrix, expected.pose.matrix, atol=0.05)
    assert np.allclose(alone.pose.shift, expected.pose.shift, atol=0.02)


def test_several_atlases_are_read_as_they_were_written(model, tmp_path, ball_body, cpu):
    both = _with_second(model, ball_body)
    save_volume_model(both, tmp_path)
    again = read_volume_model(tmp_path, device=cpu)
    assert len(again.templates) == 2
    assert torch.equal(again.templates[1].matrix, both.templates[1].matrix)
    assert torch.equal(again.templates[1].atlas.landmarks, both.templates[1].atlas.landmarks)


def test_a_model_is_read_as_it_was_written(model, tmp_path, ball_body, cpu):
    save_volume_model(model, tmp_path)
    again = read_volume_model(tmp_path, device=cpu)
    assert again.digest() == model.digest()
    image = _image(ball_body.draw(rotation=1).array)
    assert again.detect(image).landmarks == model.detect(image).landmarks


@pytest.fixture
def fine_model(ball_body, cpu, quick_alignment):
    """Model of the upright body with voxels of half a millimetre, on cells of one, on finer ones around landmarks."""
    volume = ball_body.draw(enlarged=2, noise=0.05)
    image = _image(volume.array)
    transform = isotropic_transform(image.geometry, 1.0)
    grey = Pyramid(np.round(resample(image, transform) * 65_535) / 65_535, 1.0)
    finer = fine_grids(image, transform, cell=1.0, cells=[0.5])
    landmarks = torch.from_numpy(transform.to_working(volume.landmarks)).float()
    return VolumeModel(
        LandmarkSchema(ball_body.names),
        (64, 64, 64),
        [TemplateAtlas.first(Atlas.from_annotation(grey, landmarks, finer=finer), 0.95)],
        has_spacing=True,
        typical_spread=torch.full((4,), 0.5),
        device=cpu,
    )


def test_landmarks_are_found_on_native_voxels(fine_model, ball_body):
    shown = ball_body.draw(rotation=1, bend=1.0, enlarged=2, noise=0.05)
    found = fine_model.detect(_image(shown.array)).landmarks
    errors = np.linalg.norm(found.positions() - shown.landmarks, axis=1)
    assert errors.max() < 0.4  # voxels
    atlas = fine_model.templates[0].atlas
    fine_model.templates = (fine_model.templates[0]._replace(atlas=replace(atlas, finer=())),)
    coarse = fine_model.detect(_image(shown.array)).landmarks
    assert errors.mean() < 0.75 * np.linalg.norm(coarse.positions() - shown.landmarks, axis=1).mean()
    assert found.expected_errors().mean() < coarse.expected_errors().mean()


def test_a_volume_of_larger_voxels_is_not_looked_at_on_finer_cells(fine_model, ball_body):
    shown = ball_body.draw(rotation=1)
    found = fine_model.detect(_image(shown.array, (1.0, 1.0, 1.0))).landmarks
    assert np.linalg.norm(found.positions() - shown.landmarks, axis=1).max() < 0.3


def test_finer_surroundings_are_read_as_they_were_written(fine_model, tmp_path, ball_body, cpu):
    save_volume_model(fine_model, tmp_path)
    again = read_volume_model(tmp_path, device=cpu)
    assert again.digest() == fine_model.digest()
    image = _image(ball_body.draw(rotation=1, enlarged=2).array)
    assert again.detect(image).landmarks == fine_model.detect(image).landmarks


@pytest.mark.parametrize("damage", ["cubes", "centres", "missing"])
def test_finer_surroundings_of_something_else_are_refused_by_name(fine_model, tmp_path, damage):
    save_volume_model(fine_model, tmp_path)
    path = tmp_path / "atlases.safetensors"
    tensors, _ = load_tensors(path)
    if damage == "missing":
        del tensors["0.finer.0.cubes"]
    elif damage == "cubes":
        tensors["0.finer.0.cubes"] = tensors["0.finer.0.cubes"][1:].clone()
    else:
        tensors["0.finer.0.centres"] += 5
    save_tensors(path, tensors)
    with pytest.raises(InputError, match=r"atlases\.safetensors: does not fit"):
        read_volume_model(tmp_path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("finer_cells", [[0.6]]),
        ("finer_cells", [[0.0]]),
        ("finer_cells", [[0.1], [0.1]]),
        ("finer_cells", 0.1),
        ("cell", 0),
        ("cell", "1"),
        ("canvas", [64, 64]),
        ("typical_agreements", [float("nan")]),
        ("typical_agreements", 0.5),
        ("typical_agreements", []),
        ("has_spacing", 1),
    ],
)
def test_a_wrong_sidecar_is_refused_by_name(model, tmp_path, entry, value):
    save_volume_model(model, tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: value}))
    with pytest.raises(InputError, match=r"model\.json: is not a complete model description"):
        read_volume_model(tmp_path)


def test_an_atlas_of_other_landmarks_is_refused_by_name(model, tmp_path):
    save_volume_model(model, tmp_path)
    path = tmp_path / "model.json"
    content = json.loads(path.read_text())
    content["schema"]["landmarks"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"atlases\.safetensors: does not fit"):
        read_volume_model(tmp_path)
