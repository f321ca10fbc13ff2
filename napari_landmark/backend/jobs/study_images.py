"""Images of a study that a job works on."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.study import Study


def study_images(study: Study, monitor: JobMonitor, *, wanted: str = "") -> dict[str, Path]:
    """Files of the images of a study by name, without those that a person left out.

    Parameters
    ----------
    study : Study
    monitor : JobMonitor
    wanted : str, optional
        Name of an image that is there in any case.
    """
    images = Cohort.from_folder(
        study.require_images(),
        spacing=study.spacing,
        extra=study.extra,
        progress=monitor.progress,
        cancel=monitor.cancel,
    )
    decisions = study.decisions()
    return {
        name: path
        for name, path in zip(images.names, images.paths, strict=True)
        if name == wanted or decisions.get(name) is not ImageDecision.LEFT_OUT
    }
