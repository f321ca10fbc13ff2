"""Trainings that were cancelled or crashed, and resumed."""

from __future__ import annotations

import collections
import json
import os

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.fingerprint import is_full_fingerprint
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, Status
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.serialization import read_model
from napari_landmark.detection.model.store import (
    can_resume,
    default_folder,
    load_model,
    model_folders,
    was_cancelled,
)
from napari_landmark.detection.training import stages
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import predict_cohort, train
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.progress import CancelToken
from napari_landmark.synthetic import SCHEMA

pytestmark = pytest.mark.usefixtures("small_networks")


def kept_labels(folder):
    return {path.name for path in folder.glob("labels-*")}


class TestResume:
    @pytest.mark.parametrize(
        ("stage", "step", "stages", "parts", "labels"),
        [
            ("self", 1, 1, (), ()),
            ("cross", 1, 2, (), ()),
            ("patch", 1, 3, (), ("matched",)),
            ("patch", 3, 3, ("refiner",), ("matched",)),
            ("detector", 1, 4, ("refiner",), ("matched", "refined")),
            ("detector", 3, 4, ("refiner", "detector"), ("matched", "refined")),
            ("retrain", 1, 5, ("refiner", "detector"), ("matched", "refined", "detected")),
            ("patch_detector", 1, 6, ("refiner", "detector"), ("matched", "refined", "detected")),
            ("patch_detector", 2, 6, ("refiner", "detector", "local"), ("matched", "refined", "detected")),
        ],
    )
    def test_it_leaves_a_model_and_can_be_resumed(
        self, fresh, cohort, whole, cancel_in, phantoms, stage, step, stages, parts, labels, few, same_models
    ):
        study = fresh("stopped")
        token = cancel_in(stage, step)
        report = train(study, cohort, options=few, cancel=token)
        assert report.cancelled
        assert len(report.histories) == stages
        assert report.histories[-1].steps == step
        model = load_model(study, device="cpu")
        assert (model.refiner is not None) == ("refiner" in parts)
        if "refiner" in parts:
            assert (model.refiner.typical is not None) == ("refined" in labels)
        assert (model.detector is not None) == ("detector" in parts)
        assert (model.patch_detector is not None) == ("local" in parts)
        found = model.detect(phantoms[1].image, heatmaps=True)
        assert np.isfinite(found.landmarks.positions()).all()
        assert study.predictions() == {}
        assert can_resume(study)
        assert kept_labels(report.model_dir) == {f"labels-{name}.safetensors" for name in labels}
        # Other options do not matter: it goes on with those it was begun with.
        resumed = train(study, cohort, options=TrainingOptions(device="cpu", seed=9), resume=True)
        assert resumed.model_dir == report.model_dir
        assert not resumed.cancelled
        # No step was made twice.
        steps = {"self": 3, "cross": 2, "patch": 4, "detector": 4, "retrain": 2, "patch_detector": 3}
        assert token.steps_made() == steps[stage]
        assert [h.steps for h in resumed.histories] == [3, 2, 4, 4, 2, 3]
        same_models(whole.model_dir, resumed.model_dir)
        assert {p.name for p in resumed.model_dir.iterdir()} == {p.name for p in whole.model_dir.iterdir()}
        assert not can_resume(study)
        for name, marks in whole.predictions.items():
            assert resumed.predictions[name] == marks

    @pytest.mark.parametrize(
        ("stage", "labels"),
        [
            ("matching template", ()),
            ("refining positions", ("matched",)),
            ("detecting landmarks", ("matched", "refined")),
        ],
    )
    def test_between_the_trainings(self, fresh, cohort, whole, stage, labels, few, same_models):
        study, token = fresh("stopped"), CancelToken()

        def progress(event):
            if event.stage == stage:
                token.cancel()

        report = train(study, cohort, options=few, cancel=token, progress=progress)
        assert report.cancelled
        assert kept_labels(report.model_dir) == {f"labels-{name}.safetensors" for name in labels}
        assert (load_model(study, device="cpu").refiner is None) == (stage == "matching template")
        resumed = train(study, cohort, resume=True)
        same_models(whole.model_dir, resumed.model_dir)
        assert kept_labels(resumed.model_dir) == set()

    def test_the_earlier_model_stays_the_one_that_detects(self, study, cohort, cancel_in, few):
        train(study, cohort, options=few, cancel=cancel_in("detector", 1))
        assert [folder.name for folder in model_folders(study)] == ["001", "002"]
        assert load_model(study, device="cpu").record["options"]["detector_steps"] == 3  # the first one's
        assert load_model(study, name="002", device="cpu").record["complete"] is False
        train(study, cohort, resume=True)
        assert load_model(study, device="cpu").record["options"]["detector_steps"] == 4

    def test_models_of_an_older_version_say_it_in_their_history(self, study, cohort, cancel_in, few):
        train(study, cohort, options=few, cancel=cancel_in("self", 1))
        path = study.models_dir / "002" / "model.json"
        sidecar = json.loads(path.read_text())
        del sidecar["training"]["complete"]
        path.write_text(json.dumps(sidecar))
        assert default_folder(study).name == "001"
        assert was_cancelled(study.models_dir / "002")
        path.write_text("{")
        assert default_folder(study).name == "001"
        assert was_cancelled(study.models_dir / "003")

    @pytest.mark.parametrize("full", [False, True])
    def test_images_are_compared_in_the_way_they_were_recorded(
        self, tmp_path, data, fresh, few, cancel_in, full
    ):
        """Records of version 0.1 have a hash over every byte."""
        study = fresh()
        images = Cohort.from_folder(data / "images")
        folder = train(study, images, options=few, cancel=cancel_in("self", 1), full_hash=full).model_dir
        recorded = json.loads((folder / "run.json").read_text())["data_fingerprint"]
        assert is_full_fingerprint(recorded) == full
        changed, content = data / "images" / images.names[1], (data / "images" / images.names[1]).read_bytes()
        changed.write_bytes(content + b"\0")
        with pytest.raises(InputError, match="the images have changed since that training"):
            train(study, Cohort.from_folder(data / "images"), resume=True)
        changed.write_bytes(content)  # the same image, written later
        events, token = [], CancelToken()

        def stop(event):
            events.append(event.stage)
            if event.stage == "training embedding":
                token.cancel()

        assert train(
            study, Cohort.from_folder(data / "images"), resume=True, progress=stop, cancel=token
        ).cancelled
        assert events[0] == "comparing files"
        assert json.loads((folder / "run.json").read_text())["data_fingerprint"] == recorded

    def test_while_predicting(self, fresh, cohort, few):
        study, token = fresh(), CancelToken()

        def progress(event):
            if event.stage.startswith("predicting"):
                token.cancel()

        report = train(study, cohort, options=few, cancel=token, progress=progress)
        assert report.cancelled
        assert load_model(study, device="cpu").detector is not None
        resumed = train(study, cohort, options=few, resume=True)
        assert set(resumed.predictions) == set(cohort.names)

    @pytest.mark.parametrize("end", [KeyboardInterrupt, CancelToken.cancel])
    def test_predictions_made_before_an_interruption_are_not_made_again(
        self, fresh, cohort, whole, monkeypatch, end, few
    ):
        study, token, seen = fresh(), CancelToken(), []
        honest = LandmarkModel.detect_in_cohort

        def counted(model, cohort, number, **options):
            seen.append(number)
            if len(seen) == 3 and end is KeyboardInterrupt:
                raise end
            if len(seen) == 2 and end is not KeyboardInterrupt:
                end(token)
            return honest(model, cohort, number, **options)

        monkeypatch.setattr(LandmarkModel, "detect_in_cohort", counted)
        try:
            assert train(study, cohort, options=few, cancel=token).cancelled
        except KeyboardInterrupt:
            assert end is KeyboardInterrupt
        assert can_resume(study)
        seen.clear()
        resumed = train(study, cohort, options=few, resume=True)
        assert seen == [2, 3]
        assert not list(resumed.model_dir.glob("*.jsonl"))
        assert resumed.predictions == whole.predictions
        assert set(study.predictions()) == set(cohort.names)

    def test_predictions_of_an_image_that_changed_are_made_again(self, tmp_path, cohort, whole, fresh):
        model, journal = read_model(whole.model_dir), tmp_path / "p.jsonl"
        first = predict_cohort(model, cohort, journal=journal)
        old = '"image": "hand_001.png", "state": ['
        text = journal.read_text().replace(old, f"{old}1")
        journal.write_text(text)
        study = fresh()
        assert predict_cohort(model, cohort, journal=journal, study=study) == first
        assert journal.read_text().count("hand_001.png") == 2
        assert journal.read_text().count("hand_002.png") == 1
        for name, marks in study.predictions().items():
            np.testing.assert_allclose(marks.positions(), first[name].positions(), atol=1e-5)

    def test_predictions_are_flushed_to_the_disk_many_at_a_time(self, cohort, whole, fresh, monkeypatch):
        """One flush a file and one a folder, where each file alone needs two."""
        model, study, flushed = read_model(whole.model_dir), fresh(), []
        honest = os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(handle), honest(handle))[1])
        predict_cohort(model, cohort, study=study)
        assert len(flushed) <= len(cohort) + 1
        assert set(study.predictions()) == set(cohort.names)

    @pytest.mark.parametrize(
        ("stage", "step"),
        [("patch", 2), ("detector", 3), ("retrain", 1), ("retrain", 2), ("patch_detector", 2)],
    )
    def test_after_a_crash_from_the_checkpoint(
        self, fresh, cohort, whole, monkeypatch, at_each_step, stage, step, few, same_models
    ):
        study, counts, crash = fresh("crashed"), collections.Counter(), True

        def crashing(current, batch):
            counts[current] += 1
            if crash and current == stage and counts[stage] == step:
                raise MemoryError

        checkpoint = stages.Checkpoint
        at_each_step(crashing)
        with monkeypatch.context() as patch:
            patch.setattr(stages, "Checkpoint", lambda path, resume: checkpoint(path, resume, interval=0.0))
            with pytest.raises(MemoryError):
                train(study, cohort, options=few)
        with pytest.raises(InputError, match="has no trained model yet"):
            load_model(study)
        crash = False
        resumed = train(study, cohort, options=few, resume=True)
        same_models(whole.model_dir, resumed.model_dir)

    @pytest.mark.parametrize("stage", ["patch", "detector", "retrain"])
    def test_resume_after_the_template_was_corrected(
        self, fresh, cohort, cancel_in, detector_labels, stage, few
    ):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in(stage, 2 if stage != "retrain" else 1))
        marks = study.load_annotations("hand_000.png")
        moved = Landmark(SCHEMA.names[0], (20.0, 30.0), Status.CORRECTED)
        study.save_annotations("hand_000.png", marks.with_landmark(moved))
        detector_labels.clear()
        train(study, cohort, options=few, resume=True)
        expected = detector_labels.drawn.canvas_transform(0).to_working([[20.0, 30.0]])[0]
        assert len(detector_labels) == 2
        for labels in detector_labels:
            np.testing.assert_allclose(labels.positions[0, 0], expected, atol=1e-3)
        refiner = load_model(study, device="cpu").refiner
        offset = refiner.descriptors.offsets[0, 0].numpy()
        np.testing.assert_allclose(offset % 1, expected % 1, atol=1e-3)

    @pytest.mark.parametrize(
        ("stage", "expected"), [("patch", ["refine"]), ("detector", []), ("retrain", [])]
    )
    @pytest.mark.parametrize("changed", [False, True])
    def test_resume_finds_new_labels_where_the_templates_changed(
        self, fresh, cohort, cancel_in, searches, phantoms, changed, stage, expected, few
    ):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in(stage, 1))
        if changed:
            study.save_annotations("hand_001.png", phantoms[1].landmarks)
        searches.clear()
        train(study, cohort, options=few, resume=True)
        again = ["detect", "refine"]
        if changed:
            assert searches == ["match", "refine", *again]
        else:
            assert searches == expected + (again if stage != "retrain" else [])

    def test_kept_labels_of_another_shape_are_found_anew(self, fresh, cohort, cancel_in, searches, few):
        study = fresh()
        folder = train(study, cohort, options=few, cancel=cancel_in("detector", 2)).model_dir
        kept = folder / "labels-matched.safetensors"
        tensors, _ = load_tensors(kept)
        save_tensors(kept, {**tensors, "weights": tensors["weights"][:2]})
        searches.clear()
        train(study, cohort, options=few, resume=True)
        assert searches == ["match", "detect", "refine"]
