"""Report of a training: losses, expected errors, doubtful points and predictions, as page, PDF and figures."""

from __future__ import annotations

import json
from pathlib import Path

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.report_contents import gather_contents
from napari_landmark.detection.training.report_page import training_page
from napari_landmark.detection.training.report_pdf import training_pdf
from napari_landmark.detection.training.train import TrainingReport


def write_report(study: Study, cohort: Cohort, report: TrainingReport) -> Path:
    """Write `report.html` and `report.pdf` (files that need no other) and `report.json` into the study.

    Each model has a report of its own, so that a later training, or one that was stopped, leaves it as it is.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    contents = gather_contents(study, cohort, report)
    folder = study.report_folder(report.model_dir.name)
    atomic_write(folder / "report.json", json.dumps(contents.summary, indent=1, allow_nan=False) + "\n")
    atomic_write(folder / "report.pdf", training_pdf(contents))
    page = folder / "report.html"
    atomic_write(page, training_page(contents))
    return page
