"""Interrupted trainings are resumed with their options, and only with their images, labels and landmarks."""

import json

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.progress import CancelToken
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.train import CHECKPOINT, train_registration

FEW = RegistrationOptions(device="cpu", steps=6)


@pytest.fixture
def cancelled():
    """A token that stops a training before its first step."""
    token = CancelToken()
    token.cancel()
    return token


class TestResume:
    def test_a_cancelled_training_can_be_resumed(self, cohort, labels, cancelled, tmp_path):
        folder = tmp_path / "model"
        early = train_registration(cohort, labels, options=FEW, folder=folder, cancel=cancelled)
        assert early.record["cancelled"]
        assert RegistrationModel.load(folder).record["cancelled"]
        done = train_registration(cohort, labels, options=FEW, folder=folder, resume=True)
        assert done.record["history"]["steps"] == 6
        assert not (folder / CHECKPOINT).exists()

    def test_a_resumed_training_keeps_its_options(self, cohort, labels, cancelled, tmp_path):
        first = RegistrationOptions(device="cpu", steps=3, seed=5, weights=LossWeights(roi=1.5))
        train_registration(cohort, labels, options=first, folder=tmp_path, cancel=cancelled)
        done = train_registration(cohort, labels, options=FEW, folder=tmp_path, resume=True)
        assert done.record["options"]["seed"] == 5
        assert done.record["options"]["steps"] == 3
        assert done.weights.roi == 1.5

    def test_other_labels_are_refused(self, cohort, labels, cancelled, tmp_path):
        train_registration(cohort, labels, options=FEW, folder=tmp_path / "model", cancel=cancelled)
        before = (tmp_path / "model" / "run.json").read_text()
        others = {name: array + 10 * (array > 0) for name, array in labels.items()}
        with pytest.raises(InputError, match="labels have changed"):
            train_registration(cohort, others, options=FEW, folder=tmp_path / "model", resume=True)
        assert (tmp_path / "model" / "run.json").read_text() == before

    @pytest.mark.parametrize("what", ["images have label maps", "landmarks guide"])
    def test_other_guidance_is_refused(self, cohort, labels, data, cancelled, tmp_path, what):
        truth = read_landmarks(data / "truth.csv")
        train_registration(cohort, labels, options=FEW, landmarks=truth, folder=tmp_path, cancel=cancelled)
        others = labels if "landmarks" in what else {cohort.names[-1]: next(iter(labels.values()))}
        marks = None if "landmarks" in what else truth
        with pytest.raises(InputError, match=what):
            train_registration(cohort, others, options=FEW, landmarks=marks, folder=tmp_path, resume=True)

    def test_spent_minutes_are_refused(self, cohort, labels, cancelled, tmp_path):
        train_registration(cohort, labels, options=FEW, folder=tmp_path, cancel=cancelled)
        model = json.loads((tmp_path / "model.json").read_text())
        model["training"]["history"]["seconds"] = 120
        (tmp_path / "model.json").write_text(json.dumps(model))
        more = RegistrationOptions(minutes=1.5, device="cpu")
        with pytest.raises(InputError, match=r"took 2\.0 already"):
            train_registration(cohort, labels, options=more, folder=tmp_path, resume=True)
        assert (tmp_path / "checkpoint.safetensors").exists()

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            "{}",
            '{"options": 3}',
            '{"options": {"steps": 2, "weights": {"roi": -1}}}',
            '{"options": {"steps": "8"}}',
        ],
    )
    def test_a_damaged_record_is_named(self, cohort, labels, cancelled, tmp_path, content):
        train_registration(cohort, labels, options=FEW, folder=tmp_path, cancel=cancelled)
        path = tmp_path / "run.json"
        if content.startswith('{"options": {'):
            content = json.dumps(json.loads(path.read_text()) | json.loads(content))
        path.write_text(content)
        with pytest.raises(InputError, match=r"run\.json: cannot be read"):
            train_registration(cohort, labels, options=FEW, folder=tmp_path, resume=True)

    def test_nothing_to_resume(self, cohort, labels, tmp_path):
        with pytest.raises(InputError, match="resume"):
            train_registration(cohort, labels, options=FEW, folder=tmp_path, resume=True)

    def test_a_new_training_removes_the_checkpoint_of_an_old_one(self, cohort, labels, cancelled, tmp_path):
        train_registration(cohort, labels, options=FEW, folder=tmp_path, cancel=cancelled)
        old = (tmp_path / "checkpoint.safetensors").read_bytes()

        class Killed(Exception):
            pass

        def die(event):
            if event.stage == "training registration":
                raise Killed

        with pytest.raises(Killed):
            train_registration(cohort, labels, options=FEW, folder=tmp_path, progress=die)
        left = tmp_path / "checkpoint.safetensors"
        assert not left.exists() or left.read_bytes() != old
