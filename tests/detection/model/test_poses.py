"""Detection of images in another pose, with networks replaced by a comparison with a known picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import fit_canvas_transform, resample, resample_array
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import Status
from napari_landmark.data.sides import Mirroring, Sides
from napari_landmark.detection.model import landmark_model
from napari_landmark.detection.model.embedding_trials import reduced_transform
from napari_landmark.detection.model.judgement import UsualErrors
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.serialization import read_model, save_model
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.pose.options import PoseOptions
from napari_landmark.detection.pose.search import PoseTrial

USUAL = 2.0


@pytest.fixture
def picture():
    texture = gaussian_filter(np.random.default_rng(3).normal(size=(90, 90)), 9)
    texture = (texture - texture.min()) / (texture.max() - texture.min())
    return np.round(255 * texture).astype(np.uint8)


@pytest.fixture
def model(study, picture, monkeypatch):
    """Model that knows the picture: its error is the difference from it, its landmarks are at fixed positions."""
    model = load_model(study, device="cpu")
    model.pose_options = PoseOptions(USUAL, Sides())
    model.usual_errors = None  # those of its networks
    image = MedicalImage(picture, Geometry(picture.shape), "p")
    known = resample(image, fit_canvas_transform(image.geometry, model.canvas))
    count = len(model.schema)
    positions = np.random.default_rng(0).uniform(10, 50, (count, 2))
    model.descriptors = replace(
        model.descriptors,
        positions=model.descriptors.positions * 0 + model.descriptors.positions.new_tensor(positions),
    )

    def predict(self, pixels, *, heatmaps=False):
        error = USUAL + 100 * abs(pixels - known).mean()
        heat = np.zeros((count, 4, 4), np.float32) if heatmaps else None
        return landmark_model._Prediction(
            positions, np.ones(count), np.full(count, error), heat, 16, np.ones(count)
        )

    def matching(self, upright):
        def evaluate(pose):
            pixels = resample_array(upright, (0.0, 1.0), reduced_transform(upright.shape, pose, 1))
            errors = np.full(count, USUAL + 100 * abs(pixels - known).mean())
            return PoseTrial(pose, errors[0], positions, errors)

        return evaluate

    monkeypatch.setattr(LandmarkModel, "_predict", predict)
    monkeypatch.setattr(LandmarkModel, "_matching", matching)
    model.truth = fit_canvas_transform(image.geometry, model.canvas).to_native(positions)
    return model


def detected(model, array, **options):
    return model.detect(MedicalImage(array, Geometry(array.shape), "x"), **options)


def test_an_ordinary_image_is_predicted_once(model, picture, monkeypatch):
    calls, honest = [], LandmarkModel._predict
    monkeypatch.setattr(LandmarkModel, "_predict", lambda *a, **o: (calls.append(1), honest(*a, **o))[1])
    found = detected(model, picture)
    assert len(calls) == 1
    assert found.pose.is_upright
    assert found.working_error == pytest.approx(USUAL, abs=0.1)
    np.testing.assert_allclose(found.landmarks.positions(), model.truth, atol=1e-6)


def test_positions_of_turned_images_are_native(model, picture):
    side = len(picture) - 1
    mirrored = detected(model, picture[:, ::-1])
    assert mirrored.pose.is_mirrored
    np.testing.assert_allclose(mirrored.landmarks.positions(), model.truth * [1, -1] + [0, side], atol=1e-6)
    turned = detected(model, 255 - np.rot90(picture), heatmaps=True)
    assert turned.pose.inverted
    assert turned.pose.angle == pytest.approx(90)
    expected = np.stack([side - model.truth[:, 1], model.truth[:, 0]], 1)
    np.testing.assert_allclose(turned.landmarks.positions(), expected, atol=1e-6)
    # A cell of the heatmaps lies where the working grid lies.
    cell = turned.heatmap_matrix @ [1, 2] + turned.heatmap_offset
    working = fit_canvas_transform(Geometry(picture.shape), model.canvas, turned.pose).to_native(
        [[23.5, 39.5]]
    )
    np.testing.assert_allclose(cell, working[0], atol=1e-6)


def test_a_letterbox_is_cut(model, picture):
    boxed = np.zeros((150, 90), np.uint8)
    boxed[30:120] = picture
    found = detected(model, boxed)
    np.testing.assert_allclose(found.landmarks.positions(), model.truth + np.array([30, 0]), atol=1.5)


@pytest.mark.parametrize("rows", [50, 32])
def test_a_part_is_found_at_once_with_the_others_missing(model, picture, monkeypatch, rows):
    """A few sure landmarks explain why the other ones are not found: no other pose is tried."""
    part, calls = picture[:rows], []
    inside = model.truth[:, 0] < rows - 1
    assert 3 <= inside.sum() < 0.8 * len(inside)
    transform = fit_canvas_transform(Geometry(part.shape), model.canvas)
    positions = transform.to_working(model.truth.clip(0, [rows - 1, 89]))
    model.usual_errors = UsualErrors(np.full(len(inside), USUAL))

    def predict(self, pixels, *, heatmaps=False):
        calls.append(1)
        errors = np.where(inside, USUAL, 12 * USUAL)
        sure = np.ones(len(inside))
        return landmark_model._Prediction(positions, sure, errors, None, 16, sure)

    monkeypatch.setattr(LandmarkModel, "_predict", predict)
    found = detected(model, part).landmarks
    assert found.image_state is ImageState.FOUND
    assert len(calls) == 1
    missing = np.array([mark.status is Status.PREDICTED_MISSING for mark in found.values()])
    np.testing.assert_array_equal(missing, ~inside)
    np.testing.assert_allclose(found.positions(2)[inside], model.truth[inside], atol=1e-6)


def test_two_subjects_are_told_though_one_of_them_is_mirrored(model, picture):
    model.usual_errors = UsualErrors(np.full(len(model.schema), USUAL))
    found = detected(model, np.hstack([picture, picture[:, ::-1]]))
    assert found.landmarks.image_state is ImageState.SEVERAL
    side, (first, second) = len(picture), sorted(marks.positions()[:, 1].mean() for marks in found.subjects)
    assert first == pytest.approx(model.truth[:, 1].mean(), abs=1)
    assert second == pytest.approx(2 * side - 1 - model.truth[:, 1].mean(), abs=1)
    assert detected(model, picture).landmarks.image_state is ImageState.FOUND


def test_names_of_mirror_images(model, picture):
    first, second = model.schema.names[:2]
    pairs = ((first, second),)
    model.pose_options = PoseOptions(USUAL, Sides(Mirroring.SWAPPED, pairs))
    same, other = detected(model, picture), detected(model, picture[:, ::-1])
    mirrored = same.landmarks.positions() * [1, -1] + [0, len(picture) - 1]
    np.testing.assert_allclose(other.landmarks.positions()[[1, 0]], mirrored[:2], atol=1e-6)
    np.testing.assert_allclose(other.landmarks.positions()[2:], mirrored[2:], atol=1e-6)
    model.pose_options = PoseOptions(USUAL, Sides(Mirroring.NEVER, pairs))
    assert not detected(model, picture[:, ::-1]).pose.is_mirrored


def test_a_model_that_knows_no_usual_error_takes_images_as_they_are(model, picture):
    for options in (None, PoseOptions()):
        model.pose_options = options
        assert detected(model, picture[:, ::-1]).pose.is_upright


def test_a_known_pose_is_used_again_unless_the_image_is_another(model, picture, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    for name, array in (("a.png", picture[:, ::-1]), ("b.png", picture)):
        Image.fromarray(np.ascontiguousarray(array)).save(tmp_path / "images" / name)
    cohort = Cohort.from_folder(tmp_path / "images", working_size=max(model.canvas), cache_dir=tmp_path / "c")
    found = model.detect_in_cohort(cohort, 0)
    assert found.pose.is_mirrored
    model.poses = {"a.png": found.pose, "b.png": found.pose}
    calls, honest = [], LandmarkModel._predict
    monkeypatch.setattr(LandmarkModel, "_predict", lambda *a, **o: (calls.append(1), honest(*a, **o))[1])
    assert model.detect_in_cohort(cohort, 0).landmarks == found.landmarks
    assert len(calls) == 1
    assert model.detect_in_cohort(cohort, 1).pose.is_upright


def test_options_and_poses_are_saved(model, tmp_path):
    model.pose_options = PoseOptions(1.25, Sides(Mirroring.SWAPPED, (("a", "b"),)), 2.5)
    model.poses = {"a.png": Pose.of_rotation(np.eye(2), inverted=True)}
    save_model(model, tmp_path / "m")
    again = read_model(tmp_path / "m", device=model.device)
    assert again.pose_options == model.pose_options
    assert again.poses == model.poses
