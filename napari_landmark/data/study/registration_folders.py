"""Folders of the registration models of a study."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.data.study.study import Study


def registration_models_dir(study: Study) -> Path:
    """Folder that holds the registration models of a study; may not exist."""
    return study.folder / "registration"


def new_registration_folder(study: Study) -> Path:
    """Make the folder of the study's next registration model."""
    models = registration_models_dir(study)
    numbers = [int(path.name) for path in models.glob("*") if path.name.isdigit()]
    folder = models / f"{max(numbers, default=0) + 1:03d}"
    folder.mkdir(parents=True)
    return folder
