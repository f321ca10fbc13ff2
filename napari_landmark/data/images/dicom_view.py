"""Side and view that a DICOM header states; for comparison only, since headers are often wrong or left as they were.

Only codes of the standard are taken, so that no other text of a header, a name for instance, gets into a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.dicom_header import dicom_header, is_dicom
from napari_landmark.data.images.dicom_series import series_files
from napari_landmark.data.images.library_warnings import logged_warnings

if TYPE_CHECKING:
    from pydicom import Dataset

_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")  # of a CS value (DICOM PS3.5, 6.2)
_MEANING = re.compile(r"[\w ,/()-]{1,64}")
_SCHEMES = ("SRT", "SNM3", "SCT", "DCM")  # whose meanings are those of a dictionary


@dataclass(frozen=True)
class StatedView:
    """Side and view as a header states them; empty where it does not.

    Parameters
    ----------
    laterality : str
        Of the image (0020,0062) or, without it, of the series (0020,0060): usually L, R or B.
    position : str
        View position (0018,5101), such as PA or LL, or the meaning of the view code (0054,0220) of SNOMED or DICOM.
    """

    laterality: str = ""
    position: str = ""


NO_VIEW = StatedView()


def read_stated_view(path: Path) -> StatedView:
    """Read side and view from a DICOM file, or the first one of a series; of other and of damaged files none."""
    file = next((file for file in series_files(path) if is_dicom(file)), None)
    if file is None:
        return NO_VIEW
    try:
        with logged_warnings(path):
            header = dicom_header(file)
            laterality = _text(header, "ImageLaterality", _CODE) or _text(header, "Laterality", _CODE)
            return StatedView(laterality, _text(header, "ViewPosition", _CODE) or _view_code(header))
    except InputError:
        return NO_VIEW


def read_stated_views(files: Iterable[tuple[str, Path]]) -> dict[str, StatedView]:
    """Side and view of images by name, those without any left out."""
    views = {name: read_stated_view(path) for name, path in files}
    return {name: view for name, view in views.items() if view != NO_VIEW}


def _view_code(header: Dataset) -> str:
    """Meaning of the first view code of a known coding scheme; empty without any."""
    try:
        codes = list(header.get("ViewCodeSequence") or ())
    except Exception:  # of a damaged value, see `_text`
        return ""
    if not codes or _text(codes[0], "CodingSchemeDesignator", _CODE) not in _SCHEMES:
        return ""
    return _text(codes[0], "CodeMeaning", _MEANING)


def _text(header: Dataset, keyword: str, form: re.Pattern[str]) -> str:
    """Value of an element in its proper form; empty where it is missing, damaged or of another form."""
    try:
        value = str(header.get(keyword) or "").strip()
    except Exception:  # of a damaged value pydicom raises nearly anything, and only when it is read
        return ""
    return value if form.fullmatch(value) else ""
