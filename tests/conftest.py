"""A small cohort of drawn hands and a study trained on it for a few steps, shared by all tests."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.study.study import Study
from napari_landmark.synthetic import SCHEMA, hand_phantom

# A busy machine is no mistake of the code. The same examples every time: what a change broke must not depend on
# luck. HYPOTHESIS_PROFILE=search draws new ones, and more of them, to look for what nobody thought of.
hypothesis.settings.register_profile("patient", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))

SIZE = (64, 64)
COUNT = 4


def write_png(path: Path, array: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(array).save(path)


@pytest.fixture(scope="session")
def make_close_ups_small():
    """Gives trainings small close-ups, by a monkeypatch: a step takes some milliseconds."""
    from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig

    def small(canvas):
        return PatchEmbeddingConfig(len(canvas), 32, size=8, channels=(8, 8, 8, 8, 8))

    return lambda patch: patch.setattr(PatchEmbeddingConfig, "for_canvas", staticmethod(small))


@pytest.fixture
def small_close_ups(monkeypatch, make_close_ups_small):
    """Trainings have small close-ups."""
    make_close_ups_small(monkeypatch)


@pytest.fixture(scope="session")
def phantoms():
    """Four small hands: image, exact landmarks."""
    return [hand_phantom(seed, size=SIZE) for seed in range(COUNT)]


@pytest.fixture(scope="session")
def _drawn_cohort(tmp_path_factory, phantoms):
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "images").mkdir()
    for phantom in phantoms:
        write_png(folder / "images" / phantom.image.name, phantom.image.array)
    first = phantoms[0]
    write_landmarks(folder / "template.csv", {first.image.name: first.landmarks})
    write_landmarks(folder / "truth.csv", {p.image.name: p.landmarks for p in phantoms})
    return folder


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    # Networks this small are faster on one core, and tests do not fight for the others.
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def data(tmp_path, _drawn_cohort):
    """A folder of one's own with images/, template.csv and truth.csv of four small hands."""
    return shutil.copytree(_drawn_cohort, tmp_path / "data")


@pytest.fixture(scope="session")
def cohort(_drawn_cohort):
    """Those hands as a cohort; nothing may be changed in its folder."""
    return Cohort.from_folder(_drawn_cohort / "images")


@pytest.fixture(scope="session")
def _trained(tmp_path_factory, _drawn_cohort, cohort, phantoms, make_close_ups_small):
    from napari_landmark.detection.training.options import TrainingOptions
    from napari_landmark.detection.training.report import write_report
    from napari_landmark.detection.training.train import train

    first = phantoms[0]
    folder = tmp_path_factory.mktemp("trained") / "study"
    study = Study.create(folder, schema=SCHEMA, images=_drawn_cohort / "images", template=first.image.name)
    study.save_annotations(first.image.name, first.landmarks)
    options = TrainingOptions(
        device="cpu",
        self_steps=3,
        cross_steps=2,
        patch_steps=2,
        detector_steps=3,
        retrain_steps=2,
        patch_detector_steps=2,
    )
    with pytest.MonkeyPatch.context() as patch:
        make_close_ups_small(patch)
        report = train(study, cohort, options=options)
    write_report(study, cohort, report)
    return folder, report


@pytest.fixture
def study(tmp_path, _trained):
    """A copy of a study that was trained for a few steps: complete, but its model knows nothing."""
    return Study.open(shutil.copytree(_trained[0], tmp_path / "trained"))


@pytest.fixture(scope="session")
def training_report(_trained):
    """What that training reported."""
    return _trained[1]


@pytest.fixture
def quick(monkeypatch, small_close_ups):
    """Trainings take a second."""
    from napari_landmark.detection.embedding.embedding import EmbeddingConfig
    from napari_landmark.detection.training import options as options_module
    from napari_landmark.detection.training import stages

    honest = options_module.default_options
    small = EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
    monkeypatch.setattr(stages, "embedding_config", lambda canvas: small)
    monkeypatch.setattr(
        options_module,
        "default_options",
        lambda device, **options: dataclasses.replace(
            honest(device, **options),
            self_steps=2,
            cross_steps=1,
            patch_steps=1,
            detector_steps=2,
            retrain_steps=1,
            patch_detector_steps=2,
        ),
    )
