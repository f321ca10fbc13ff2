"""Model card: a page in Markdown beside a model that says what it learned from, how well, and what it is not for.

After M. Mitchell et al., Model cards for model reporting, FAT* 2019. It holds no names of images, which may be those of
patients, so that it can be passed on with the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_landmark.data.files.atomic import atomic_write

MODEL_CARD = "MODEL_CARD.md"
_TITLES = {"python": "Python"}


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Content of a model card.

    Parameters
    ----------
    title : str
    purpose : str
        What the model does, in one sentence.
    record : mapping
        Record of its training (`learning.training_record`): images, working grid, options, device, versions.
    data : sequence of str
        Lines on the data beside those that follow from `record`.
    figures : sequence of (str, str)
        What was measured in the training, with its value.
    figures_note : str
        What the figures are, and what they are not.
    limits : sequence of str
        What the model must not be used for, beside what is true of every model.
    """

    title: str
    purpose: str
    record: Mapping[str, Any]
    data: Sequence[str] = ()
    figures: Sequence[tuple[str, str]] = ()
    figures_note: str = ""
    limits: Sequence[str] = field(default_factory=tuple)

    def text(self) -> str:
        """The page."""
        record = self.record
        canvas = record.get("canvas")
        grid = " × ".join(map(str, reversed(canvas))) if isinstance(canvas, list) else ""
        spacings = ", ".join(f"{_cell(key)} ({count})" for key, count in _pairs(record, "spacing"))
        versions = [(_TITLES.get(name, name), number) for name, number in _pairs(record, "versions")]
        options = [(name, str(value)) for name, value in _pairs(record, "options") if value is not None]
        limits = [
            *self.limits,
            "It knows the anatomy, the kind of image and the population of its training, and nothing else. Score it on "
            "images of your own with known landmarks or labels before you rely on it.",
            "It is research software and no medical device: no diagnosis and no treatment may rest on it alone.",
        ]
        parts = [
            f"# {self.title}",
            self.purpose,
            "## Data",
            _list(
                [
                    f"Images: {record.get('images', 'unknown')}; working grid {grid or 'unknown'}",
                    f"Source of the pixel spacing (images): {spacings or 'unknown'}",
                    *self.data,
                    f"Fingerprint of the images: `{record.get('data_fingerprint', 'unknown')}`",
                ]
            ),
            "## Figures",
            _table(("", ""), self.figures) if self.figures else "None: the training was stopped early.",
            *([self.figures_note] if self.figures and self.figures_note else []),
            "## Limits",
            _list(limits),
            "## Training",
            f"Device: {record.get('device', 'unknown')}",
            _table(("option", "value"), options),
            "## Versions",
            _table(("package", "version"), versions),
        ]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> Path:
        """Write the page into the folder of a model and return its path; InputError where it cannot be written."""
        path = folder / MODEL_CARD
        atomic_write(path, self.text())
        return path


def _pairs(record: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Items of an object of the record; none where it has another kind, as that of another machine may."""
    value = record.get(key)
    return list(value.items()) if isinstance(value, Mapping) else []


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(titles: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    cells = [titles, ("---", "---"), *rows]
    return "\n".join(f"| {_cell(first)} | {_cell(second)} |" for first, second in cells)


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
