"""Templates of a study, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.templates import find_annotated
from napari_landmark.detection.training.train import train
from napari_landmark.synthetic import SCHEMA


class TestTemplates:
    def test_all_annotated_images(self, fresh, cohort, phantoms):
        study = fresh()
        study.save_annotations("hand_002.png", phantoms[2].landmarks)
        templates = find_annotated(study, cohort)
        assert [template.index for template in templates] == [0, 2]
        for template in templates:
            truth = phantoms[template.index].landmarks.positions()
            np.testing.assert_allclose(
                cohort.canvas_transform(template.index).to_native(template.positions), truth, atol=1e-3
            )

    def test_the_template_comes_first(self, fresh, cohort, phantoms):
        study = fresh()
        study.save_annotations("hand_002.png", phantoms[2].landmarks)
        study.update(template="hand_002.png")
        assert [template.index for template in find_annotated(study, cohort)] == [2, 0]

    def test_none(self, tmp_path, cohort, few):
        study = Study.create(tmp_path / "s", schema=SCHEMA, images=cohort.folder, template="hand_000.png")
        with pytest.raises(InputError, match=r"hand_000\.png: no landmark is placed in it; annotate"):
            train(study, cohort, options=few)
        assert list(study.models_dir.iterdir()) == []

    def test_not_among_the_images(self, fresh, data, few):
        study = fresh()
        (data / "images" / "hand_000.png").unlink()
        with pytest.raises(InputError, match=r"hand_000\.png: is annotated, but no longer among the images"):
            train(study, Cohort.from_folder(data / "images"), options=few)
