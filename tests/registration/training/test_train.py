"""Training of a registration model for a few steps."""

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.train import CHECKPOINT, train_registration

FEW = RegistrationOptions(device="cpu", steps=6)


class TestTraining:
    def test_reports_its_terms(self, trained):
        model, _ = trained
        assert {"similarity", "dice", "bending", "jacobian"} <= set(model.record["terms"])
        assert model.record["history"]["steps"] == 6
        assert not model.record["cancelled"]

    def test_a_stored_model_predicts_the_same(self, trained, phantoms):
        model, folder = trained
        again = RegistrationModel.load(folder, device=choose_device("cpu"))
        first, second = phantoms[2].image, phantoms[3].image
        points = phantoms[2].landmarks.positions()
        np.testing.assert_allclose(
            model.register(first, second).transform.to_moving(points),
            again.register(first, second).transform.to_moving(points),
            atol=1e-3,  # sums are taken in another order after loading
        )
        assert again.labels == model.labels
        assert not (folder / CHECKPOINT).exists()

    def test_without_labels(self, cohort, phantoms):
        model = train_registration(cohort, {}, options=FEW)
        assert model.segmenter is None
        assert "dice" not in model.record["terms"]
        found = model.register(phantoms[0].image, phantoms[1].image)
        assert found.fixed_regions is None

    @pytest.mark.parametrize("changes", [{"warped_labels": True}])
    def test_other_options(self, cohort, labels, changes):
        options = RegistrationOptions(device="cpu", steps=5, **changes)
        assert train_registration(cohort, labels, options=options).record["history"]["steps"] == 5

    def test_a_term_can_be_switched_off(self, cohort, labels):
        options = RegistrationOptions(device="cpu", steps=6, weights=LossWeights(dice=0, jacobian=0))
        assert set(train_registration(cohort, labels, options=options).record["terms"]) == {
            "similarity",
            "bending",
        }

    def test_landmarks_guide(self, cohort, data):
        truth = read_landmarks(data / "truth.csv")
        model = train_registration(cohort, {}, options=FEW, landmarks=truth)
        assert "landmarks" in model.record["terms"]

    def test_a_landmark_unknown_in_some_images_leaves_gradients_finite(self, cohort, data):
        truth = dict(list(read_landmarks(data / "truth.csv").items())[:2])  # the other two have none
        model = train_registration(cohort, {}, options=FEW, landmarks=truth)
        head = model.network.velocity_head.bias.detach().numpy()
        assert np.isfinite(head).all()
        assert abs(head).max() > 0  # initially zero: steps with gradients that are not finite are skipped

    def test_no_term_to_learn_from(self, cohort, labels):
        nothing = RegistrationOptions(device="cpu", steps=2, weights=LossWeights(similarity=0))
        with pytest.raises(InputError, match="no term of the loss compares the images"):
            train_registration(cohort, {}, options=nothing)

    def test_small_volumes(self, tmp_path, drawn):
        import SimpleITK as sitk

        for number in range(2):
            image = sitk.GetImageFromArray(drawn.texture((24, 28, 32), seed=number))
            sitk.WriteImage(image, str(tmp_path / f"{number}.nrrd"))
        cohort = Cohort.from_folder(tmp_path, working_size=64)
        options = RegistrationOptions(device="cpu", steps=1)
        model = train_registration(cohort, {}, options=options)
        found = model.register(cohort.read(0), cohort.read(1))
        assert found.transform.displacement.shape[-1] == 3

    def test_the_same_seed_gives_the_same_model(self, cohort, labels):
        options = RegistrationOptions(device="cpu", steps=3)
        first, second = (train_registration(cohort, labels, options=options) for _ in range(2))
        for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-6)

    def test_a_single_image_is_refused(self, tmp_path, phantoms):
        from PIL import Image

        Image.fromarray(phantoms[0].image.array).save(tmp_path / "one.png")
        with pytest.raises(InputError, match="two"):
            train_registration(Cohort.from_folder(tmp_path), {}, options=FEW)
