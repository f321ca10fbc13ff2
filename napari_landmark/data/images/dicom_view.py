"""Side and view that a DICOM header states; for comparison only, since headers are often wrong or left as they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.dicom_header import dicom_header, is_dicom
from napari_landmark.data.images.dicom_series import series_files

if TYPE_CHECKING:
    from pydicom import Dataset

_LONGEST = 64  # characters; DICOM allows 16 of a code and 64 of its meaning


@dataclass(frozen=True)
class StatedView:
    """Side and view as a header states them; empty where it does not.

    Parameters
    ----------
    laterality : str
        Of the image (0020,0062) or, without it, of the series (0020,0060): usually L, R or B.
    position : str
        View position (0018,5101), such as PA or LL, or the meaning of the view code (0054,0220).
    """

    laterality: str = ""
    position: str = ""


NO_VIEW = StatedView()


def read_stated_view(path: Path) -> StatedView:
    """Read side and view from a DICOM file, or the first one of a series; of other and of damaged files none."""
    files = series_files(path)
    if not files or not is_dicom(files[0]):
        return NO_VIEW
    try:
        header = dicom_header(files[0])
        laterality = _text(header, "ImageLaterality") or _text(header, "Laterality")
        position = _text(header, "ViewPosition")
        if not position and (codes := header.get("ViewCodeSequence")):
            position = _text(codes[0], "CodeMeaning")
        return StatedView(laterality, position)
    except InputError:
        return NO_VIEW


def read_stated_views(files: Iterable[tuple[str, Path]]) -> dict[str, StatedView]:
    """Side and view of images by name, those without any left out."""
    views = {name: read_stated_view(path) for name, path in files}
    return {name: view for name, view in views.items() if view != NO_VIEW}


def _text(header: Dataset, keyword: str) -> str:
    """Value of an element in one printable line; empty where it is missing or damaged."""
    try:
        value = str(header.get(keyword) or "")
    except Exception:  # of a damaged value pydicom raises nearly anything, and only when it is read
        return ""
    printable = "".join(sign if sign.isprintable() else " " for sign in value)
    return " ".join(printable.split())[:_LONGEST]
