"""Stages of a training: what each one is given, and what must not change its result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.detection.detector import pseudo_labeller, pseudo_labels
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training import stages
from napari_landmark.detection.training import train as training
from napari_landmark.detection.training.stages import embedding_config
from napari_landmark.detection.training.template_choice import choose_templates
from napari_landmark.detection.training.train import train
from napari_landmark.learning.device import Device
from napari_landmark.synthetic import SCHEMA


@pytest.mark.usefixtures("small_networks")
class TestStages:
    def test_the_annotation_is_what_the_detector_learns(self, fresh, cohort, detector_labels, phantoms, few):
        train(fresh(), cohort, options=few)
        assert len(detector_labels) == 2
        drawn = detector_labels.drawn
        expected = drawn.canvas_transform(0).to_working(phantoms[0].landmarks.positions())
        for labels in detector_labels:
            np.testing.assert_allclose(labels.positions[0], expected, atol=1e-3)
            assert (labels.weights[0] == 1).all()
            assert labels.annotated == (0,)
        # In the other images it is what was found, by matching and by the detector.
        assert not np.array_equal(detector_labels[0].positions[1:], detector_labels[1].positions[1:])

    def test_few_of_many_annotated_images_are_matched_and_all_are_labels(
        self, fresh, cohort, detector_labels, phantoms, monkeypatch, cancel_in, searches, few
    ):
        study = fresh()
        for phantom in phantoms[1:3]:
            study.save_annotations(phantom.image.name, phantom.landmarks)
        monkeypatch.setattr(training, "choose_templates", lambda images: choose_templates(images, limit=2))
        train(study, cohort, options=few, cancel=cancel_in("retrain", 1))
        train(study, cohort, options=few, resume=True)
        assert searches == ["match", "refine", "detect", "refine"]
        model = load_model(study, device="cpu")
        assert len(model.descriptors.positions) == 2
        assert model.patch_detector.is_alone  # it has learned from more images than are matched
        assert len(model.refiner.descriptors.offsets) == 1
        assert model.record["annotated_images"] == 3
        assert len(model.record["templates"]) == 2
        assert model.record["templates"][0] == "hand_000.png"
        assert np.isfinite(model.refiner.typical).all()
        for labels in detector_labels:
            assert labels.annotated == (0, 1, 2)
            for number in (0, 1, 2):
                drawn = detector_labels.drawn.canvas_transform(number)
                expected = drawn.to_working(phantoms[number].landmarks.positions())
                np.testing.assert_allclose(labels.positions[number], expected, atol=1e-3)
                assert (labels.weights[number] == 1).all()

    def test_lack_of_memory_halves_the_batches_and_says_so(self, fresh, cohort, monkeypatch, few, caplog):
        honest, seen = stages.train_patch_embedding, []

        def on_a_small_card(*arguments, batch_factor, budget, **options):
            seen.append((batch_factor, budget.steps))
            if batch_factor > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return honest(*arguments, batch_factor=batch_factor, budget=budget, **options)

        monkeypatch.setattr(stages, "train_patch_embedding", on_a_small_card)
        study = fresh()
        report = train(study, cohort, options=replace(few, batch_factor=8))
        steps = few.patch_steps
        assert seen == [(8, steps), (4, 2 * steps), (2, 4 * steps)]
        assert not report.cancelled
        assert load_model(study, device="cpu").record["batch_factor"] == 2
        assert sum("does not suffice" in message for message in caplog.messages) == 2

    def test_descriptors_of_a_trained_embedding_are_computed_once(self, fresh, cohort, monkeypatch, few):
        calls, honest = [], stages.describe_templates
        monkeypatch.setattr(stages, "describe_templates", lambda *a: (calls.append(a), honest(*a))[1])
        previews, hook = [], stages.preview_hook
        monkeypatch.setattr(stages, "preview_hook", lambda *a, **o: hook(*a, **o, seconds=0.0))
        train(fresh(), cohort, options=few, preview=previews.append)
        of_embedding = sum(model.detector is None for model in previews)
        assert len(previews) > of_embedding
        assert len(calls) == of_embedding + 1

    def test_what_is_marked_missing_is_not_learned(
        self, fresh, cohort, detector_labels, phantoms, cancel_in, few
    ):
        study = fresh()
        gone = Landmark(SCHEMA.names[3], None, Status.MISSING)
        study.save_annotations("hand_001.png", LandmarkSet(SCHEMA, [gone]))  # nothing placed: no template
        study.save_annotations("hand_002.png", phantoms[2].landmarks.with_landmark(gone))
        train(study, cohort, options=few, cancel=cancel_in("detector", 2))
        assert (detector_labels[0].weights[:, 3] == 0).tolist() == [False, True, True, False]
        assert (detector_labels[0].weights[1] > 0).sum() > 0
        study.save_annotations("hand_001.png", LandmarkSet(SCHEMA))  # taken back
        train(study, cohort, options=few, resume=True)
        assert len(detector_labels) == 3
        for labels in detector_labels[1:]:
            assert (labels.weights[:, 3] == 0).tolist() == [False, False, True, False]

    def test_patches_are_of_labels_with_weight(self, fresh, cohort, phantoms, monkeypatch, few):
        study, seen = fresh(), []
        gone = Landmark(SCHEMA.names[3], None, Status.MISSING)
        study.save_annotations("hand_001.png", LandmarkSet(SCHEMA, [gone]))
        honest = stages.train_patch_embedding
        monkeypatch.setattr(
            stages,
            "train_patch_embedding",
            lambda n, c, places, **o: (seen.append((places, c)), honest(n, c, places, **o))[1],
        )
        train(study, cohort, options=few)
        ((places, drawn),) = seen
        expected = drawn.canvas_transform(0).to_working(phantoms[0].landmarks.positions())
        np.testing.assert_allclose(places[0].numpy(), expected, atol=1e-3)
        assert places[1, 3].isnan().all()
        assert not places[2, 3].isnan().any()

    def test_typical_consensus_is_of_the_last_refinement_of_other_images(
        self, fresh, cohort, monkeypatch, few
    ):
        seen, honest = [], pseudo_labeller.PseudoLabeller.refine

        def spy(*arguments):
            seen.append(honest(*arguments))
            return seen[-1]

        monkeypatch.setattr(pseudo_labeller.PseudoLabeller, "refine", spy)
        study = fresh()
        train(study, cohort, options=few)
        first, last = (labels.consensus[1:].mean(0) for labels in seen)
        assert not np.allclose(first, last, atol=1e-3)
        np.testing.assert_allclose(load_model(study, device="cpu").refiner.typical, last, atol=1e-3)

    def test_a_cohort_of_which_only_a_part_is_labelled(
        self, fresh, cohort, detector_labels, monkeypatch, few
    ):
        monkeypatch.setattr(pseudo_labels, "MAX_PSEUDO_LABELLED", 2)
        report = train(fresh(), cohort, options=few)
        assert len(detector_labels) == 2
        for labels in detector_labels:
            assert (labels.weights > 0).any(1).tolist() == [True, False, False, True]
            assert np.isnan(labels.positions[1:3]).all()
            assert np.isfinite(labels.positions[[0, 3]]).all()
        assert set(report.predictions) == set(cohort.names)
        for marks in report.predictions.values():
            assert np.isfinite(marks.positions()).all()

    def test_images_kept_on_the_device_change_nothing(
        self, fresh, cohort, whole, monkeypatch, few, same_models
    ):
        monkeypatch.setattr(Device, "free_memory", lambda _: 10**9)
        kept = train(fresh(), cohort, options=few).model_dir
        same_models(whole.model_dir, kept)

    def test_larger_batches_reach_the_stages_that_gain_from_them(self, fresh, cohort, few, at_each_step):
        sizes = {}
        measure = {
            "self": lambda batch: len(batch.valid),
            "cross": lambda batch: len(batch.valid),
            "patch": lambda batch: sum(len(pairs.points) for pairs in batch),
            "detector": lambda batch: len(batch.views),
            "retrain": lambda batch: len(batch.views),
            "patch_detector": lambda batch: len(batch.patches),
        }
        at_each_step(lambda stage, batch: sizes.setdefault(stage, set()).add(measure[stage](batch)))
        for factor in (1, 3):
            sizes.clear()
            train(fresh(f"batches-{factor}"), cohort, options=replace(few, batch_factor=factor))
            enlarged = {"self": {6 * factor}, "cross": {4 * factor}, "patch": {16 * factor}}
            assert sizes == enlarged | {"detector": {3}, "retrain": {3}, "patch_detector": {48}}

    def test_previews_change_nothing(self, fresh, cohort, whole, monkeypatch, few, same_models):
        honest = stages.preview_hook
        monkeypatch.setattr(
            stages, "preview_hook", lambda *arguments, **options: honest(*arguments, **options, seconds=0.0)
        )
        models = []
        shown = train(fresh(), cohort, options=few, preview=models.append).model_dir
        assert len(models) >= 2
        assert models[0].detector is None
        assert models[-1].detector is not None
        same_models(whole.model_dir, shown)


@pytest.mark.parametrize(
    "canvas",
    [
        (64, 64),
        (320, 384),
        (768, 576),
        (768, 640),
        (1024, 832),
        (1536, 1088),
        (192, 256, 256),
        (128, 64, 448),
    ],
)
def test_every_working_grid_can_be_downsampled_for_the_embedding(canvas):
    config = embedding_config(canvas)
    assert config.spatial_dims == len(canvas)
    assert all(side % (32 * config.downsampling) == 0 for side in canvas)
    assert config.downsampling == 1 if max(canvas) <= 384 else config.downsampling >= 2 or max(canvas) < 600
