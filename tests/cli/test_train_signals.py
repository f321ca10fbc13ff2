"""A training that is interrupted or killed, in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_landmark.cli import app as cli
from napari_landmark.cli.app import main
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import can_resume, load_model

pytestmark = pytest.mark.usefixtures("quick")


DRIVER = """
import dataclasses, sys
import torch
from napari_landmark.detection.training import options as options_module
from napari_landmark.detection.training import train as pipeline
from napari_landmark.detection.training import stages
from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
from napari_landmark.detection.embedding.embedding import EmbeddingConfig

torch.set_num_threads(1)
stages.embedding_config = lambda canvas: EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
PatchEmbeddingConfig.for_canvas = lambda canvas: PatchEmbeddingConfig(2, 32, size=8, channels=(8, 8, 8, 8, 8))
default, checkpoint = options_module.default_options, stages.Checkpoint
options_module.default_options = lambda device, **options: dataclasses.replace(
    default(device, **options), self_steps=100_000
)
stages.Checkpoint = lambda path, resume: checkpoint(path, resume, interval=0.0)
from napari_landmark.cli.app import main

main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
class TestSignals:
    """A training in a process of its own: a hundred thousand steps, with a checkpoint after each."""

    @pytest.fixture
    def training(self, tmp_path, train_options):
        (tmp_path / "driver.py").write_text(DRIVER)
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "driver.py"), "train", *train_options()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(cli.__file__).parents[1],
        )
        checkpoint = tmp_path / "study" / "models" / "001" / "checkpoint-self.safetensors"
        end = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        assert checkpoint.exists(), (
            process.communicate(timeout=5)[0] if process.poll() is not None else "too slow"
        )
        yield process
        process.kill()
        process.communicate()

    def resume(self, tmp_path):
        code = main(
            ["train", "--out", str(tmp_path / "study"), "--resume", "--minutes", "0.01", "--device", "cpu"]
        )
        assert code == 0
        study = Study.open(tmp_path / "study")
        assert not can_resume(study)
        assert len(study.predictions()) == 4
        assert [path.name for path in study.models_dir.iterdir()] == ["001"]
        return json.loads((study.models_dir / "001" / "history.json").read_text())

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_leaves_a_usable_model_and_can_be_resumed(self, training, tmp_path, phantoms, number):
        """SIGTERM is what schedulers send before they end a job."""
        training.send_signal(number)
        output, _ = training.communicate(timeout=60)
        assert training.returncode == 130, output
        assert "go on with: napari-landmark train --out" in output
        assert "works from" not in output
        study = Study.open(tmp_path / "study")
        found = load_model(study, device="cpu").detect(phantoms[1].image).landmarks
        assert np.isfinite(found.positions()).all()
        assert study.report_page("001") is not None
        history = self.resume(tmp_path)
        assert history["cancelled"] is False
        assert history["stages"][0]["steps"] >= 1

    def test_a_killed_training_goes_on_from_its_checkpoint(self, training, tmp_path):
        training.kill()
        training.communicate(timeout=60)
        study = Study.open(tmp_path / "study")
        with pytest.raises(InputError, match="no trained model yet"):
            load_model(study)
        assert can_resume(study)
        history = self.resume(tmp_path)
        assert history["stages"][0]["steps"] >= 1
