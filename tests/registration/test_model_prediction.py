"""Registration of pairs by a model, with and without instance optimization."""

import json

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import PairOptions, RegistrationOptions
from napari_landmark.registration.pairwise.register import register_pair
from napari_landmark.synthetic import hand_phantom

FEW = RegistrationOptions(device="cpu", steps=6)


class TestModel:
    def test_zero_steps_return_its_prediction(self, trained, phantoms):
        model, _ = trained
        first, second = phantoms[2].image, phantoms[3].image
        points = phantoms[2].landmarks.positions()
        np.testing.assert_allclose(
            register_pair(first, second, model=model, options=PairOptions(steps=0)).transform.to_moving(
                points
            ),
            model.register(first, second).transform.to_moving(points),
            atol=1e-4,
        )

    def test_a_few_steps_improve_it(self, trained):
        model, _ = trained
        first, second = hand_phantom(8, size=(64, 64)), hand_phantom(9, size=(64, 64))
        found = register_pair(first.image, second.image, model=model, options=PairOptions(steps=25))
        plain = register_pair(first.image, second.image, model=model, options=PairOptions(steps=1))
        assert found.terms["similarity"] < plain.terms["similarity"]

    def test_a_pair_has_the_weights_of_the_model(self, trained, tmp_path):
        """A term that was switched off in the training is switched off for a pair, unless the options have weights."""
        model, _ = trained
        assert model.weights == LossWeights()
        model.save(tmp_path)
        sidecar = json.loads((tmp_path / "model.json").read_text())
        sidecar["training"]["options"]["weights"] = {"bending": 0, "regions": {"1": 3}}
        (tmp_path / "model.json").write_text(json.dumps(sidecar))
        other = RegistrationModel.load(tmp_path)
        assert other.weights == LossWeights(bending=0, regions={1: 3})
        image = hand_phantom(8, size=(64, 64)).image
        found = register_pair(image, image, model=other, options=PairOptions(steps=1))
        assert "dice" in found.terms
        assert "bending" not in found.terms
        other_weights = PairOptions(steps=1, weights=LossWeights(dice=0))
        assert set(register_pair(image, image, model=other, options=other_weights).terms) >= {
            "similarity",
            "bending",
        }

    @pytest.mark.parametrize("record", [None, [], {}, {"options": None}, {"options": {"steps": 6}}])
    def test_a_record_without_weights(self, trained, tmp_path, record):
        model, _ = trained
        model.save(tmp_path)
        sidecar = json.loads((tmp_path / "model.json").read_text())
        (tmp_path / "model.json").write_text(json.dumps(sidecar | {"training": record}))
        assert RegistrationModel.load(tmp_path).weights == LossWeights()

    def test_a_volume_is_refused(self, trained, phantoms, drawn):
        model, _ = trained
        volume = drawn.image(np.zeros((8, 8, 8), np.uint8), "volume.nrrd")
        with pytest.raises(InputError, match=r"volume.nrrd"):
            model.register(volume, volume)
