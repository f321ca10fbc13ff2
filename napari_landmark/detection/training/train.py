"""Training of a landmark model: from a study with annotated templates to a model and predictions of the cohort."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.dicom_view import read_stated_views
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.lock import TRAINING, StudyLock
from napari_landmark.data.study.study import Study
from napari_landmark.detection.correction_advice import study_advice
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.inference.journal import DetectionJournal
from napari_landmark.detection.model.detection import Detection
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.predictor import PoseNotFoundError, Predictor
from napari_landmark.detection.model.serialization import save_model
from napari_landmark.detection.model.stated_errors import StatedErrors
from napari_landmark.detection.model.store import (
    default_folder,
    learned_images,
    load_model,
    new_folder,
    require_default_folder,
    unfinished_folder,
)
from napari_landmark.detection.model.volume_model_files import save_volume_model
from napari_landmark.detection.pose.pose_file import POSES, write_poses
from napari_landmark.detection.pose.pose_table import POSE_TABLE, write_pose_table
from napari_landmark.detection.training.held_out_errors import held_out_errors
from napari_landmark.detection.training.landmark_card import write_landmark_card
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.preview import Preview
from napari_landmark.detection.training.record import recorded_options, resume_state, training_record
from napari_landmark.detection.training.stages import KEPT_LABELS, KEPT_POSES, Stages
from napari_landmark.detection.training.task import TrainingMonitor, TrainingTask
from napari_landmark.detection.training.template_choice import choose_templates
from napari_landmark.detection.training.templates import find_annotated
from napari_landmark.detection.training.transfer_errors import measure_stated_errors
from napari_landmark.detection.training.update import Update, check_base
from napari_landmark.detection.training.usual_errors import measure_usual_errors, measure_usual_match_error
from napari_landmark.detection.training.volume_training import train_volume_model
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import History
from napari_landmark.learning.side_by_side import side_by_side
from napari_landmark.learning.threads import thread_limit
from napari_landmark.learning.training_record import TrainingRecord, compare_images, write_record
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

PREDICTION_JOURNAL = "predictions.part.jsonl"
_WRITTEN_AT_ONCE = 250  # images


@dataclass
class TrainingReport:
    """Result of a training.

    Parameters
    ----------
    model_dir : Path
    histories : list of History
    predictions : dict
        Of the training images, by name; empty after a cancelled training.
    cancelled : bool
    seconds : float
    left_aside : mapping of str to str
        Images that nothing was learned from, by name, with the reason.
    mirrored : int
        Number of the training images that are mirror images of what the template shows.
    not_found : dict of str to str
        Training images in which no landmark could be found, by name, with the reason.
    poses : dict of str to Pose
        In which the training images were predicted, by name.
    offsets : list of str
        Sentences on the landmarks that corrections put elsewhere than the predictions of the model before.
    """

    model_dir: Path
    histories: list[History] = field(default_factory=list)
    predictions: dict[str, LandmarkSet] = field(default_factory=dict)
    cancelled: bool = False
    seconds: float = 0.0
    left_aside: Mapping[str, str] = field(default_factory=dict)
    mirrored: int = 0
    not_found: dict[str, str] = field(default_factory=dict)
    poses: dict[str, Pose] = field(default_factory=dict)
    offsets: list[str] = field(default_factory=list)


@thread_limit()
def train(
    study: Study,
    cohort: Cohort,
    *,
    options: TrainingOptions = TrainingOptions(),
    resume: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    preview: Preview | None = None,
    full_hash: bool = False,
) -> TrainingReport:
    """Train a landmark model, and write it and the predictions of all images into the study.

    Every image with placed or corrected landmarks is a label of weight 1; at most about ten of them, see
    `choose_templates`, are matched in the others. Earlier models are kept. A cancelled training leaves a usable model,
    and can be resumed.

    Parameters
    ----------
    study : Study
    cohort : Cohort
        Images of the study.
    options : TrainingOptions
        Those of `for_update` go on from the newest complete model with the annotations of now, in a fraction of the
        time, and write another model; see `Update`.
    resume : bool
        Continue the newest interrupted training, with its options.
    progress : Progress, optional
    cancel : CancelToken, optional
    preview : Preview, optional
        Called every few seconds with the model trained so far.
    full_hash : bool, optional
        Record a fingerprint over every byte of the images; a resumed training keeps the kind it began with.

    Raises
    ------
    Cancelled
        `cancel` was set while the images were read for their fingerprint.
    InputError
        No usable template, nothing to resume, no model to go on from (`ErrorCode.NO_MODEL`) or one that does not fit
        (`ErrorCode.NO_UPDATE`), or another program is training this study.
    """
    with StudyLock(study.folder, TRAINING):
        monitor = TrainingMonitor(progress=progress, cancel=cancel, preview=preview)
        return _train(study, cohort, options, resume, monitor, full_hash)


def _train(
    study: Study,
    cohort: Cohort,
    options: TrainingOptions,
    resume: bool,
    monitor: TrainingMonitor,
    full_hash: bool,
) -> TrainingReport:
    started = time.monotonic()
    device = choose_device(options.device)
    annotated = find_annotated(study, cohort)
    templates = choose_templates(annotated)
    if resume:
        full_hash = TrainingRecord.read(unfinished_folder(study)).has_full_fingerprint
    digest = compare_images(cohort, full=full_hash, progress=monitor.progress, cancel=monitor.cancel)
    state = resume_state(study, cohort, annotated, templates, data_fingerprint=digest)
    if resume:
        folder = unfinished_folder(study)
        options, same_annotations = recorded_options(folder, options, state, device=device)
        if not same_annotations:  # poses and pseudo-labels came from the annotations as they were then
            _delete(folder, KEPT_LABELS.format("*"))
            _delete(folder, KEPT_POSES)
        earlier = TrainingRecord.read(folder).content.get("updated_from")
        base = None if earlier is None else _base(study, cohort, str(earlier), options.device)
    else:
        base = None
        if options.is_update:
            base = _base(study, cohort, require_default_folder(study).name, options.device)
        folder = new_folder(study)
        options = options.for_canvas(cohort.canvas).for_labels(len(annotated))
    record = training_record(cohort, annotated, templates, options, device, state)
    if base is not None:
        record["updated_from"] = base.name
        if base.model.record.get("data_fingerprint") == digest and "poses" in base.model.record:
            record["poses"] = base.model.record["poses"]
    write_record(folder, record)
    study.log({"event": "training started", "model": folder.name, **record["options"], "device": str(device)})
    task = TrainingTask(
        study=study,
        cohort=cohort,
        annotated=annotated,
        templates=templates,
        options=options,
        device=device,
        folder=folder,
        resume=resume,
    )
    report = TrainingReport(folder, offsets=_told_offsets(study, cohort, annotated))
    model, cohort = _learn(task, record, monitor, report, base)
    report.left_aside = record.get("poses", {}).get("left_aside", {})
    if not monitor.cancelled:
        poses = report.poses
        report.predictions = predict_cohort(
            model,
            cohort,
            study=study,
            model_name=folder.name,
            journal=folder / PREDICTION_JOURNAL,
            poses=poses,
            not_found=report.not_found,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        report.mirrored = sum(pose.is_mirrored for pose in poses.values())
        if isinstance(model, LandmarkModel):
            write_poses(folder / POSES, model.poses | poses)
        views = read_stated_views(zip(cohort.names, cohort.paths, strict=True))
        write_pose_table(study.folder / POSE_TABLE, poses, views)
    report.cancelled = monitor.cancelled
    report.seconds = time.monotonic() - started
    predicted = {} if report.cancelled else report.predictions
    write_landmark_card(folder, cohort, study.schema, record, predicted, minutes=report.seconds / 60)
    _finish(study, report)
    return report


def _told_offsets(study: Study, cohort: Cohort, annotated: Sequence[Template]) -> list[str]:
    """Sentences on what the corrections of the newest model's predictions have in common."""
    folder = default_folder(study)
    if folder is None:
        return []
    names = {cohort.names[image.index] for image in annotated}
    advice = study_advice(study, cohort, learned=learned_images(folder), images=names)
    return advice.offset_lines()


@dataclass(frozen=True)
class _Base:
    """Model that a training goes on from, and the name of its folder."""

    model: LandmarkModel
    name: str


def _base(study: Study, cohort: Cohort, name: str, device: str) -> _Base:
    return _Base(check_base(load_model(study, name=name, device=device), study, cohort, name=name), name)


def _learn(
    task: TrainingTask,
    record: dict[str, Any],
    monitor: TrainingMonitor,
    report: TrainingReport,
    base: _Base | None,
) -> tuple[Predictor, Cohort]:
    """Train and write a model, of pictures or of volumes; with it the images as they were drawn at the end."""
    if task.cohort.ndim == 3:
        volume_model = train_volume_model(task, record, monitor)
        save_volume_model(volume_model, task.folder)
        return volume_model, task.cohort
    if base is None:
        stages = Stages(task, record, monitor)
    else:
        same_images = base.model.record.get("data_fingerprint") == record["data_fingerprint"]
        stages = Update(task, record, monitor, base.model, same_images=same_images)
    model, report.histories = stages.run()
    if not monitor.cancelled:
        cohort, aside = stages.task.cohort, stages.poses.aside
        usual = model.usual_errors = measure_usual_errors(model, cohort, aside=aside)
        if usual is not None and model.pose_options is not None:
            model.pose_options = replace(
                model.pose_options,
                usual_error=usual.mean,
                usual_match_error=measure_usual_match_error(model, cohort, aside=aside),
            )
        model.stated_errors = _stated_errors(model, stages, monitor)
    save_model(model, task.folder)
    return model, stages.task.cohort


def _stated_errors(model: LandmarkModel, stages: Stages, monitor: TrainingMonitor) -> StatedErrors | None:
    task, held_out = stages.task, None
    if stages.labels is not None:
        held_out = held_out_errors(
            model,
            task.cohort,
            stages.labels,
            budget=task.options.budget("patch_detector"),
            seed=task.options.seed,
            is_update=task.options.is_update,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
    return measure_stated_errors(
        model,
        task.cohort,
        aside=stages.poses.aside,
        annotated={image.index for image in task.annotated},
        held_out=held_out,
        progress=monitor.progress,
        cancel=monitor.cancel,
    )


def _finish(study: Study, report: TrainingReport) -> None:
    """Write the history of a training and, if it is complete, delete what a resumed one would need."""
    folder, seconds = report.model_dir, round(report.seconds, 1)
    stages = [history.to_json() for history in report.histories]
    summary = {"cancelled": report.cancelled, "seconds": seconds, "stages": stages}
    atomic_write(folder / "history.json", json.dumps(summary) + "\n")
    if not report.cancelled:
        _delete(folder, "checkpoint-*.safetensors")
        _delete(folder, KEPT_LABELS.format("*"))
        _delete(folder, KEPT_POSES)
        _delete(folder, PREDICTION_JOURNAL)
    event = "training cancelled" if report.cancelled else "training finished"
    study.log({"event": event, "model": folder.name, "seconds": seconds})


def _delete(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink(missing_ok=True)


def predict_cohort(
    model: Predictor,
    cohort: Cohort,
    *,
    study: Study | None = None,
    model_name: str = "",
    images: Collection[str] | None = None,
    journal: Path | None = None,
    poses: dict[str, Pose] | None = None,
    not_found: dict[str, str] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, LandmarkSet]:
    """Predict the landmarks of every image of the cohort, or of some, by name.

    Parameters
    ----------
    study : Study, optional
        The predictions are written to it, many at a time.
    model_name : str, optional
        Name of the model's folder in the study.
    images : collection of str, optional
        Names of the images to predict; by default all.
    journal : Path, optional
        File that keeps the predictions made so far; those of an interrupted run with the same model are taken from it.
        To be removed by the caller.
    poses : dict of str to Pose, optional
        Gets the pose in which each image was predicted.
    not_found : dict of str to str, optional
        Gets the images without a prediction, by name, with the reason.
    progress : Progress, optional
    cancel : CancelToken, optional
        Ends the work; what was predicted until then is written and returned.

    Raises
    ------
    InputError
        The journal or the study cannot be written.
    """
    kept = None if journal is None else DetectionJournal(journal, {"model": model.digest()}, model.schema)
    every = zip(cohort.names, cohort.paths, strict=True)
    wanted = None if images is None else set(images)
    chosen = [(name, path) for name, path in every if wanted is None or name in wanted]
    found: dict[str, LandmarkSet] = {}
    further: dict[str, tuple[LandmarkSet, ...]] = {}
    written = 0

    def write() -> None:
        nonlocal written
        if study is not None:
            names = list(found)[written:]
            geometries = {name: cohort.geometry(cohort.index(name)) for name in names}
            study.save_all_predictions(
                {name: found[name] for name in names},
                geometries,
                further_subjects=further,
                model=model_name,
            )
        written = len(found)

    def predict(image: tuple[str, Path]) -> Detection | tuple[LandmarkSet, Geometry, Pose]:
        """Detect in an image, or take what the journal keeps of it."""
        number = cohort.index(image[0])
        earlier = None if kept is None else kept.content.find(*image)
        if earlier is not None and earlier[1] == cohort.geometry(number):
            return earlier
        return model.detect_in_cohort(cohort, number)

    if cancel is not None and cancel.cancelled:
        chosen = []
    results = side_by_side(predict, chosen, device=model.device, ndim=cohort.ndim)
    try:
        for (name, path), outcome in results:
            try:
                detection = outcome.result()
            except PoseNotFoundError as error:
                # No position rather than wrong ones; not in the journal, to be named again.
                found[name] = LandmarkSet(model.schema, image_state=ImageState.FOREIGN)
                pose = Pose.upright(cohort.ndim)
                if not_found is not None:
                    not_found[name] = str(error).removeprefix(f"{name}: ")
            else:
                if isinstance(detection, tuple):
                    found[name], _, pose = detection
                    further[name] = kept.content.further_subjects(name) if kept is not None else ()
                else:
                    found[name], pose = detection.landmarks, detection.pose
                    further[name] = detection.subjects[1:]
                    if kept is not None:
                        geometry = cohort.geometry(cohort.index(name))
                        kept.add(name, path, found[name], geometry, pose, further_subjects=further[name])
            if poses is not None:
                poses[name] = pose
            if len(found) - written >= _WRITTEN_AT_ONCE:
                write()
            if progress:
                progress(ProgressEvent("predicting cohort", len(found) / len(chosen)))
            if cancel is not None and cancel.cancelled:
                break
    finally:
        results.close()
        if kept is not None:
            kept.close()
    write()
    return found
