"""Status, confidence and expected error of a landmark in a free field of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.text_file import finite_number
from napari_landmark.data.landmarks import Landmark, Status

# In the unit of the file: a manual move is larger, the rounding by other programs is smaller.
_MOVED = 1e-3
_TEXT = re.compile(
    r"\s*\[(?P<status>[a-z_]+)(?:; confidence (?P<confidence>[^;\]]*))?"
    r"(?:; expected error (?P<error>[^;\]]*) px)?(?P<covered>; covered)?(?:; at (?P<at>[^;\]]*))?\]\s*$"
)


@dataclass(frozen=True)
class StateNote:
    """Status, confidence and expected error of a landmark, noted in a field that the format leaves free.

    Other programs keep such a field when a user moves the point. The note therefore holds the position at the
    time of writing: a prediction with another position was corrected since.

    Parameters
    ----------
    status : Status
        As it was when the file was written.
    confidence, expected_error : float, optional
        As in `Landmark`.
    at : tuple of float, optional
        The position as the file gives it, in its own unit and order.
    covered : bool
        As in `Landmark`.
    """

    status: Status
    confidence: float | None = None
    expected_error: float | None = None
    at: tuple[float, ...] | None = None
    covered: bool = False

    @classmethod
    def of(cls, landmark: Landmark, at: Sequence[float] | None) -> StateNote | None:
        """The note of a landmark, None where its position is all there is to store."""
        plain = landmark.status not in (Status.PREDICTED, Status.CORRECTED, Status.PREDICTED_MISSING)
        if plain and landmark.confidence is None and landmark.expected_error is None and not landmark.covered:
            return None
        rounded = None if at is None else tuple(round(float(value), 6) + 0.0 for value in at)
        confidence, error = _rounded(landmark.confidence), _rounded(landmark.expected_error)
        return cls(landmark.status, confidence, error, rounded, landmark.covered)

    def landmark(
        self,
        name: str,
        position: tuple[float, ...] | None,
        at: Sequence[float] | None,
        otherwise: Status,
    ) -> Landmark:
        """The landmark, with the state of this note where the position did not change.

        Parameters
        ----------
        name : str
            Its name.
        position : tuple of float, optional
            Index coordinates.
        at : sequence of float, optional
            The position as the file gives it now.
        otherwise : Status
            Status by the fields of the format.
        """
        if self.status.has_position != (position is not None):
            return Landmark(name, position, otherwise)
        if at is not None and (self.at is None or not _agree(at, self.at)):
            return Landmark(name, position, Status.CORRECTED, covered=self.covered)
        return Landmark(name, position, self.status, self.confidence, self.expected_error, self.covered)

    def to_text(self) -> str:
        """The note as readable text in square brackets."""
        parts = [str(self.status)]
        if self.confidence is not None:
            parts.append(f"confidence {self.confidence!r}")
        if self.expected_error is not None:
            parts.append(f"expected error {self.expected_error!r} px")
        if self.covered:
            parts.append("covered")
        if self.at is not None:
            parts.append("at " + " ".join(map(repr, self.at)))
        return f"[{'; '.join(parts)}]"

    @classmethod
    def split_text(cls, text: str) -> tuple[str, StateNote | None]:
        """A text without the note at its end, and the note."""
        match = _TEXT.search(text)
        if match is None or match["status"] not in tuple(Status):
            return text.strip(), None
        try:
            at = None if match["at"] is None else [finite_number(v, "at") for v in match["at"].split()]
            note = cls._checked(
                match["status"], match["confidence"], match["error"], at, match["covered"] is not None
            )
        except InputError:  # text of a user that only resembles a note
            return text.strip(), None
        return text[: match.start()].strip(), note

    def to_json(self) -> dict[str, Any]:
        """A plain object for a JSON file."""
        at = None if self.at is None else list(self.at)
        values = {"confidence": self.confidence, "expected_error_px": self.expected_error, "at": at}
        covered = {"covered": True} if self.covered else {}
        return {"status": str(self.status), **{k: v for k, v in values.items() if v is not None}, **covered}

    @classmethod
    def from_json(cls, data: object) -> StateNote | None:
        """The note from the object of `to_json`, None where it is anything else."""
        if not isinstance(data, dict) or data.get("status") not in tuple(Status):
            return None
        at = data.get("at")
        try:
            position = None if at is None else [finite_number(value, "at") for value in at]
            return cls._checked(
                data["status"],
                data.get("confidence"),
                data.get("expected_error_px"),
                position,
                data.get("covered") is True,
            )
        except (InputError, TypeError):
            return None

    @classmethod
    def _checked(
        cls, status: str, confidence: object, error: object, at: Sequence[float] | None, covered: bool
    ) -> StateNote:
        sure, off = (None if value is None else finite_number(value, "") for value in (confidence, error))
        position = (0, 0) if Status(status).has_position else None
        Landmark("note", position, Status(status), sure, off, covered)
        return cls(Status(status), sure, off, None if at is None else tuple(at), covered)


def _agree(now: Sequence[float], then: Sequence[float]) -> bool:
    return len(now) == len(then) and all(abs(a - b) <= _MOVED for a, b in zip(now, then, strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6) + 0.0
