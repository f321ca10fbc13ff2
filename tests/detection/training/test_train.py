"""The whole training: what it leaves, and that it is reproducible."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, Status
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model, model_folders
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train
from napari_landmark.learning.checkpoint import load_tensors
from napari_landmark.synthetic import SCHEMA

pytestmark = pytest.mark.usefixtures("small_networks")


class TestTrain:
    def test_what_it_leaves(self, fresh, cohort, phantoms, few):
        study, events = fresh(), []
        report = train(study, cohort, options=few, progress=events.append)
        assert not report.cancelled
        assert [history.steps for history in report.histories] == [3, 2, 4, 4, 2, 3]
        assert set(report.predictions) == set(cohort.names) == set(study.predictions())
        assert report.model_dir == study.models_dir / "001"
        left = {path.name for path in report.model_dir.iterdir()}
        assert left == {
            "model.json", "embedding.safetensors", "templates.safetensors", "close_up.safetensors",
            "close_templates.safetensors", "detector.safetensors", "patch_detector.safetensors",
            "run.json", "history.json", "poses.json", "MODEL_CARD.md",
        }  # fmt: skip
        assert json.loads((report.model_dir / "history.json").read_text())["cancelled"] is False
        log = [json.loads(line) for line in (study.folder / "log.jsonl").read_text().splitlines()]
        assert [entry["event"] for entry in log] == ["training started", "training finished"]
        stages = dict.fromkeys(event.stage for event in events if event.stage != "reading images")
        assert list(stages) == [
            "comparing files", "training embedding", "training embedding across subjects", "finding poses",
            "matching template", "training patch embedding", "refining positions", "training detector",
            "detecting landmarks", "retraining detector", "training patch detector", "predicting cohort",
        ]  # fmt: skip
        assert all(0 <= event.fraction <= 1 for event in events)
        assert load_model(study, device="cpu").detect(phantoms[1].image).landmarks.ndim == 2
        assert study.load_annotations("hand_000.png") == phantoms[0].landmarks or np.allclose(
            study.load_annotations("hand_000.png").positions(), phantoms[0].landmarks.positions(), atol=1e-4
        )

    def test_images_larger_than_the_working_grid_are_refined_on_their_own_pixels(
        self, fresh, data, phantoms, few
    ):
        for path in (data / "images").iterdir():
            Image.fromarray(np.kron(np.asarray(Image.open(path)), np.ones((4, 4), np.uint8))).save(path)
        large = Cohort.from_folder(data / "images", working_size=64)
        study = fresh("large", large)
        report = train(study, large, options=few)
        assert (report.model_dir / "native_templates.safetensors").exists()
        model = load_model(study, device="cpu")
        assert model.native_refiner.zoom == 4
        # Drawn as it is in its file; one in a pose is read anew, and not from the cache of half precision.
        assert large.names[2] not in model.poses
        assert model.detect_in_cohort(large, 2).landmarks.positions() == pytest.approx(
            report.predictions[large.names[2]].positions(), abs=1e-3
        )

    def test_same_seed_same_model(self, fresh, cohort, whole, few, same_models):
        again = train(fresh("a"), cohort, options=few).model_dir
        same_models(whole.model_dir, again)
        other = TrainingOptions(**{**few.__dict__, "seed": 5})
        third = train(fresh("b"), cohort, options=other).model_dir
        for name in ("embedding", "close_up"):
            weights = [load_tensors(f / f"{name}.safetensors")[0]["heads.0.weight"] for f in (again, third)]
            assert not torch.equal(*weights)

    def test_earlier_models_are_kept(self, study, cohort, few):
        before = (study.models_dir / "001" / "model.json").read_bytes()
        assert train(study, cohort, options=few).model_dir.name == "002"
        assert (study.models_dir / "001" / "model.json").read_bytes() == before
        assert [folder.name for folder in model_folders(study)] == ["001", "002"]
        steps = [
            load_model(study, name=n, device="cpu").record["options"]["detector_steps"] for n in ("001", None)
        ]
        assert steps == [3, 4]  # the newest by default
        with pytest.raises(InputError, match="has no model '007'"):
            load_model(study, name="007")

    def test_folders_made_by_hand_are_no_obstacle(self, study, cohort, few):
        shutil.copytree(study.models_dir / "001", study.models_dir / "the good one")
        (study.models_dir / "002").mkdir()
        assert train(study, cohort, options=few).model_dir.name == "003"
        assert [folder.name for folder in model_folders(study)] == ["the good one", "001", "003"]

    def test_a_single_image(self, tmp_path, data, phantoms, few):
        for number in (1, 2, 3):
            (data / "images" / f"hand_00{number}.png").unlink()
        alone = Cohort.from_folder(data / "images")
        study = Study.create(tmp_path / "s", schema=SCHEMA, images=data / "images", template="hand_000.png")
        study.save_annotations("hand_000.png", phantoms[0].landmarks)
        report = train(study, alone, options=few)
        assert [history.steps for history in report.histories] == [3, 4, 4, 2, 3]
        assert load_model(study, device="cpu").refiner.typical is None  # there is no other image
        assert list(report.predictions) == ["hand_000.png"]

    def test_several_templates_that_lack_landmarks(self, fresh, cohort, phantoms, few):
        study = fresh()
        second = phantoms[1].landmarks
        for name in list(SCHEMA.names)[:5]:
            second = second.with_landmark(Landmark(name, None, Status.MISSING))
        study.save_annotations("hand_001.png", second)
        absent = SCHEMA.names[7]
        for number in (0, 1):
            marks = study.load_annotations(f"hand_00{number}.png")
            study.save_annotations(f"hand_00{number}.png", marks.with_landmark(Landmark(absent)))
        report = train(study, cohort, options=few)
        for found in report.predictions.values():
            lacking = [name for name, mark in found.items() if mark.position is None]
            assert lacking == [absent]
