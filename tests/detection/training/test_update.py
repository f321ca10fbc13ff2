"""A training that goes on from a model: what it keeps, what it learns, and what it refuses."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import learned_images, load_model
from napari_landmark.detection.training import update as updating
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train
from napari_landmark.progress import CancelToken
from napari_landmark.synthetic import SCHEMA

UPDATE = TrainingOptions(
    device="cpu",
    self_steps=0,
    cross_steps=0,
    patch_steps=0,
    detector_steps=0,
    retrain_steps=2,
    patch_detector_steps=3,
    is_update=True,
)

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.fixture
def trained(whole, tmp_path):
    """Study with a model of a complete training."""
    shutil.copytree(whole.model_dir.parent.parent, tmp_path / "study")
    return Study.open(tmp_path / "study")


def correct(study, phantoms, *numbers):
    for number in numbers:
        study.save_annotations(phantoms[number].image.name, phantoms[number].landmarks)


class TestUpdate:
    def test_only_what_learns_from_landmarks_is_trained(self, trained, cohort, phantoms, tensors_of):
        correct(trained, phantoms, 1, 2)
        before = tensors_of(trained.models_dir / "001")
        report = train(trained, cohort, options=UPDATE)
        after = tensors_of(report.model_dir)
        assert report.model_dir.name == "002"
        assert [history.stage for history in report.histories] == [
            "retraining detector",
            "training patch detector",
        ]
        for name in ("embedding", "close_up"):
            for key, value in before[name].items():
                np.testing.assert_array_equal(after[name][key].numpy(), value.numpy())
        for name in ("detector", "patch_detector"):
            assert any(not np.array_equal(after[name][k].numpy(), v.numpy()) for k, v in before[name].items())
        # The corrected images are templates, too.
        assert len(after["templates"]["positions"]) == len(after["close_templates"]["offsets"]) == 3
        assert set(report.predictions) == set(cohort.names)

    def test_the_model_before_stays_as_it_is(self, trained, cohort, phantoms, tensors_of):
        correct(trained, phantoms, 1)
        before = tensors_of(trained.models_dir / "001")
        train(trained, cohort, options=UPDATE)
        for name, tensors in tensors_of(trained.models_dir / "001").items():
            for key, value in before[name].items():
                np.testing.assert_array_equal(tensors[key].numpy(), value.numpy())

    def test_it_knows_what_it_learned(self, trained, cohort, phantoms):
        correct(trained, phantoms, 1, 3)
        assert learned_images(trained.models_dir / "001") == {"hand_000.png"}
        report = train(trained, cohort, options=UPDATE)
        assert learned_images(report.model_dir) == {"hand_000.png", "hand_001.png", "hand_003.png"}
        record = load_model(trained, device="cpu").record
        assert record["updated_from"] == "001"
        assert record["complete"]

    def test_corrections_are_labels_and_move_the_other_pseudo_labels(
        self, trained, cohort, phantoms, detector_labels, monkeypatch
    ):
        """The model is made to find all landmarks off by a tenth of the hand, along it, where persons correct them."""
        honest = updating.Update._predicted

        def truth(drawn, number):
            return drawn.canvas_transform(number).to_working(phantoms[number].landmarks.positions())

        def offset(positions):
            return 0.1 * (positions[0] - positions[-1])

        def predicted(stages):
            numbers, drawn = iter(range(len(cohort))), stages.task.cohort

            def locate(pixels):
                positions = truth(drawn, next(numbers))
                return positions - offset(positions), np.ones(len(SCHEMA))

            stages.base.locate = locate
            return honest(stages)

        monkeypatch.setattr(updating.Update, "_predicted", predicted)
        correct(trained, phantoms, 1, 2)
        train(trained, cohort, options=UPDATE)
        (labels,) = detector_labels
        assert labels.annotated == (0, 1, 2)
        assert (labels.weights[:3] == 1).all()
        for number in range(len(cohort)):  # corrected ones as they are, the others moved to where they belong
            expected = truth(detector_labels.drawn, number)
            error = np.linalg.norm(labels.positions[number] - expected, axis=1)
            assert error.max() < (1e-3 if number < 3 else 0.4 * np.linalg.norm(offset(expected)))

    def test_what_the_model_has_learned_before_moves_nothing(
        self, trained, cohort, phantoms, detector_labels
    ):
        correct(trained, phantoms, 1, 2)
        train(trained, cohort, options=UPDATE)
        model = load_model(trained, device="cpu")
        train(trained, cohort, options=UPDATE)
        plain, _ = model.locate(detector_labels.drawn.working(3))
        np.testing.assert_allclose(detector_labels[1].positions[3], plain, atol=1e-3)

    def test_many_images_are_not_all_predicted(self, trained, cohort, phantoms, detector_labels, monkeypatch):
        monkeypatch.setattr(updating, "MOST_UPDATED", 1)
        correct(trained, phantoms, 3)
        report = train(trained, cohort, options=UPDATE)
        (labels,) = detector_labels
        assert (labels.weights > 0).any(1).tolist() == [True, True, False, True]
        assert set(report.predictions) == set(cohort.names)

    def test_the_same_whether_interrupted_or_not(
        self, trained, cohort, phantoms, cancel_in, same_models, tmp_path
    ):
        correct(trained, phantoms, 1)
        shutil.copytree(trained.folder, tmp_path / "other")
        other = Study.open(tmp_path / "other")
        straight = train(trained, cohort, options=UPDATE)
        stopped = train(other, cohort, options=UPDATE, cancel=cancel_in("patch_detector", 1))
        assert stopped.cancelled
        resumed = train(other, cohort, options=UPDATE, resume=True)
        assert resumed.model_dir == stopped.model_dir
        same_models(straight.model_dir, resumed.model_dir)

    def test_cancelled_at_once(self, trained, cohort, phantoms):
        correct(trained, phantoms, 1)
        token = CancelToken()
        token.cancel()
        report = train(trained, cohort, options=UPDATE, cancel=token)
        assert report.cancelled
        assert load_model(trained, device="cpu").record["complete"]  # the model before is the default


class TestRefusals:
    def refused(self, study, cohort, options=UPDATE):
        with pytest.raises(InputError) as caught:
            train(study, cohort, options=options)
        assert not any(study.models_dir.glob("002"))
        return caught.value

    def test_no_model(self, fresh, cohort):
        assert self.refused(fresh(), cohort).code is ErrorCode.NO_MODEL

    def test_other_landmarks(self, trained, cohort):
        names = list(trained.schema.names)
        schema = LandmarkSchema((*names[:-1], "another"))
        trained.replace_landmarks(
            schema, {}, lambda marks: LandmarkSet(schema, [marks[name] for name in names[:-1]])
        )
        error = self.refused(trained, cohort)
        assert error.code is ErrorCode.NO_UPDATE
        assert "model 001" in str(error)

    def test_another_working_grid(self, trained, cohort):
        base = load_model(trained, device="cpu")
        assert updating.check_base(base, trained, cohort, name="001") is base
        base.canvas = (128, 192)
        with pytest.raises(InputError, match=r"model 001: .* working grid has 192 x 128 pixels") as caught:
            updating.check_base(base, trained, cohort, name="001")
        assert caught.value.code is ErrorCode.NO_UPDATE

    def test_what_stands_in_the_way_is_told(self, trained, fresh, cohort):
        assert updating.update_obstacle(trained, cohort) == ""
        assert "no complete model" in updating.update_obstacle(fresh(), cohort)
        schema = LandmarkSchema(tuple(trained.schema.names[:-1]))
        trained.replace_landmarks(
            schema, {}, lambda marks: LandmarkSet(schema, [marks[name] for name in schema.names])
        )
        told = updating.update_obstacle(trained, cohort)
        assert told == "model 001: cannot go on from it: the study's landmarks have changed since"

    def test_a_training_that_was_stopped_early(self, fresh, cohort, cancel_in, few):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in("self", 1))
        error = self.refused(study, cohort)
        assert error.code is ErrorCode.NO_UPDATE
        assert "stopped" in str(error)


class TestOptions:
    def test_the_steps_of_an_update(self):
        options = TrainingOptions(limit_minutes=19.5).for_update().for_labels(100)
        assert options.budget("self").steps == options.budget("patch").steps == 0
        assert options.budget("retrain").steps < TrainingOptions().retrain_steps
        assert "from the last model" in options.describe()

    def test_minutes_are_divided_among_its_stages(self):
        options = replace(TrainingOptions(minutes=2.0).for_update())
        seconds = [options.budget(stage).seconds for stage in ("retrain", "patch_detector")]
        assert 0.7 * 120 < sum(seconds) < 120
        assert options.budget("self").seconds == 0

    def test_many_labels_are_worth_more_steps(self):
        steps = [
            TrainingOptions(limit_minutes=19.5).for_labels(count).budget("retrain") for count in (1, 51, 1000)
        ]
        assert steps[0].steps == TrainingOptions().retrain_steps
        assert steps[1].steps == 2 * steps[0].steps
        assert steps[2].steps == 4 * steps[0].steps
        assert steps[1].seconds == pytest.approx(2 * steps[0].seconds)
        asked = TrainingOptions(minutes=5.0).for_labels(1000)
        assert asked.budget("retrain").seconds == TrainingOptions(minutes=5.0).budget("retrain").seconds
