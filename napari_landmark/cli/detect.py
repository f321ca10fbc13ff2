"""`napari-landmark detect`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.image_states import state_lines
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.fingerprint import fingerprint
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.dicom_view import read_stated_views
from napari_landmark.data.study.provenance import describe_spacing, write_run_record
from napari_landmark.data.study.settings import Spacing
from napari_landmark.data.study.study import Study
from napari_landmark.progress import Cancelled

_SAME_SPACING = 0.01  # relative


def run_detect(
    study_folder: Path,
    *,
    images: Path,
    out: Path,
    heatmaps: Path | None,
    device: str,
    spacing: float | None,
    full_hash: bool = False,
) -> None:
    """Detect landmarks in a folder of images and write one CSV."""
    study = Study.open(study_folder)
    if out.suffix.lower() != ".csv":
        raise InputError(f"{out}: landmarks are written as CSV; give a name that ends in .csv")
    check_writable(out)
    if heatmaps is not None:
        check_writable(heatmaps, folder=True)
    if not images.is_dir():
        raise InputError(f"{images}: there is no such folder; --images names the folder of the images")
    from napari_landmark.detection.inference.folder import detect_folder
    from napari_landmark.detection.model.store import load_model
    from napari_landmark.detection.pose.pose_table import pose_table_path, write_pose_table

    model = load_model(study, device=device)
    journal = out.with_name(f"{out.name}.part.jsonl")
    started = time.monotonic()
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = detect_folder(
            model,
            images,
            spacing=spacing,
            default_spacing=study.spacing,
            heatmaps=heatmaps,
            journal=journal,
            progress=progress,
            cancel=cancel,
        )
        try:
            files = [file for file in image_files(images)[0] if file[0] in found.landmarks]
            digest = fingerprint(files, full=full_hash, progress=progress, cancel=cancel)
        except Cancelled:
            found.cancelled = True
    if found.n_resumed:
        typer.echo(f"{found.n_resumed} images were done before the interruption")
    for problem in found.skipped_files:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    if found.cancelled:
        typer.echo(
            f"stopped: {out} was not written; the same command goes on after the {len(found.landmarks)} images done",
            err=True,
        )
        raise typer.Exit(130)
    if spacing is None and (line := _other_spacing(study.spacing, found.geometries)):
        typer.echo(line, err=True)
    write_landmarks(out, found.landmarks, geometries=found.geometries)
    write_pose_table(pose_table_path(out), found.poses, read_stated_views(files))
    arguments = {
        "study": study_folder,
        "images": images,
        "heatmaps": heatmaps,
        "device": device,
        "spacing": spacing,
        "default_spacing": study.spacing,
    }
    write_run_record(
        out,
        "detect",
        arguments,
        geometries=found.geometries.values(),
        model={"sha256": model.digest(), "training": model.record},
        device=str(model.device),
        images={
            "count": len(found.landmarks),
            "fingerprint": digest,
            "left_out": [problem.name for problem in found.skipped_files],
            "states": Counter(str(m.image_state) for m in found.landmarks.values() if m.image_state),
        },
    )
    journal.unlink(missing_ok=True)
    done = max(1, len(found.landmarks) - found.n_resumed)
    seconds = (time.monotonic() - started) / done
    typer.echo(f"{len(found.landmarks)} images, {seconds:.2f} s each ({model.device}): {out}")
    for line in state_lines(found.landmarks):
        typer.echo(line, err=True)
    typer.echo(describe_spacing(found.geometries.values()))
    if turned := sum(pose.is_turned for pose in found.poses.values()):
        mirrored = sum(pose.is_mirrored for pose in found.poses.values())
        typer.echo(f"{turned} images in another pose ({mirrored} mirrored): {pose_table_path(out)}")
    if heatmaps is not None:
        typer.echo(f"heatmaps: {heatmaps}")


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
