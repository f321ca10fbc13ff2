"""Advice on corrections: what they have in common is told with its direction, and when to stop."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.detection.correction_advice import advise_corrections, direction, study_advice
from napari_landmark.synthetic import SCHEMA, hand_phantom

LANDMARKS = [f"p{k}" for k in range(10)]


class Case:
    """Thirty images, six of them corrected; landmark p3 is marked 12 pixels further down."""

    def __init__(self, spacing=None, offset=(12.0, 0.0)):
        rng = np.random.default_rng(0)
        self.images = [f"{k}.png" for k in range(30)]
        shape = rng.uniform(50, 350, (10, 2))
        truth = shape + rng.normal(0, 5, (30, 10, 2))
        self.predictions = truth + rng.normal(0, 1.5, truth.shape)
        self.predictions[:, 3] -= offset
        self.annotations = np.where(np.arange(30)[:, None, None] < 7, truth, np.nan)
        self.errors = np.full((30, 10), 4.0)
        self.geometries = [Geometry((400, 400), spacing=spacing)] * 30

    def advise(self, **options):
        return advise_corrections(
            self.images,
            LANDMARKS,
            self.predictions,
            self.annotations,
            self.errors,
            self.geometries,
            template="0.png",
            **options,
        )


class TestAdvice:
    def test_a_common_offset_is_told_in_millimetres_and_words(self):
        advice = Case(spacing=(0.5, 0.5)).advise()
        (line,) = advice.offset_lines()
        assert line.startswith("p3: your corrections lie ")
        assert "further down than" in line
        assert "(6 images)" in line
        assert float(line.split(" lie ")[1].split(" mm")[0]) == pytest.approx(6.0, abs=0.8)

    def test_without_a_spacing_in_pixels(self):
        advice = Case().advise()
        assert advice.unit == "px"
        assert float(advice.offset_lines()[0].split(" lie ")[1].split(" px")[0]) == pytest.approx(12, abs=1.5)

    def test_nothing_is_told_where_there_is_nothing(self):
        assert Case(offset=(0, 0)).advise().offset_lines() == []

    def test_what_the_model_has_learned_is_told_no_more(self):
        case = Case()
        assert case.advise(learned=case.images[:7]).offset_lines() == []

    def test_proposals_are_of_the_others(self):
        advice = Case().advise()
        assert len(advice.images) == 3
        assert not set(advice.images) & {f"{k}.png" for k in range(7)}
        assert advice.gain > 0
        assert "expected gain" in advice.next_line()

    def test_enough_is_said(self):
        case = Case(offset=(0, 0))
        case.annotations[:] = case.predictions
        case.annotations[25:] = np.nan
        advice = case.advise()
        assert advice.is_enough
        assert "change less than" in advice.next_line()
        assert not Case().advise().is_enough

    def test_of_nothing(self):
        case = Case()
        case.predictions[:], case.annotations[:], case.errors[:] = np.nan, np.nan, np.nan
        advice = case.advise()
        assert advice.images == ()
        assert advice.next_line() == ""


@pytest.mark.parametrize(
    ("offset", "words"),
    [((3, 0.1), "down"), ((-2, 2), "up and right"), ((0, -1), "left"), ((1, 1, 1), "away")],
)
def test_directions(offset, words):
    assert direction(offset) == words


def test_from_the_files_of_a_study(tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    phantoms = [hand_phantom(seed, size=(96, 80)) for seed in range(5)]
    for phantom in phantoms:
        Image.fromarray(phantom.image.array).save(folder / phantom.image.name)
    cohort = Cohort.from_folder(folder, working_size=128, cache_dir=tmp_path / "cache")
    schema = LandmarkSchema(SCHEMA.names)
    study = Study.create(tmp_path / "study", schema=schema, images=folder, template=cohort.names[0])
    for number, phantom in enumerate(phantoms):
        positions = phantom.landmarks.positions()
        if number < 4:
            study.save_annotations(phantom.image.name, LandmarkSet.from_array(schema, positions))
        predicted = LandmarkSet.from_array(
            schema,
            positions - (3, 0),
            status=Status.PREDICTED,
            expected_error=np.full(len(schema), 2.0),
        )
        study.save_predictions(phantom.image.name, predicted)
    advice = study_advice(study, cohort)
    assert advice.images == (cohort.names[4],)
    assert len(advice.offsets) == len(schema)
    assert "further down" in advice.offset_lines()[0]
    assert study_advice(study, cohort, images=[]).images == ()
