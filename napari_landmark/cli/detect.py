"""`napari-landmark detect`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer

from napari_landmark.backend.client import JobStatus
from napari_landmark.backend.hosts import Host, find_host
from napari_landmark.backend.job_record import JobRecord
from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.follow import follow, require_result, study_of, tidy_up
from napari_landmark.cli.image_states import state_lines
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.folder import SkippedFile, image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.study.provenance import describe_spacing
from napari_landmark.data.study.settings import Spacing
from napari_landmark.data.study.study import Study
from napari_landmark.data.subjects import subject_name
from napari_landmark.progress import Cancelled, CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    from napari_landmark.detection.inference.detect import Detections, ImageReference
    from napari_landmark.detection.model.predictor import Predictor

_SAME_SPACING = 0.01  # relative


@dataclass(frozen=True, kw_only=True)
class DetectionRequest:
    """Arguments of a detection, checked.

    Parameters
    ----------
    study : Study
    images, out : Path
    heatmaps : Path, optional
    device : str
    spacing : float, optional
        Millimetres per pixel instead of the files' own.
    full_hash : bool
    """

    study: Study
    images: Path
    out: Path
    heatmaps: Path | None
    device: str
    spacing: float | None
    full_hash: bool

    @classmethod
    def checked(
        cls,
        study_folder: Path,
        *,
        images: Path,
        out: Path,
        heatmaps: Path | None,
        device: str,
        spacing: float | None,
        full_hash: bool,
    ) -> DetectionRequest:
        """The request, if its files can be read and written (InputError otherwise)."""
        study = Study.open(study_folder)
        if out.suffix.lower() != ".csv":
            raise InputError(f"{out}: landmarks are written as CSV; give a name that ends in .csv")
        check_writable(out)
        if heatmaps is not None:
            check_writable(heatmaps, folder=True)
        if not images.is_dir():
            raise InputError(f"{images}: there is no such folder; --images names the folder of the images")
        return cls(
            study=study,
            images=images,
            out=out,
            heatmaps=heatmaps,
            device=device,
            spacing=spacing,
            full_hash=full_hash,
        )

    @property
    def journal(self) -> Path:
        """Journal of the predictions made so far."""
        return self.out.with_name(f"{self.out.name}.part.jsonl")


def run_detect(
    study_folder: Path,
    *,
    images: Path,
    out: Path,
    heatmaps: Path | None,
    device: str,
    spacing: float | None,
    full_hash: bool = False,
    shard: str | None = None,
    executor: str | None = None,
    on: str | None = None,
    confirmed: bool = False,
) -> None:
    """Detect landmarks in a folder of images and write one CSV; of a shard, its journal.

    `on` is the name of a host that detects instead of this machine.
    """
    request = DetectionRequest.checked(
        study_folder,
        images=images,
        out=out,
        heatmaps=heatmaps,
        device=device,
        spacing=spacing,
        full_hash=full_hash,
    )
    from napari_landmark.detection.inference.folder import detect_folder
    from napari_landmark.detection.inference.shard import Shard
    from napari_landmark.detection.model.store import load_model

    part = Shard() if shard is None else Shard.parse(shard)
    if on is not None:
        if heatmaps is not None or part.count > 1 or executor is not None:
            raise InputError("--on gives a table alone; leave out --heatmaps, --shard and --executor")
        _detect_on(request, find_host(on), confirmed=confirmed)
        return
    if executor is not None:
        if part.count > 1:
            raise InputError("--shard and --executor divide the images in two ways; give one of them")
        _detect_on_cluster(request, executor)
        return
    model = load_model(request.study, device=device)
    started = time.monotonic()
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = detect_folder(
            model,
            images,
            spacing=spacing,
            default_spacing=request.study.spacing,
            heatmaps=heatmaps,
            journal=request.journal,
            shard=part,
            progress=progress,
            cancel=cancel,
        )
    if part.count > 1:
        _report_shard(request, part.index, part.count, found)
        return
    finish_detection(request, model, found, seconds=time.monotonic() - started)


def _detect_on_cluster(request: DetectionRequest, executor: str) -> None:
    from napari_landmark.backend.cluster.detection import detect_on_cluster
    from napari_landmark.backend.cluster.tasks import parse_address
    from napari_landmark.detection.model.store import load_model, require_default_folder

    parse_address(executor)  # a wrong one is told before the model is read
    name = require_default_folder(request.study).name
    model = load_model(request.study, name=name, device="cpu")
    started = time.monotonic()
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = detect_on_cluster(
            executor,
            request.study,
            model,
            request.images,
            model_name=name,
            device=request.device,
            spacing=request.spacing,
            default_spacing=request.study.spacing,
            heatmaps=request.heatmaps,
            journal=request.journal,
            progress=progress,
            cancel=cancel,
        )
    seconds = time.monotonic() - started
    finish_detection(request, model, found, seconds=seconds, computed_on=f"{request.device}, {executor}")


def _detect_on(request: DetectionRequest, host: Host, *, confirmed: bool) -> None:
    """Detect on another machine."""
    from napari_landmark.backend.sending import prepare_detection
    from napari_landmark.detection.model.store import require_default_folder

    model_folder = require_default_folder(request.study)
    about = {
        "study": str(request.study.folder.absolute()),
        "images": str(request.images.absolute()),
        "out": str(request.out.absolute()),
        "device": request.device,
        "spacing": request.spacing,
        "full_hash": request.full_hash,
        "model": model_folder.name,
    }
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        references, _ = _usable(request, progress, cancel)
        record = prepare_detection(
            request.study,
            model_folder,
            references,
            host,
            device=request.device,
            spacing=request.spacing,
            confirmed=confirmed,
            about=about,
            progress=progress,
            cancel=cancel,
        )
    take_over_detection(record, follow(record))


def take_over_detection(record: JobRecord, status: JobStatus) -> None:
    """Write the table of a detection on another machine."""
    from napari_landmark.backend.receiving import receive_detections
    from napari_landmark.detection.model.store import load_model

    about = record.about or {}
    try:
        request = DetectionRequest.checked(
            study_of(record),
            images=Path(about["images"]),
            out=Path(about["out"]),
            heatmaps=None,
            device=str(about["device"]),
            spacing=about["spacing"],
            full_hash=about["full_hash"] is True,
        )
        name = str(about["model"])
    except (LookupError, TypeError) as error:
        raise InputError(f"{record.job_id}: its record is damaged ({error}); remove the job") from error
    require_result(record, status)
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        _, geometries = _usable(request, progress, cancel)
    found = receive_detections(record, geometries.skipped_files, geometries.geometries)
    model = load_model(request.study, name=name, device="cpu")
    if found.cancelled:
        tidy_up(record)
        typer.echo(f"stopped: {request.out} was not written", err=True)
        raise typer.Exit(130)
    seconds = 0.0 if status.done is None else status.done.seconds
    finish_detection(request, model, found, seconds=seconds, computed_on=f"{request.device} on {record.host}")
    tidy_up(record)


def _usable(
    request: DetectionRequest, progress: Progress, cancel: CancelToken
) -> tuple[list[ImageReference], Detections]:
    """The images that can be read, with the geometries that they are detected with; the others as skipped."""
    from napari_landmark.detection.inference.detect import Detections, ImageReference, reference_geometry

    files, skipped = image_files(request.images)
    usable, found = [], Detections(skipped_files=list(skipped))
    for done, (name, path) in enumerate(files, 1):
        cancel.raise_if_cancelled()
        reference = ImageReference(name, path)
        try:
            found.geometries[name] = reference_geometry(reference, request.spacing, request.study.spacing)
        except (InputError, OSError) as error:
            reason = (
                f"cannot be read ({error.strerror or error})" if isinstance(error, OSError) else str(error)
            )
            found.skipped_files.append(SkippedFile(name, reason.removeprefix(f"{path}: ")))
        else:
            usable.append(reference)
        progress(ProgressEvent("reading headers", done / len(files), step=done))
    if not usable:
        raise InputError(f"{request.images}: holds no image that can be used")
    return usable, found


def finish_detection(
    request: DetectionRequest,
    model: Predictor,
    found: Detections,
    *,
    seconds: float,
    computed_on: str | None = None,
) -> None:
    """Write the results of a complete detection and report them; of a cancelled one, how to go on."""
    from napari_landmark.detection.inference.result import (
        DetectionRun,
        fingerprint_of_detected,
        write_detections,
    )
    from napari_landmark.detection.pose.pose_table import pose_table_path

    images, out, study = request.images, request.out, request.study
    if not found.cancelled:
        try:
            with terminal_progress() as progress, cancel_on_interrupt() as cancel:
                compared = fingerprint_of_detected(
                    found, images, full_hash=request.full_hash, progress=progress, cancel=cancel
                )
        except Cancelled:
            found.cancelled = True
    _report_images(found)
    if found.cancelled:
        typer.echo(
            f"stopped: {out} was not written; the same command goes on after the {len(found.landmarks)} images done",
            err=True,
        )
        raise typer.Exit(130)
    if request.spacing is None and (line := _other_spacing(study.spacing, found.geometries)):
        typer.echo(line, err=True)
    run = DetectionRun(
        study=study.folder,
        images=images,
        heatmaps=request.heatmaps,
        device=request.device,
        spacing=request.spacing,
        default_spacing=study.spacing,
        model_digest=model.digest(),
        model_record=model.record,
        computed_on=computed_on or str(model.device),
    )
    write_detections(out, found, run, images_fingerprint=compared)
    request.journal.unlink(missing_ok=True)
    each = seconds / max(1, len(found.landmarks) - found.n_resumed)
    typer.echo(f"{len(found.landmarks)} images, {each:.2f} s each ({run.computed_on}): {out}")
    for line in state_lines(found.landmarks):
        typer.echo(line, err=True)
    if found.further_subjects:
        typer.echo(_further_subjects(found), err=True)
    typer.echo(describe_spacing(found.geometries.values()))
    if turned := sum(pose.is_turned for pose in found.poses.values()):
        mirrored = sum(pose.is_mirrored for pose in found.poses.values())
        typer.echo(f"{turned} images in another pose ({mirrored} mirrored): {pose_table_path(out)}")
    if request.heatmaps is not None:
        typer.echo(f"heatmaps: {request.heatmaps}")


def _further_subjects(found: Detections) -> str:
    """One line on the rows of the second subject and on."""
    example = subject_name(next(iter(found.further_subjects)), 2)
    return (
        f"further subjects in {len(found.further_subjects)} of the images have rows of their own, such as "
        f"{example!r}"
    )


def _report_images(found: Detections) -> None:
    if found.n_resumed:
        typer.echo(f"{found.n_resumed} images were done before the interruption")
    for problem in found.skipped_files:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)


def _report_shard(request: DetectionRequest, index: int, count: int, found: Detections) -> None:
    _report_images(found)
    if found.cancelled:
        typer.echo("stopped: the same command goes on with this shard", err=True)
        raise typer.Exit(130)
    typer.echo(
        f"shard {index} of {count}: {len(found.landmarks)} images done; when all are done: napari-landmark merge "
        f"STUDY --shards {count}, with the same --images, --out and --spacing"
    )


def _other_spacing(given: Spacing, geometries: Mapping[str, Geometry]) -> str:
    """One line on images whose files state another spacing than the user gave for the study; empty without any."""
    if given is None:
        return ""
    others = [
        name
        for name, geometry in geometries.items()
        if geometry.spacing is not None
        and geometry.spacing_source is not SpacingSource.USER
        and not (
            np.size(given) in (1, geometry.ndim) and np.allclose(geometry.spacing, given, rtol=_SAME_SPACING)
        )
    ]
    if not others:
        return ""
    own = " x ".join(f"{value:g}" for value in reversed(geometries[others[0]].spacing or ()))
    study = " x ".join(f"{value:g}" for value in np.atleast_1d(given)[::-1])
    return (
        f"warning: {len(others)} images, such as {others[0]}, state {own} mm a pixel in their files and the study "
        f"{study} mm: the files' own is used; --spacing MM replaces it"
    )
