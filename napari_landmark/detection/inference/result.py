"""Result files of a detection: table of landmarks, poses, record of the run; for terminal and worker alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.fingerprint import fingerprint
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.images.dicom_view import read_stated_views
from napari_landmark.data.study.provenance import write_run_record
from napari_landmark.data.study.settings import Spacing
from napari_landmark.detection.inference.detect import Detections
from napari_landmark.detection.pose.pose_table import pose_table_path, write_pose_table
from napari_landmark.progress import CancelToken, Progress


@dataclass(frozen=True, kw_only=True)
class DetectionRun:
    """Facts of a detection that its record keeps.

    Parameters
    ----------
    study, images : Path
    heatmaps : Path, optional
    device : str
        As it was asked for.
    spacing, default_spacing : float or tuple of float, optional
        See `detect_images`.
    model_digest : str
    model_record : mapping
        Record of the model's training.
    computed_on : str
        Device in words.
    """

    study: Path
    images: Path
    heatmaps: Path | None
    device: str
    spacing: Spacing
    default_spacing: Spacing
    model_digest: str
    model_record: Mapping[str, Any]
    computed_on: str


def fingerprint_of_detected(
    found: Detections,
    images: Path,
    *,
    full_hash: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> str:
    """Fingerprint of the images of a folder that have predictions; errors are those of `fingerprint`."""
    files = [file for file in image_files(images)[0] if file[0] in found.landmarks]
    return fingerprint(files, full=full_hash, progress=progress, cancel=cancel)


def write_detections(out: Path, found: Detections, run: DetectionRun, *, images_fingerprint: str) -> None:
    """Write the table, with rows of every subject of an image, the poses beside it and the record of the run.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    landmarks, geometries = found.by_subject()
    write_landmarks(out, landmarks, geometries=geometries)
    detected = [file for file in image_files(run.images)[0] if file[0] in found.landmarks]
    write_pose_table(pose_table_path(out), found.poses, read_stated_views(detected))
    arguments = {
        "study": run.study,
        "images": run.images,
        "heatmaps": run.heatmaps,
        "device": run.device,
        "spacing": run.spacing,
        "default_spacing": run.default_spacing,
    }
    write_run_record(
        out,
        "detect",
        arguments,
        geometries=found.geometries.values(),
        model={"sha256": run.model_digest, "training": run.model_record},
        device=run.computed_on,
        images={
            "count": len(found.landmarks),
            "fingerprint": images_fingerprint,
            "left_out": [problem.name for problem in found.skipped_files],
            "further_subjects": sum(map(len, found.further_subjects.values())),
            "states": Counter(str(m.image_state) for m in found.landmarks.values() if m.image_state),
        },
    )
