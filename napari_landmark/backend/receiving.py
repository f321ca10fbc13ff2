"""Results of another machine, read by the hardened readers and taken over under the names that the images have here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_landmark.backend.job_folder import STUDY, Done, read_done
from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.train import RESULT_JOURNAL
from napari_landmark.backend.progress_file import printable
from napari_landmark.backend.sending import SentNames, to_native
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import SkippedFile
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet, check_axes
from napari_landmark.data.study.lock import TRAINING, StudyLock
from napari_landmark.data.study.study import Study
from napari_landmark.detection.inference.detect import Detections
from napari_landmark.detection.inference.journal import JournalContent, read_journal
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.predictor import Predictor
from napari_landmark.detection.model.serialization import save_model
from napari_landmark.detection.model.store import load_model, new_folder
from napari_landmark.detection.model.volume_model import VolumeModel
from napari_landmark.detection.model.volume_model_files import save_volume_model
from napari_landmark.detection.pose.pose_file import POSES, write_poses
from napari_landmark.detection.pose.pose_table import POSE_TABLE, write_pose_table
from napari_landmark.detection.training.landmark_card import write_landmark_card
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.learning.loop import History
from napari_landmark.learning.training_record import write_record

_MOST_STAGES, _MOST_LOSSES = 100, 1_000_000
_LARGEST_NUMBER = 1e12


def receive_training(record: JobRecord, study: Study, cohort: Cohort) -> TrainingReport | None:
    """Take the model and the predictions of a training over into the study; the report is the caller's to write.

    Parameters
    ----------
    record : JobRecord
        Whose results were fetched.
    study : Study
        That was sent.
    cohort : Cohort
        Its images.

    Returns
    -------
    TrainingReport or None
        None where it was stopped before there was a model.

    Raises
    ------
    InputError
        A file that came back is damaged, or is not what was asked for. The study is untouched then.
    """
    done, sent = _done(record), SentNames.read(record)
    name = done.result.get("model")
    if name is None:
        return None
    model, digest = _returned_model(record, done, name)
    content = _returned_journal(record.folder / RESULT_JOURNAL, digest, model)
    report = TrainingReport(Path(), _read_histories(record.folder / STUDY / "models" / name / "history.json"))
    report.cancelled = done.result.get("cancelled") is not False
    report.seconds = done.seconds
    further: dict[str, list[LandmarkSet]] = {}
    for there, (marks, _, pose) in content.all_found().items():
        if there not in sent.names or sent.names[there] not in cohort:
            continue
        image = sent.names[there]
        number = cohort.index(image)
        subjects = [marks, *content.further_subjects(there)]
        if sent.reduced:
            subjects = [to_native(found, cohort.canvas_transform(number)) for found in subjects]
        for found in subjects:
            check_axes(found.values(), cohort.geometry(number), image=image)
        report.predictions[image], *further[image] = subjects
        report.poses[image] = pose
    report.predictions = {n: report.predictions[n] for n in cohort.names if n in report.predictions}
    report.poses = {n: report.poses[n] for n in report.predictions}
    report.left_aside = _texts(done.result.get("left_aside"), sent)
    report.not_found = _texts(done.result.get("not_found"), sent)
    report.mirrored = sum(pose.is_mirrored for pose in report.poses.values())
    _write_training(record, study, cohort, model, sent, report, further)
    return report


def receive_detections(
    record: JobRecord, skipped: list[SkippedFile], geometries: Mapping[str, Geometry]
) -> Detections:
    """Predictions of a detection on another machine, in the order in which the images were sent.

    Parameters
    ----------
    record : JobRecord
        Whose results were fetched.
    skipped : list of SkippedFile
        Images that were not sent.
    geometries : mapping of str to Geometry
        Of the images that were sent, by name here.

    Raises
    ------
    InputError
        A file that came back is damaged, is not what was asked for, or lacks an image.
    """
    done, sent = _done(record), SentNames.read(record)
    model = load_model(Study.open(record.folder / STUDY), name="001", device="cpu")  # the copy that was sent
    digest = model.digest()
    if done.result.get("digest") != digest:
        raise InputError(f"{record.host}: predicted with another model than the one that was sent")
    run = {"model": digest, "spacing": None, "heatmaps": None}
    content = read_journal(record.folder / "found.csv.part.jsonl", run, model.schema)
    found = Detections(skipped_files=list(skipped), cancelled=done.result.get("cancelled") is not False)
    there, left_out = content.all_found(), content.all_skipped()
    for name, image in sent.names.items():
        if name in there and image in geometries:
            marks, _, pose = there[name]
            check_axes(marks.values(), geometries[image], image=image)
            found.landmarks[image], found.geometries[image] = marks, geometries[image]
            found.poses[image] = pose
            if further := content.further_subjects(name):
                for subject in further:
                    check_axes(subject.values(), geometries[image], image=image)
                found.further_subjects[image] = further
        elif name in left_out:
            reason = printable(left_out[name]).replace(name, image)[:500]
            found.skipped_files.append(SkippedFile(image, reason))
        elif not found.cancelled:
            raise InputError(f"{record.host}: gave back no result for {image}: detect again")
    return found


def _done(record: JobRecord) -> Done:
    done = read_done(record.folder)
    if done is None:
        raise InputError(f"{record.job_id}: has no result")
    return done


def _returned_model(record: JobRecord, done: Done, name: object) -> tuple[Predictor, str]:
    """The model that came back, and its digest, which is that of the worker."""
    if not isinstance(name, str) or not re.fullmatch(r"[0-9]{3,6}", name):
        raise InputError(f"{record.host}: trained a model of the name {name!r:.40}, which no training makes")
    copy = Study.open(record.folder / STUDY)
    model = load_model(copy, name=name, device="cpu")
    digest = model.digest()
    if digest != done.result.get("digest"):
        raise InputError(f"{record.host}: the model that came back is not the one that was trained there")
    if model.schema.names != copy.schema.names:
        raise InputError(f"{record.host}: the model that came back has other landmarks than the study")
    return model, digest


def _returned_journal(path: Path, digest: str, model: Predictor) -> JournalContent:
    content = read_journal(path, {"model": digest}, model.schema)
    if content.of_another_run:
        raise InputError(f"{path}: the predictions that came back are of another model")
    return content


def _write_training(
    record: JobRecord,
    study: Study,
    cohort: Cohort,
    model: Predictor,
    sent: SentNames,
    report: TrainingReport,
    further_subjects: Mapping[str, Sequence[LandmarkSet]],
) -> None:
    names = sent.names
    model.record = _renamed_record(model.record, names) | {"host": record.host, "job": record.job_id}
    with StudyLock(study.folder, TRAINING):
        folder = report.model_dir = new_folder(study)
        write_record(folder, model.record)
        if isinstance(model, LandmarkModel):
            model.poses = {names[name]: pose for name, pose in model.poses.items() if name in names}
            save_model(model, folder)
            write_poses(folder / POSES, model.poses | report.poses)
        elif isinstance(model, VolumeModel):
            save_volume_model(model, folder)
        stages = [history.to_json() for history in report.histories]
        summary = {"cancelled": report.cancelled, "seconds": round(report.seconds, 1), "stages": stages}
        write_json_object(folder / "history.json", summary, indent=None)
        geometries = {name: cohort.geometry(cohort.index(name)) for name in report.predictions}
        study.save_all_predictions(
            report.predictions, geometries, further_subjects=further_subjects, model=folder.name
        )
        predicted = {} if report.cancelled else report.predictions
        write_landmark_card(
            folder, cohort, model.schema, model.record, predicted, minutes=report.seconds / 60
        )
        if not report.cancelled:
            write_pose_table(study.folder / POSE_TABLE, report.poses)
        event = "training cancelled" if report.cancelled else "training finished"
        study.log(
            {"event": event, "model": folder.name, "seconds": round(report.seconds, 1), "host": record.host}
        )


def _renamed_record(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Record of a training with the names that images have here."""
    renamed = dict(record)
    for key in ("templates", "annotated"):
        if isinstance(given := record.get(key), list):
            renamed[key] = [names.get(str(name), str(name)) for name in given]
    poses = record.get("poses")
    if isinstance(poses, dict) and isinstance(aside := poses.get("left_aside"), dict):
        renamed["poses"] = poses | {
            "left_aside": {names.get(str(name), str(name)): reason for name, reason in aside.items()}
        }
    return renamed


def _texts(values: object, sent: SentNames) -> dict[str, str]:
    """Reasons by name of the image here."""
    if not isinstance(values, dict):
        return {}
    return {
        sent.names[name]: printable(str(reason))[:500]
        for name, reason in values.items()
        if name in sent.names
    }


def _read_histories(path: Path) -> list[History]:
    """Histories of the stages; InputError for anything that a training does not write."""
    try:
        content = read_json_object(path)
        return [_history(values) for values in list(content["stages"])[:_MOST_STAGES]]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: is not what a training writes ({printable(str(error)):.80})") from error


def _history(values: Any) -> History:
    losses = [
        (int(step), _number(seconds), _number(loss))
        for step, seconds, loss in values["losses"][:_MOST_LOSSES]
    ]
    return History(
        printable(str(values["stage"]))[:100],
        int(_number(values["steps"])),
        _number(values["seconds"]),
        values["cancelled"] is True,
        losses,
        int(_number(values["least_steps"])),
    )


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or abs(number) > _LARGEST_NUMBER:
        raise ValueError("a number")
    return number
