"""Label maps and landmarks of a cohort on the registration grid."""

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.dataset import RegistrationDataset

FEW = RegistrationOptions(device="cpu", steps=6)


class TestDataset:
    def test_probabilities_have_the_centroids_of_the_labels(self, cohort, phantoms):
        phantom = phantoms[0]
        found = RegistrationDataset(cohort, {phantom.image.name: phantom.labels}, choose_device("cpu"))
        number = cohort.index(phantom.image.name)
        probabilities = found.regions(number)
        assert found.labels == tuple(np.unique(phantom.labels)[1:])
        assert found.labelled == (number,)
        assert found.regions(cohort.index(phantoms[1].image.name)) is None
        canvas_transform = cohort.canvas_transform(number)
        for row, label in enumerate(found.labels, 1):
            centre = np.argwhere(phantom.labels == label).mean(0)
            cells = np.argwhere(probabilities[row].numpy() > 0)
            weights = probabilities[row].numpy()[tuple(cells.T)]
            native = canvas_transform.to_native(
                (np.average(cells, axis=0, weights=weights)[None] + 0.5) * 2 - 0.5
            )
            assert np.linalg.norm(native[0] - centre) < 0.5

    def test_positions_of_landmarks(self, cohort, data):
        truth = read_landmarks(data / "truth.csv")
        found = RegistrationDataset(cohort, {}, choose_device("cpu"), landmarks=truth)
        positions, weights = found.landmarks([0])
        name = cohort.names[0]
        back = cohort.canvas_transform(0).to_native((positions[0].numpy() + 0.5) * 2 - 0.5)
        np.testing.assert_allclose(back, truth[name].positions(), atol=1e-3)
        assert float(weights.min()) == 1

    def test_labels_of_another_size_are_refused(self, cohort):
        with pytest.raises(InputError, match=cohort.names[0]):
            RegistrationDataset(cohort, {cohort.names[0]: np.zeros((5, 5), int)}, choose_device("cpu"))
