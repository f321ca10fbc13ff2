"""A training of a few steps of small networks, and what it takes to stop it anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.study.study import Study
from napari_landmark.detection.detector import detector_training, patch_detector_training, pseudo_labeller
from napari_landmark.detection.embedding import embedding_training
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.refinement import patch_training
from napari_landmark.detection.training import stages
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train
from napari_landmark.progress import CancelToken
from napari_landmark.synthetic import SCHEMA

FEW = TrainingOptions(
    device="cpu",
    self_steps=3,
    cross_steps=2,
    patch_steps=4,
    detector_steps=4,
    retrain_steps=2,
    patch_detector_steps=3,
)
SMALL = EmbeddingConfig(2, 1, size=16, channels=(8, 8, 16, 16, 32))
TITLES = {
    "self": "training embedding",
    "cross": "training embedding across subjects",
    "patch": "training patch embedding",
    "detector": "training detector",
    "retrain": "retraining detector",
    "patch_detector": "training patch detector",
}


@pytest.fixture
def few():
    """Options of a training of 3, 2, 4, 4, 2 and 3 steps."""
    return FEW


@pytest.fixture
def small_networks(monkeypatch, small_close_ups):
    """Trainings have small networks."""
    monkeypatch.setattr(stages, "embedding_config", lambda canvas: SMALL)


def _fresh_study(folder, cohort, phantoms):
    first = phantoms[0]
    study = Study.create(folder, schema=SCHEMA, images=cohort.folder, template=first.image.name)
    study.save_annotations(first.image.name, first.landmarks)
    return study


@pytest.fixture
def fresh(tmp_path, cohort, phantoms):
    """Makes a study that was not trained yet."""
    return lambda name="fresh", images=cohort: _fresh_study(tmp_path / name, images, phantoms)


@pytest.fixture(scope="session")
def whole(tmp_path_factory, cohort, phantoms, make_close_ups_small):
    """Report of a training that nothing stopped."""
    study = _fresh_study(tmp_path_factory.mktemp("whole") / "study", cohort, phantoms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "embedding_config", lambda canvas: SMALL)
        make_close_ups_small(patch)
        return train(study, cohort, options=FEW)


@pytest.fixture
def at_each_step(monkeypatch):
    """Calls a function with stage and batch before each step of a training."""

    def arrange(call):
        stage_of = {title: stage for stage, title in TITLES.items()}
        for module in (embedding_training, patch_training, detector_training, patch_detector_training):
            honest = module.run_training

            def watched(network, loss, batches, *, stage, honest=honest, **options):
                def passed():
                    for batch in batches:
                        call(stage_of[stage], batch)
                        yield batch

                return honest(network, loss, passed(), stage=stage, **options)

            monkeypatch.setattr(module, "run_training", watched)

    return arrange


@pytest.fixture
def cancel_in(at_each_step):
    """A token that is cancelled in a step of a stage; all steps of that stage are counted, later ones too."""

    def arrange(stage, step):
        token, count = CancelToken(), 0
        token.steps_made = lambda: count

        def counted(current, batch):
            nonlocal count
            count += current == stage
            if current == stage and count == step:
                token.cancel()

        at_each_step(counted)
        return token

    return arrange


class _Labels(list):
    drawn = None


@pytest.fixture
def detector_labels(monkeypatch):
    """Pseudo-labels of every training of a detector, in order; `drawn` is the cohort they are positions in."""
    seen, honest = _Labels(), stages.train_detector

    def spy(network, cohort, labels, **options):
        seen.append(labels)
        seen.drawn = cohort
        return honest(network, cohort, labels, **options)

    monkeypatch.setattr(stages, "train_detector", spy)
    return seen


@pytest.fixture
def searches(monkeypatch):
    """Searches for pseudo-labels, in order: `match`, `refine` or `detect`."""
    calls = []

    def spy(name):
        honest = getattr(pseudo_labeller.PseudoLabeller, name)
        return lambda *arguments: (calls.append(name), honest(*arguments))[1]

    for name in ("match", "refine", "detect"):
        monkeypatch.setattr(pseudo_labeller.PseudoLabeller, name, spy(name))
    return calls


@pytest.fixture
def same_models(tensors_of):
    """Asserts that two folders hold the same model."""

    def check(first, second):
        assert _typical(first) == _typical(second) is not None
        for name, tensors in tensors_of(first).items():
            for key, value in tensors_of(second)[name].items():
                np.testing.assert_array_equal(tensors[key].numpy(), value.numpy(), err_msg=f"{name}: {key}")

    return check


@pytest.fixture
def tensors_of():
    """Reads the tensors of a model's folder, by file."""
    from napari_landmark.learning.checkpoint import load_tensors

    names = ("embedding", "templates", "close_up", "close_templates", "detector", "patch_detector")
    return lambda folder: {name: load_tensors(folder / f"{name}.safetensors")[0] for name in names}


def _typical(folder):
    import json

    return json.loads((folder / "model.json").read_text())["typical_support"]
