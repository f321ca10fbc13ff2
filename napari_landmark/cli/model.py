"""`napari-landmark model`."""

from __future__ import annotations

from pathlib import Path

import typer

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import model_folders, require_default_folder


def run_export(source: Path, *, out: Path, name: str | None) -> None:
    """Write a model into one file and print its checksum."""
    from napari_landmark.learning.model_archive import write_archive

    folder = _model_folder(source, name)
    checksum = write_archive(folder, out)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, without names of images")
    typer.echo(f"sha256 {checksum}")


def run_import(archive: Path, *, out: Path) -> None:
    """Take the model of an archive over and print where it is."""
    from napari_landmark.detection.model.exchange import import_model
    from napari_landmark.learning.model_archive import place, unpacked
    from napari_landmark.learning.model_files import stated_format
    from napari_landmark.registration.model import FORMAT, RegistrationModel

    with unpacked(archive, out.absolute().parent) as files:
        is_registration = stated_format(files) == FORMAT.name
        if is_registration:
            if out.exists():
                raise InputError(f"{out}: is there already: give a new folder for the registration model")
            RegistrationModel.load(files)
            place(files, out)
    if is_registration:
        typer.echo(f"registration model: {out}")
        typer.echo(f"use it with: napari-landmark register pair --model {out} ...")
        return
    folder = import_model(archive, out)
    typer.echo(f"landmark model: {folder}")
    typer.echo(f"use it with: napari-landmark detect {out} --images DIR --out landmarks.csv")


def _model_folder(source: Path, name: str | None) -> Path:
    if not Study.exists(source):
        if name is not None:
            raise InputError(f"{source}: is no study: --name chooses a model of a study")
        return source
    study = Study.open(source)
    if name is None:
        return require_default_folder(study)
    for folder in model_folders(study):
        if folder.name == name:
            return folder
    raise InputError(f"{source}: has no model {name!r}", code=ErrorCode.NO_MODEL)
