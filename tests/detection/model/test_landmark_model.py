"""Predictions of a model in one image, and its digest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import Status
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.serialization import read_model, save_model
from napari_landmark.detection.model.stated_errors import StatedErrors
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.refinement.native_refinement import build_native_refiner
from napari_landmark.detection.training.train import predict_cohort


@pytest.fixture
def model(study):
    return load_model(study, device="cpu")


@pytest.fixture
def unjudging(model):
    """The model without judgement: after a few steps it puts landmarks anywhere, and calls some of them missing."""
    model.usual_errors = model.pose_options = None
    model.poses = {}
    return model


@pytest.fixture
def image(phantoms):
    return phantoms[2].image


class TestDetect:
    def test_landmarks_of_an_image(self, unjudging, image):
        found = unjudging.detect(image).landmarks
        assert found.schema == unjudging.schema
        assert all(mark.status is Status.PREDICTED for mark in found.values())
        assert np.isfinite(found.positions()).all()
        assert ((found.confidences() >= 0) & (found.confidences() <= 1)).all()
        assert (found.expected_errors() > 0).all()

    def test_the_same_again(self, unjudging, image):
        assert unjudging.detect(image).landmarks == unjudging.detect(image).landmarks

    def test_size_and_spacing_of_the_file_do_not_matter(self, unjudging, image):
        large = MedicalImage(np.kron(image.array, np.ones((3, 3), np.uint8)), Geometry((192, 192)), "large")
        small, large = unjudging.detect(image).landmarks, unjudging.detect(large).landmarks
        # Pixel i of the small image is the middle of the pixels 3 i to 3 i + 2 of the large one.
        np.testing.assert_allclose((large.positions() - 1) / 3, small.positions(), atol=0.5)
        np.testing.assert_allclose(large.expected_errors(), 3 * small.expected_errors(), rtol=0.1)

    @pytest.mark.parametrize("value", [0, 255])
    def test_a_blank_image(self, unjudging, value):
        blank = MedicalImage(np.full((70, 50), value, np.uint8), Geometry((70, 50)), "blank")
        assert np.isfinite(unjudging.detect(blank).landmarks.positions()).all()

    def test_heatmaps(self, unjudging, image):
        assert unjudging.detect(image).heatmaps is None
        detection = unjudging.detect(image, heatmaps=True)
        assert detection.heatmaps.dtype == np.float32
        assert len(detection.heatmaps) == len(unjudging.schema)
        np.testing.assert_allclose(detection.heatmaps.max((1, 2)), 1, atol=1e-6)
        assert detection.heatmaps.min() >= 0
        # The grid covers the image: its corners lie half a step beyond the corners of the canvas.
        corner = detection.heatmap_matrix @ [-0.5, -0.5] + detection.heatmap_offset
        end = (
            detection.heatmap_matrix @ (np.array(detection.heatmaps.shape[1:]) - 0.5)
            + detection.heatmap_offset
        )
        np.testing.assert_allclose(corner, [-0.5, -0.5], atol=1e-9)
        np.testing.assert_allclose(end, np.array(image.array.shape) - 0.5, atol=1e-9)

    def test_a_cohort_drawn_at_another_size_is_read_from_its_files(self, unjudging, data):
        for path in (data / "images").iterdir():
            Image.fromarray(np.kron(np.asarray(Image.open(path)), np.ones((3, 3), np.uint8))).save(path)
        same = Cohort.from_folder(data / "images", working_size=64)
        other = Cohort.from_folder(data / "images", working_size=192)
        assert other.canvas == (192, 192) != unjudging.canvas == same.canvas
        expected = unjudging.detect_in_cohort(same, 2).landmarks
        unjudged = unjudging.detect_working(same.working(2), same.canvas_transform(2)).landmarks
        assert dict(expected) == dict(unjudged)
        assert unjudged.image_state is None
        found = unjudging.detect_in_cohort(other, 2, heatmaps=True)
        assert found.landmarks == unjudging.detect(other.read(2)).landmarks
        assert (
            found.heatmaps.shape[1:] == unjudging.detect_in_cohort(same, 2, heatmaps=True).heatmaps.shape[1:]
        )
        assert predict_cohort(unjudging, other)["hand_002.png"] == found.landmarks

    def test_a_volume_for_a_model_of_pictures(self, unjudging):
        volume = MedicalImage(np.zeros((8, 9, 10), np.uint8), Geometry((8, 9, 10)), "head.nii")
        with pytest.raises(InputError, match=r"head\.nii: has 3 dimensions, the model was trained on 2-D"):
            unjudging.detect(volume)

    def test_without_a_detector_the_embedding_answers(self, unjudging, image):
        alone = LandmarkModel(
            unjudging.schema,
            unjudging.canvas,
            unjudging.embedding,
            unjudging.descriptors,
            None,
            device=unjudging.device,
        )
        detection = alone.detect(image, heatmaps=True)
        assert np.isfinite(detection.landmarks.positions()).all()
        np.testing.assert_allclose(detection.heatmaps.max((1, 2)), 1, atol=1e-6)

    def test_the_template_is_matched_with_itself(self, unjudging, phantoms):
        # However little the network has learned: a point is most like itself.
        alone = LandmarkModel(
            unjudging.schema,
            unjudging.canvas,
            unjudging.embedding,
            unjudging.descriptors,
            None,
            device=unjudging.device,
        )
        found = alone.detect(phantoms[0].image).landmarks.positions()
        error = np.linalg.norm(found - phantoms[0].landmarks.positions(), axis=1)
        assert np.median(error) < 4  # a cell of the finest map

    def test_refinement_moves_positions_and_changes_their_expected_error(self, unjudging, image):
        refined = unjudging.detect(image, heatmaps=True)
        unjudging.refiner = None
        plain = unjudging.detect(image, heatmaps=True)
        moved = np.linalg.norm(refined.landmarks.positions() - plain.landmarks.positions(), axis=1)
        assert moved.max() > 0.1
        assert moved.max() < 32  # from the middle of a window to its corner
        assert not np.allclose(refined.landmarks.expected_errors(), plain.landmarks.expected_errors())
        np.testing.assert_array_equal(refined.heatmaps, plain.heatmaps)

    @pytest.mark.parametrize("detector", [True, False])
    def test_what_no_template_shows_is_not_predicted(self, unjudging, image, detector):
        unjudging.descriptors.positions[:, 3] = float("nan")
        unjudging.refiner.descriptors.offsets[:, 3] = float("nan")
        model = LandmarkModel(
            unjudging.schema,
            unjudging.canvas,
            unjudging.embedding,
            unjudging.descriptors,
            unjudging.detector if detector else None,
            refiner=unjudging.refiner,
            device=unjudging.device,
        )
        detection = model.detect(image, heatmaps=True)
        marks = list(detection.landmarks.values())
        assert marks[3].position is None
        assert marks[3].status is Status.UNPLACED
        assert all(mark.position is not None for k, mark in enumerate(marks) if k != 3)
        assert (detection.heatmaps[3] == 0).all()

    def test_what_no_template_shows_does_not_make_the_others_doubtful(self, unjudging, image):
        before = unjudging.detect(image).landmarks.expected_errors()
        shown = [0, 1, 2, 3]
        for positions in (unjudging.descriptors.positions, unjudging.refiner.descriptors.offsets):
            absent = torch.ones(positions.shape[1], dtype=torch.bool)
            absent[shown] = False
            positions[:, absent] = float("nan")
        after = unjudging.detect(image).landmarks.expected_errors()
        assert np.flatnonzero(np.isfinite(after)).tolist() == shown
        # Counted as without consensus, the others would raise the error of the whole image by a fifth and more.
        np.testing.assert_allclose(after[shown] / before[shown], 1, atol=0.1)


class TestKriging:
    """Predictions with stated errors: what is uncertain follows what is sure."""

    @staticmethod
    def stated(model, *, uncertain):
        """Errors of a tenth of a pixel, of one landmark of hundreds."""
        count = len(model.schema)
        levels = np.where(np.arange(count) == uncertain, 500.0, 0.1)
        covariances = levels[:, None, None] ** 2 * np.eye(2)
        return StatedErrors(np.full(count, 1.0), covariances, np.ones(count)), levels

    def test_an_uncertain_landmark_follows_the_others(self, unjudging, image):
        alone = unjudging.detect(image).landmarks
        errors, levels = self.stated(unjudging, uncertain=2)
        factors = levels / alone.expected_errors()
        unjudging.stated_errors = replace(errors, factors=factors)
        kriged = unjudging.detect(image).landmarks
        others = np.arange(len(levels)) != 2
        np.testing.assert_allclose(kriged.positions()[others], alone.positions()[others], atol=1.0)
        template = unjudging.descriptors.positions[0].cpu().numpy()
        affine = np.column_stack([template, np.ones(len(template))])
        told, *_ = np.linalg.lstsq(affine[others], alone.positions()[others], rcond=None)
        expected = np.clip(affine[2] @ told, 0, 63)
        before = np.linalg.norm(alone.positions()[2] - expected)
        assert np.linalg.norm(kriged.positions()[2] - expected) < max(0.5 * before, 10)

    def test_nothing_leaves_the_image(self, unjudging, image):
        unjudging.stated_errors, _ = self.stated(unjudging, uncertain=0)
        positions = unjudging.detect(image).landmarks.positions()
        assert (positions >= -0.5).all()
        assert (positions <= np.array(image.array.shape) - 0.5).all()

    def test_a_model_of_an_earlier_version_predicts_what_it_did(self, unjudging, image):
        alone = unjudging.detect(image).landmarks
        errors, _ = self.stated(unjudging, uncertain=2)
        unjudging.stated_errors = replace(errors, shares=None)
        np.testing.assert_array_equal(unjudging.detect(image).landmarks.positions(), alone.positions())

    def test_many_annotated_images_tell_the_shapes_themselves(self, unjudging, image):
        unjudging.patch_detector = replace(unjudging.patch_detector, is_alone=True)
        alone = unjudging.detect(image).landmarks
        unjudging.stated_errors, _ = self.stated(unjudging, uncertain=2)
        np.testing.assert_array_equal(unjudging.detect(image).landmarks.positions(), alone.positions())

    def test_a_landmark_without_stated_error_stays(self, unjudging, image):
        alone = unjudging.detect(image).landmarks
        errors, _ = self.stated(unjudging, uncertain=1)
        factors, covariances = errors.factors.copy(), errors.covariances.copy()
        factors[1] = covariances[1] = np.nan
        unjudging.stated_errors = StatedErrors(factors, covariances, errors.shares)
        kriged = unjudging.detect(image).landmarks
        name = unjudging.schema.names[1]
        assert kriged[name] == alone[name]


class TestNativePixels:
    @pytest.fixture
    def large(self, data):
        """The hands of the data, four times as large."""
        for path in (data / "images").iterdir():
            Image.fromarray(np.kron(np.asarray(Image.open(path)), np.ones((4, 4), np.uint8))).save(path)
        return Cohort.from_folder(data / "images", working_size=64)

    @pytest.fixture
    def native(self, unjudging, large, phantoms):
        """The model with a refinement on native pixels."""
        positions = large.canvas_transform(0).to_working(4 * phantoms[0].landmarks.positions() + 1.5)
        templates = [Template(0, positions)]
        unjudging.native_refiner = build_native_refiner(
            unjudging.refiner.network, large, templates, unjudging.device
        )
        return unjudging

    def test_positions_and_expected_errors_follow_them(self, native, large):
        image = large.read(2)
        refined = native.detect(image).landmarks
        native.native_refiner = None
        plain = native.detect(image).landmarks
        moved = np.linalg.norm(refined.positions() - plain.positions(), axis=1)
        assert 0.1 < moved.max() < 32
        assert not np.allclose(refined.expected_errors(), plain.expected_errors())

    def test_an_image_of_a_cohort_is_read_once_more(self, native, large):
        cached = native.detect_in_cohort(large, 2).landmarks.positions()
        read = native.detect(large.read(2)).landmarks.positions()
        # The cache has half precision; after so short a training that is enough for another match of some landmarks.
        assert np.nanmedian(abs(cached - read)) < 0.05
        native.native_refiner = None
        coarse = native.detect_in_cohort(large, 2).landmarks.positions()
        assert np.nanmedian(abs(cached - coarse)) > 0.2

    def test_an_image_of_few_pixels_is_as_before(self, native, image):
        with_it = native.detect(image).landmarks
        native.native_refiner = None
        assert native.detect(image).landmarks == with_it

    def test_an_image_that_cannot_be_read_any_more_is_refined_on_the_working_grid(
        self, native, large, caplog
    ):
        large.paths[2].unlink()
        found = native.detect_in_cohort(large, 2).landmarks
        assert "only its cached pixels are used" in caplog.text
        native.native_refiner = None
        assert native.detect_in_cohort(large, 2).landmarks == found

    def test_there_and_back(self, native, large, tmp_path):
        save_model(native, tmp_path / "copy")
        again = read_model(tmp_path / "copy", device=native.device)
        assert again.native_refiner.zoom == native.native_refiner.zoom == 4
        assert again.detect(large.read(2)).landmarks == native.detect(large.read(2)).landmarks
        assert again.digest() == native.digest()
        native.native_refiner = None
        assert again.digest() != native.digest()

    @pytest.mark.parametrize("value", ["-4", "NaN", "1e999", '"x"', "[4]", "1", "1" + "0" * 400])
    def test_a_zoom_that_cannot_be(self, native, tmp_path, value):
        save_model(native, tmp_path / "copy")
        path = tmp_path / "copy" / "model.json"
        path.write_text(path.read_text().replace('"native_zoom": 4.0', f'"native_zoom": {value}'))
        with pytest.raises(InputError, match="not a complete model description"):
            read_model(tmp_path / "copy", device=native.device)

    def test_templates_that_are_missing_are_named(self, native, tmp_path):
        save_model(native, tmp_path / "copy")
        (tmp_path / "copy" / "native_templates.safetensors").unlink()
        with pytest.raises(InputError, match=r"native_templates\.safetensors"):
            read_model(tmp_path / "copy", device=native.device)


class TestDigest:
    def test_the_same_for_the_same_model(self, model, study):
        assert model.digest() == load_model(study, device="cpu").digest()

    def test_every_part_counts(self, model, study):
        def changed(change):
            other = load_model(study, device="cpu")
            with torch.no_grad():
                change(other)
            return other.digest()

        digests = {
            model.digest(),
            changed(lambda m: m.embedding.heads[0].weight.add_(1)),
            changed(lambda m: m.descriptors.vectors[0].add_(1)),
            changed(lambda m: m.descriptors.positions.add_(1)),
            changed(lambda m: m.detector.head.weight.add_(1)),
            changed(lambda m: m.refiner.network.heads[0].weight.add_(1)),
            changed(lambda m: m.refiner.descriptors.vectors[1].add_(1)),
            changed(lambda m: setattr(m, "refiner", None)),
            changed(lambda m: setattr(m, "detector", None)),
        }
        assert len(digests) == 9
