"""Decisions of a user on whole images, which outlast every new model: confirmed, or left out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.json_file import read_json_object, write_json_object

_FILE = "decisions.json"
_VERSION = 1


class ImageDecision(StrEnum):
    """Decision of a user on an image."""

    CONFIRMED = "confirmed"
    """It shows the anatomy, whatever a model says."""
    LEFT_OUT = "left_out"
    """It is not to be used: no model learns from its predictions, and tables of all images lack it."""


def read_decisions(folder: Path) -> dict[str, ImageDecision]:
    """Read the decisions in the folder of a study, by name of the image.

    Raises
    ------
    InputError
        The file is damaged.
    """
    path = folder / _FILE
    try:
        content = read_json_object(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    images = content.get("images")
    if content.get("version") != _VERSION or not isinstance(images, dict):
        raise InputError(f"{path}: is damaged or of a newer version: take it from a backup")
    try:
        return {composed_name(name): ImageDecision(value) for name, value in images.items()}
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}): take it from a backup") from error


def write_decisions(folder: Path, decisions: Mapping[str, ImageDecision]) -> None:
    """Write the decisions of a study, whole or not at all.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    images = {composed_name(name): str(decisions[name]) for name in sorted(decisions)}
    write_json_object(folder / _FILE, {"version": _VERSION, "images": images})
