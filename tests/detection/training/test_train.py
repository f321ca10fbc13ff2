"""The whole training: what it leaves, how it is stopped and resumed, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.detection.detector import detector as detector_module
from napari_landmark.detection.detector import pseudo_labels as labelling
from napari_landmark.detection.detector.detector import TrainingLabels
from napari_landmark.detection.embedding import embedding as embedding_module
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.model.choice import default_folder, model_folders, was_stopped
from napari_landmark.detection.model.store import can_resume, load_model
from napari_landmark.detection.refinement import patch_embedding as close_up_module
from napari_landmark.detection.training import stages
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.stages import embedding_config
from napari_landmark.detection.training.templates import find_templates
from napari_landmark.detection.training.train import train
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import Device
from napari_landmark.progress import CancelToken
from napari_landmark.synthetic import SCHEMA

FEW = TrainingOptions(
    device="cpu", self_steps=3, cross_steps=2, patch_steps=4, detector_steps=4, retrain_steps=2
)
# What makes a step of each stage, and how many of such steps earlier stages make.
STAGES = {
    "self": (embedding_module, "training_step", 0),
    "cross": (embedding_module, "cross_step", 0),
    "patch": (close_up_module._Steps, "loss", 0),
    "detector": (detector_module, "training_step", 0),
    "retrain": (detector_module, "training_step", FEW.detector_steps),
}


@pytest.fixture(scope="module", autouse=True)
def _small_networks(make_close_ups_small):
    with pytest.MonkeyPatch.context() as patch:
        small = EmbeddingConfig(2, 1, size=16, channels=(8, 8, 16, 16, 32))
        patch.setattr(stages, "embedding_config", lambda canvas: small)
        make_close_ups_small(patch)
        yield


def fresh_study(folder, cohort, phantoms):
    first = phantoms[0]
    study = Study.create(folder, schema=SCHEMA, images=cohort.folder, template=first.image.name)
    study.save_annotations(first.image.name, first.landmarks)
    return study


@pytest.fixture
def fresh(tmp_path, cohort, phantoms):
    """Makes a study that was not trained yet."""
    return lambda name="fresh": fresh_study(tmp_path / name, cohort, phantoms)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cohort, phantoms, _small_networks):
    """What a training reports that nothing stopped."""
    study = fresh_study(tmp_path_factory.mktemp("whole") / "study", cohort, phantoms)
    return train(study, cohort, options=FEW)


@pytest.fixture
def cancel_in(monkeypatch):
    """A token that is cancelled in a step of a stage; all steps of this kind are counted, after it, too."""

    def arrange(stage, step):
        token, count = CancelToken(), 0
        token.steps_made = lambda: count
        module, name, before = STAGES[stage]
        honest = getattr(module, name)

        def counted(*arguments, **options):
            nonlocal count
            count += 1
            if count == before + step:
                token.cancel()
            return honest(*arguments, **options)

        monkeypatch.setattr(module, name, counted)
        return token

    return arrange


@pytest.fixture
def taught(monkeypatch):
    """Labels of every training of a detector, in order."""
    seen, honest = [], stages.train_detector

    def spy(network, cohort, labels, **options):
        seen.append(TrainingLabels(labels.positions.clone(), labels.weights.clone(), labels.templates))
        return honest(network, cohort, labels, **options)

    monkeypatch.setattr(stages, "train_detector", spy)
    return seen


@pytest.fixture
def looked_for(monkeypatch):
    """How labels were found, in order: `match`, `look` or `detect`."""
    calls = []

    def spy(name):
        honest = getattr(labelling.PseudoLabeller, name)
        return lambda *arguments: (calls.append(name), honest(*arguments))[1]

    for name in ("match", "look", "detect"):
        monkeypatch.setattr(labelling.PseudoLabeller, name, spy(name))
    return calls


def kept_labels(folder):
    return {path.name for path in folder.glob("labels-*")}


def tensors_of(folder):
    names = ("embedding", "templates", "close_up", "close_templates", "detector")
    return {name: load_tensors(folder / f"{name}.safetensors")[0] for name in names}


def typical_support(folder):
    return json.loads((folder / "model.json").read_text())["typical_support"]


def assert_same_models(first, second):
    assert typical_support(first) == typical_support(second) is not None
    for name, tensors in tensors_of(first).items():
        for key, value in tensors_of(second)[name].items():
            assert torch.equal(torch.nan_to_num(tensors[key]), torch.nan_to_num(value)), f"{name}: {key}"


class TestTrain:
    def test_what_it_leaves(self, fresh, cohort, phantoms):
        study, events = fresh(), []
        report = train(study, cohort, options=FEW, progress=events.append)
        assert not report.cancelled
        assert [history.steps for history in report.histories] == [3, 2, 4, 4, 2]
        assert set(report.predictions) == set(cohort.names) == set(study.predictions())
        assert report.model_dir == study.models_dir / "001"
        left = {path.name for path in report.model_dir.iterdir()}
        assert left == {
            "model.json", "embedding.safetensors", "templates.safetensors", "close_up.safetensors",
            "close_templates.safetensors", "detector.safetensors", "run.json", "history.json",
        }  # fmt: skip
        assert json.loads((report.model_dir / "history.json").read_text())["cancelled"] is False
        log = [json.loads(line) for line in (study.folder / "log.jsonl").read_text().splitlines()]
        assert [entry["event"] for entry in log] == ["training started", "training finished"]
        assert list(dict.fromkeys(event.stage for event in events)) == [
            "learning the anatomy", "learning across subjects", "matching the template", "learning details",
            "looking closely", "training the detector", "finding the landmarks again",
            "training the detector again", "predicting the cohort",
        ]  # fmt: skip
        assert all(0 <= event.fraction <= 1 for event in events)
        assert load_model(study, device="cpu").detect(phantoms[1].image).landmarks.ndim == 2
        assert study.load_annotations("hand_000.png") == phantoms[0].landmarks or np.allclose(
            study.load_annotations("hand_000.png").positions(), phantoms[0].landmarks.positions(), atol=1e-4
        )

    def test_same_seed_same_model(self, fresh, cohort, whole):
        again = train(fresh("a"), cohort, options=FEW).model_dir
        assert_same_models(whole.model_dir, again)
        other = TrainingOptions(**{**FEW.__dict__, "seed": 5})
        third = train(fresh("b"), cohort, options=other).model_dir
        for name in ("embedding", "close_up"):
            weights = [load_tensors(f / f"{name}.safetensors")[0]["heads.0.weight"] for f in (again, third)]
            assert not torch.equal(*weights)

    def test_earlier_models_are_kept(self, study, cohort):
        before = (study.models_dir / "001" / "model.json").read_bytes()
        assert train(study, cohort, options=FEW).model_dir.name == "002"
        assert (study.models_dir / "001" / "model.json").read_bytes() == before
        assert [folder.name for folder in model_folders(study)] == ["001", "002"]
        steps = [
            load_model(study, name=n, device="cpu").record["options"]["detector_steps"] for n in ("001", None)
        ]
        assert steps == [3, 4]  # the newest by default
        with pytest.raises(InputError, match="has no model '007'"):
            load_model(study, name="007")

    def test_folders_that_a_person_made_are_no_obstacle(self, study, cohort):
        shutil.copytree(study.models_dir / "001", study.models_dir / "the good one")
        (study.models_dir / "002").mkdir()
        assert train(study, cohort, options=FEW).model_dir.name == "003"
        assert [folder.name for folder in model_folders(study)] == ["the good one", "001", "003"]

    def test_a_single_image(self, tmp_path, data, phantoms):
        for number in (1, 2, 3):
            (data / "images" / f"hand_00{number}.png").unlink()
        alone = Cohort.from_folder(data / "images")
        study = Study.create(tmp_path / "s", schema=SCHEMA, images=data / "images", template="hand_000.png")
        study.save_annotations("hand_000.png", phantoms[0].landmarks)
        report = train(study, alone, options=FEW)
        assert [history.steps for history in report.histories] == [3, 4, 4, 2]
        assert load_model(study, device="cpu").look.typical is None  # there are no images to tell it from
        assert list(report.predictions) == ["hand_000.png"]

    def test_several_templates_that_lack_landmarks(self, fresh, cohort, phantoms):
        study = fresh()
        second = phantoms[1].landmarks
        for name in list(SCHEMA.names)[:5]:
            second = second.with_landmark(Landmark(name, None, Status.MISSING))
        study.save_annotations("hand_001.png", second)
        absent = SCHEMA.names[7]
        for number in (0, 1):
            marks = study.load_annotations(f"hand_00{number}.png")
            study.save_annotations(f"hand_00{number}.png", marks.with_landmark(Landmark(absent)))
        report = train(study, cohort, options=FEW)
        for found in report.predictions.values():
            lacking = [name for name, mark in found.items() if mark.position is None]
            assert lacking == [absent]

    def test_the_annotation_is_what_the_detector_learns(self, fresh, cohort, taught, phantoms):
        train(fresh(), cohort, options=FEW)
        assert len(taught) == 2
        expected = cohort.canvas_transform(0).to_working(phantoms[0].landmarks.positions())
        for labels in taught:
            np.testing.assert_allclose(labels.positions[0].numpy(), expected, atol=1e-3)
            assert (labels.weights[0] == 1).all()
            assert labels.templates == (0,)
        # In the other images it is what was found, in another way each time.
        assert not torch.equal(taught[0].positions[1:], taught[1].positions[1:])

    def test_what_a_person_calls_missing_is_not_learned(self, fresh, cohort, taught, phantoms, cancel_in):
        study = fresh()
        gone = Landmark(SCHEMA.names[3], None, Status.MISSING)
        study.save_annotations("hand_001.png", LandmarkSet(SCHEMA, [gone]))  # nothing placed: no template
        study.save_annotations("hand_002.png", phantoms[2].landmarks.with_landmark(gone))
        train(study, cohort, options=FEW, cancel=cancel_in("detector", 2))
        assert (taught[0].weights[:, 3] == 0).tolist() == [False, True, True, False]
        assert (taught[0].weights[1] > 0).sum() > 0
        study.save_annotations("hand_001.png", LandmarkSet(SCHEMA))  # taken back
        train(study, cohort, options=FEW, resume=True)
        assert len(taught) == 3
        for labels in taught[1:]:
            assert (labels.weights[:, 3] == 0).tolist() == [False, False, True, False]

    def test_the_close_up_sees_what_can_be_trusted(self, fresh, cohort, phantoms, monkeypatch):
        study, seen = fresh(), []
        gone = Landmark(SCHEMA.names[3], None, Status.MISSING)
        study.save_annotations("hand_001.png", LandmarkSet(SCHEMA, [gone]))
        honest = stages.train_patch_embedding
        monkeypatch.setattr(
            stages,
            "train_patch_embedding",
            lambda n, c, places, **o: (seen.append(places), honest(n, c, places, **o))[1],
        )
        train(study, cohort, options=FEW)
        (places,) = seen
        expected = cohort.canvas_transform(0).to_working(phantoms[0].landmarks.positions())
        np.testing.assert_allclose(places[0].numpy(), expected, atol=1e-3)
        assert places[1, 3].isnan().all()
        assert not places[2, 3].isnan().any()

    def test_support_is_of_the_last_close_look_at_other_images(self, fresh, cohort, monkeypatch):
        seen, honest = [], labelling.PseudoLabeller.look

        def spy(*arguments):
            seen.append(honest(*arguments))
            return seen[-1]

        monkeypatch.setattr(labelling.PseudoLabeller, "look", spy)
        study = fresh()
        train(study, cohort, options=FEW)
        first, last = (places.support[1:].mean(0) for places in seen)
        assert not np.allclose(first, last, atol=1e-3)
        np.testing.assert_allclose(load_model(study, device="cpu").look.typical, last, atol=1e-3)

    def test_a_cohort_of_which_only_a_part_is_labelled(self, fresh, cohort, taught, monkeypatch):
        monkeypatch.setattr(labelling, "MAX_PSEUDO_LABELLED", 2)
        report = train(fresh(), cohort, options=FEW)
        assert len(taught) == 2
        for labels in taught:
            assert (labels.weights > 0).any(1).tolist() == [True, False, False, True]
            assert labels.positions[1:3].isnan().all()
            assert labels.positions[[0, 3]].isfinite().all()
        assert set(report.predictions) == set(cohort.names)
        for marks in report.predictions.values():
            assert np.isfinite(marks.positions()).all()

    def test_larger_batches_reach_the_stages_that_gain_from_them(self, fresh, cohort, monkeypatch):
        seen = {}

        def watch(stage, count):
            module, name, _ = STAGES[stage]
            honest = getattr(module, name)

            def watched(*arguments, **options):
                seen[stage] = count(*arguments, **options)
                return honest(*arguments, **options)

            monkeypatch.setattr(module, name, watched)

        watch("self", lambda *_, pairs: pairs)
        watch("cross", lambda *_, pairs: pairs)
        watch("patch", lambda steps, _: steps.pairs)
        watch("detector", lambda *_, **options: options)
        for factor in (1, 3):
            train(fresh(f"batches-{factor}"), cohort, options=replace(FEW, batch_factor=factor))
            assert seen == {"self": 6 * factor, "cross": 4 * factor, "patch": 8 * factor, "detector": {}}

    def test_images_kept_where_they_are_learned_from_change_nothing(self, fresh, cohort, whole, monkeypatch):
        monkeypatch.setattr(Device, "free_memory", lambda _: 10**9)
        kept = train(fresh(), cohort, options=FEW).model_dir
        assert_same_models(whole.model_dir, kept)

    def test_previews_change_nothing(self, fresh, cohort, whole, monkeypatch):
        honest = stages.with_preview
        monkeypatch.setattr(
            stages, "with_preview", lambda *arguments, **options: honest(*arguments, **options, seconds=0.0)
        )
        monkeypatch.setattr("napari_landmark.learning.loop.time.monotonic", _ticking())
        models = []
        shown = train(fresh(), cohort, options=FEW, preview=models.append).model_dir
        assert len(models) >= 2
        assert_same_models(whole.model_dir, shown)


def _ticking():
    import itertools

    clock = itertools.count()
    return lambda: float(next(clock))


class TestStop:
    def test_another_kind_of_device_goes_on_with_steps_that_suit_it(self, fresh, cohort, cancel_in):
        study = fresh()
        begun = replace(FEW, batch_factor=8, patch_steps=1, seed=4)
        report = train(study, cohort, options=begun, cancel=cancel_in("self", 2))
        path = report.model_dir / "run.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "device": "cuda (a card)"}))
        resumed = train(study, cohort, options=FEW, resume=True)
        assert [h.steps for h in resumed.histories] == [3, 2, 4, 4, 2]
        options = json.loads(path.read_text())["options"]
        assert (options["batch_factor"], options["patch_steps"], options["seed"]) == (1, 4, 4)

    @pytest.mark.parametrize(
        ("stage", "step", "stages", "parts", "labels"),
        [
            ("self", 1, 1, (), ()),
            ("cross", 1, 2, (), ()),
            ("patch", 1, 3, (), ("places",)),
            ("patch", 3, 3, ("close-up",), ("places",)),
            ("detector", 1, 4, ("close-up",), ("places", "patch")),
            ("detector", 3, 4, ("close-up", "detector"), ("places", "patch")),
            ("retrain", 1, 5, ("close-up", "detector"), ("places", "patch", "retrain")),
        ],
    )
    def test_it_leaves_a_model_and_can_be_resumed(
        self, fresh, cohort, whole, cancel_in, phantoms, stage, step, stages, parts, labels
    ):
        study = fresh("stopped")
        token = cancel_in(stage, step)
        report = train(study, cohort, options=FEW, cancel=token)
        assert report.cancelled
        assert len(report.histories) == stages
        assert report.histories[-1].steps == step
        model = load_model(study, device="cpu")
        assert (model.look is not None) == ("close-up" in parts)
        if "close-up" in parts:
            assert (model.look.typical is not None) == ("patch" in labels)
        assert (model.detector is not None) == ("detector" in parts)
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
        detector_steps = FEW.detector_steps + FEW.retrain_steps
        steps = {"self": 3, "cross": 2, "patch": 4, "detector": detector_steps, "retrain": detector_steps}
        assert token.steps_made() == steps[stage]
        assert [h.steps for h in resumed.histories] == [3, 2, 4, 4, 2]
        assert_same_models(whole.model_dir, resumed.model_dir)
        assert {p.name for p in resumed.model_dir.iterdir()} == {p.name for p in whole.model_dir.iterdir()}
        assert not can_resume(study)
        for name, marks in whole.predictions.items():
            assert resumed.predictions[name] == marks

    @pytest.mark.parametrize(
        ("stage", "labels"),
        [
            ("matching the template", ()),
            ("looking closely", ("places",)),
            ("finding the landmarks again", ("places", "patch")),
        ],
    )
    def test_between_the_trainings(self, fresh, cohort, whole, stage, labels):
        study, token = fresh("stopped"), CancelToken()

        def progress(event):
            if event.stage == stage:
                token.cancel()

        report = train(study, cohort, options=FEW, cancel=token, progress=progress)
        assert report.cancelled
        assert kept_labels(report.model_dir) == {f"labels-{name}.safetensors" for name in labels}
        assert (load_model(study, device="cpu").look is None) == (stage == "matching the template")
        resumed = train(study, cohort, resume=True)
        assert_same_models(whole.model_dir, resumed.model_dir)
        assert kept_labels(resumed.model_dir) == set()

    def test_the_earlier_model_stays_the_one_that_detects(self, study, cohort, cancel_in):
        train(study, cohort, options=FEW, cancel=cancel_in("detector", 1))
        assert [folder.name for folder in model_folders(study)] == ["001", "002"]
        assert load_model(study, device="cpu").record["options"]["detector_steps"] == 3  # the first one's
        assert load_model(study, name="002", device="cpu").record["complete"] is False
        train(study, cohort, resume=True)
        assert load_model(study, device="cpu").record["options"]["detector_steps"] == 4

    def test_models_of_an_older_version_say_it_in_their_history(self, study, cohort, cancel_in):
        train(study, cohort, options=FEW, cancel=cancel_in("self", 1))
        path = study.models_dir / "002" / "model.json"
        sidecar = json.loads(path.read_text())
        del sidecar["training"]["complete"]
        path.write_text(json.dumps(sidecar))
        assert default_folder(study).name == "001"
        assert was_stopped(study.models_dir / "002")
        path.write_text("{")
        assert default_folder(study).name == "001"
        assert was_stopped(study.models_dir / "003")

    def test_while_predicting(self, fresh, cohort):
        study, token = fresh(), CancelToken()

        def progress(event):
            if event.stage.startswith("predicting"):
                token.cancel()

        report = train(study, cohort, options=FEW, cancel=token, progress=progress)
        assert report.cancelled
        assert load_model(study, device="cpu").detector is not None
        resumed = train(study, cohort, options=FEW, resume=True)
        assert set(resumed.predictions) == set(cohort.names)

    @pytest.mark.parametrize(
        ("stage", "step"), [("patch", 2), ("detector", 3), ("retrain", 1), ("retrain", 2)]
    )
    def test_after_a_crash_from_the_checkpoint(self, fresh, cohort, whole, monkeypatch, stage, step):
        study = fresh("crashed")
        module, name, before = STAGES[stage]
        honest, count = getattr(module, name), 0

        def crashing(*arguments, **options):
            nonlocal count
            count += 1
            if count == before + step:
                raise MemoryError
            return honest(*arguments, **options)

        checkpoint = stages.Checkpoint
        with monkeypatch.context() as patch:
            patch.setattr(stages, "Checkpoint", lambda path, resume: checkpoint(path, resume, interval=0.0))
            patch.setattr(module, name, crashing)
            with pytest.raises(MemoryError):
                train(study, cohort, options=FEW)
        with pytest.raises(InputError, match="has no trained model yet"):
            load_model(study)
        resumed = train(study, cohort, options=FEW, resume=True)
        assert_same_models(whole.model_dir, resumed.model_dir)

    def test_nothing_to_resume(self, fresh, study, cohort):
        for known in (fresh(), study):
            with pytest.raises(InputError, match="no interrupted training to resume") as caught:
                train(known, cohort, options=FEW, resume=True)
            assert caught.value.code is ErrorCode.NOTHING_TO_RESUME

    def test_resume_after_the_images_changed(self, fresh, data, cohort, cancel_in):
        study = fresh()
        train(study, cohort, options=FEW, cancel=cancel_in("self", 1))
        (data / "images" / "hand_003.png").unlink()
        with pytest.raises(InputError, match=r"the images have changed since that training; start without"):
            train(study, Cohort.from_folder(data / "images"), options=FEW, resume=True)

    @pytest.mark.parametrize("stage", ["patch", "detector", "retrain"])
    def test_resume_after_the_template_was_corrected(self, fresh, cohort, cancel_in, taught, stage):
        study = fresh()
        train(study, cohort, options=FEW, cancel=cancel_in(stage, 2 if stage != "retrain" else 1))
        marks = study.load_annotations("hand_000.png")
        moved = Landmark(SCHEMA.names[0], (20.0, 30.0), Status.CORRECTED)
        study.save_annotations("hand_000.png", marks.with_landmark(moved))
        taught.clear()
        train(study, cohort, options=FEW, resume=True)
        expected = cohort.canvas_transform(0).to_working([[20.0, 30.0]])[0]
        assert len(taught) == 2
        for labels in taught:
            np.testing.assert_allclose(labels.positions[0, 0].numpy(), expected, atol=1e-3)
        look = load_model(study, device="cpu").look
        offset = look.descriptors.offsets[0, 0].numpy()
        np.testing.assert_allclose(offset % 1, expected % 1, atol=1e-3)

    @pytest.mark.parametrize("names", [SCHEMA.names[::-1], ("other", *SCHEMA.names[1:])])
    def test_resume_after_the_landmarks_changed(self, fresh, cohort, cancel_in, names):
        study = fresh()
        train(study, cohort, options=FEW, cancel=cancel_in("detector", 2))
        record = (study.models_dir / "001" / "run.json").read_bytes()
        study.update(schema=LandmarkSchema(names))
        with pytest.raises(
            InputError, match=r"the landmarks have changed since that training; start without"
        ):
            train(study, cohort, options=FEW, resume=True)
        assert (study.models_dir / "001" / "run.json").read_bytes() == record

    def test_resume_at_another_working_resolution(self, fresh, data, cancel_in):
        for path in (data / "images").iterdir():
            Image.fromarray(np.kron(np.asarray(Image.open(path)), np.ones((2, 2), np.uint8))).save(path)
        small, large = (Cohort.from_folder(data / "images", working_size=size) for size in (64, 128))
        study = fresh()
        train(study, small, options=FEW, cancel=cancel_in("self", 1))
        with pytest.raises(
            InputError, match=r"the working resolution has changed since that training; start"
        ):
            train(study, large, options=FEW, resume=True)

    def test_resume_of_a_training_that_went_another_way(self, fresh, cohort, cancel_in):
        study = fresh()
        train(study, cohort, options=FEW, cancel=cancel_in("patch", 2))
        path = study.models_dir / "001" / "run.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "format_version": record["format_version"] - 1}))
        with pytest.raises(InputError, match=r"has changed how it trains since that training; start without"):
            train(study, cohort, options=FEW, resume=True)

    def test_resume_of_a_record_that_does_not_say_what_it_hangs_on(self, fresh, cohort, cancel_in):
        study = fresh()
        train(study, cohort, options=FEW, cancel=cancel_in("self", 1))
        path = study.models_dir / "001" / "run.json"
        record = json.loads(path.read_text())
        del record["landmarks"]
        path.write_text(json.dumps(record))
        with pytest.raises(InputError, match=r"run\.json: is of an older version, .* the landmarks; start"):
            train(study, cohort, options=FEW, resume=True)

    @pytest.mark.parametrize(("stage", "expected"), [("patch", ["look"]), ("detector", []), ("retrain", [])])
    @pytest.mark.parametrize("changed", [False, True])
    def test_resume_finds_new_labels_where_the_templates_changed(
        self, fresh, cohort, cancel_in, looked_for, phantoms, changed, stage, expected
    ):
        study = fresh()
        train(study, cohort, options=FEW, cancel=cancel_in(stage, 1))
        if changed:
            study.save_annotations("hand_001.png", phantoms[1].landmarks)
        looked_for.clear()
        train(study, cohort, options=FEW, resume=True)
        again = ["detect", "look"]
        if changed:
            assert looked_for == ["match", "look", *again]
        else:
            assert looked_for == expected + (again if stage != "retrain" else [])

    def test_kept_labels_of_another_shape_are_found_anew(self, fresh, cohort, cancel_in, looked_for):
        study = fresh()
        folder = train(study, cohort, options=FEW, cancel=cancel_in("detector", 2)).model_dir
        kept = folder / "labels-places.safetensors"
        tensors, _ = load_tensors(kept)
        save_tensors(kept, {**tensors, "weights": tensors["weights"][:2]})
        looked_for.clear()
        train(study, cohort, options=FEW, resume=True)
        assert looked_for == ["match", "detect", "look"]

    @pytest.mark.parametrize("content", ["", "{}", '{"options": {"nonsense": 1}}'])
    def test_a_damaged_record_is_named(self, fresh, cohort, cancel_in, content):
        study = fresh()
        train(study, cohort, options=FEW, cancel=cancel_in("self", 1))
        (study.models_dir / "001" / "run.json").write_text(content)
        with pytest.raises(InputError, match=r"run\.json: cannot be read"):
            train(study, cohort, options=FEW, resume=True)


class TestTemplates:
    def test_all_that_a_person_annotated(self, fresh, cohort, phantoms):
        study = fresh()
        study.save_annotations("hand_002.png", phantoms[2].landmarks)
        templates = find_templates(study, cohort)
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
        assert [template.index for template in find_templates(study, cohort)] == [2, 0]

    def test_none(self, tmp_path, cohort):
        study = Study.create(tmp_path / "s", schema=SCHEMA, images=cohort.folder, template="hand_000.png")
        with pytest.raises(InputError, match=r"hand_000\.png: no landmark is placed in it; annotate"):
            train(study, cohort, options=FEW)
        assert list(study.models_dir.iterdir()) == []

    def test_not_among_the_images(self, fresh, data):
        study = fresh()
        (data / "images" / "hand_000.png").unlink()
        with pytest.raises(InputError, match=r"hand_000\.png: is annotated, but no longer among the images"):
            train(study, Cohort.from_folder(data / "images"), options=FEW)


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
def test_every_canvas_can_be_shrunk_for_the_embedding(canvas):
    config = embedding_config(canvas)
    assert config.spatial_dims == len(canvas)
    assert all(side % (32 * config.downsampling) == 0 for side in canvas)
    assert config.downsampling == 1 if max(canvas) <= 384 else config.downsampling >= 2 or max(canvas) < 600
