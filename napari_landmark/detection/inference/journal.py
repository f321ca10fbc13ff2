"""Journal of a detection: the predictions made so far, kept beside the result while it is being made.

One line of JSON for the run, then one for each image, added when it is done. An interrupted detection, however it
ended, is resumed with the next image; a line that was cut off counts as not written.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.folder import file_state
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

_VERSION = 1
_SECONDS_BETWEEN_SYNCS = 2.0
_LARGEST = 8 * 1024**3  # bytes


@dataclass
class JournalContent:
    """Entries of a journal.

    Parameters
    ----------
    schema : LandmarkSchema
        Of the model.
    entries : dict of str to dict
        By name of the image; the last one of each counts.
    length : int
        Bytes of the file up to the last whole line.
    of_another_run : bool
        Whether the file is of another model, spacing or folder of heatmaps, so that nothing was taken from it.
    """

    schema: LandmarkSchema
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    length: int = 0
    of_another_run: bool = False

    def find(self, name: str, image: Path) -> tuple[LandmarkSet, Geometry, Pose] | None:
        """Prediction and pose of an image; None where there is none, or the image file has changed since."""
        return self._parsed(self._current(name, image))

    def all_found(self) -> dict[str, tuple[LandmarkSet, Geometry, Pose]]:
        """All predictions with geometry and pose by name of the image, wherever the image files are."""
        parsed = ((name, self._parsed(entry)) for name, entry in self.entries.items())
        return {name: found for name, found in parsed if found is not None}

    def further_subjects(self, name: str) -> tuple[LandmarkSet, ...]:
        """Landmarks of the second subject and on in an image that has a prediction; empty of one subject."""
        entry = self.entries[name]
        return tuple(
            _landmarks(found, entry["image_state"], self.schema)
            for found in entry.get("further_subjects", ())
        )

    def all_skipped(self) -> dict[str, str]:
        """Reasons why images were skipped, by name."""
        return {name: str(entry["skipped"]) for name, entry in self.entries.items() if "skipped" in entry}

    def _parsed(self, entry: dict[str, Any] | None) -> tuple[LandmarkSet, Geometry, Pose] | None:
        if entry is None or "found" not in entry:
            return None
        try:
            geometry = _geometry(entry["geometry"])
            pose = Pose.from_json(entry["pose"]) if "pose" in entry else Pose.upright(geometry.ndim)
            for further in entry.get("further_subjects", ()):
                _landmarks(further, entry["image_state"], self.schema)  # damaged ones are found again
            return _landmarks(entry["found"], entry["image_state"], self.schema), geometry, pose
        except (InputError, LookupError, TypeError, ValueError, OverflowError):
            return None

    def find_skipped(self, name: str, image: Path) -> str | None:
        """Reason why an image was skipped; None where it was not, or the image file has changed since."""
        entry = self._current(name, image)
        return None if entry is None or "skipped" not in entry else str(entry["skipped"])

    def _current(self, name: str, image: Path) -> dict[str, Any] | None:
        entry = self.entries.get(name)
        return entry if entry is not None and entry["state"] == _state(image) else None


def read_journal(path: Path, run: Mapping[str, Any], schema: LandmarkSchema) -> JournalContent:
    """Read what a run wrote; empty where there is no journal of it.

    Parameters
    ----------
    run : mapping
        All that the predictions depend on besides the image, such as model and spacing.
    """
    content, expected = JournalContent(schema), _run_line(run)
    try:
        if path.stat().st_size > _LARGEST:
            return content
        stream = path.open("rb")
    except OSError:
        return content
    with stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                if content.length == 0:
                    if entry != expected:
                        content.of_another_run = True
                        break
                else:
                    keys = ("state", "skipped") if "skipped" in entry else ("state", "found", "geometry")
                    optional = (key for key in ("pose", "further_subjects") if key in entry)
                    kept = {key: entry[key] for key in (*keys, *optional)}
                    # Entries of earlier versions have no state of the image.
                    content.entries[str(entry["image"])] = kept | {"image_state": entry.get("image_state")}
            except (ValueError, LookupError, TypeError, RecursionError):
                break
            content.length += len(line)
    return content


class DetectionJournal:
    """Journal that is being written.

    Parameters
    ----------
    path : Path
        The file; made where there is none.
    run : mapping
        All that the predictions depend on besides the image, such as model and spacing. Entries of another run are
        removed from the file.
    schema : LandmarkSchema
        Of the model.

    Raises
    ------
    InputError
        The file cannot be written.

    Attributes
    ----------
    content : JournalContent
        Entries of an earlier, interrupted run.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], schema: LandmarkSchema) -> None:
        self.path = path
        self.content = read_journal(path, run, schema)
        self._empty = not self.content.entries
        self._synced = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("r+b" if self.content.length else "wb")
            self._stream.seek(self.content.length)
            self._stream.truncate()
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        if not self.content.length:
            self._append(_run_line(run))

    def add(
        self,
        name: str,
        image: Path,
        landmarks: LandmarkSet,
        geometry: Geometry,
        pose: Pose | None = None,
        *,
        further_subjects: Sequence[LandmarkSet] = (),
    ) -> None:
        """Append the prediction of an image, positions in native index coordinates.

        Its pose is kept if it is not upright, and the landmarks of further subjects if there are any.
        """
        described = {
            "shape": geometry.shape,
            "spacing": geometry.spacing,
            "origin": geometry.origin,
            "direction": geometry.direction,
            "source": geometry.spacing_source,
            "plane": geometry.spacing_plane,
        }
        self._empty = False
        entry = {
            "image": name,
            "state": _state(image),
            "found": _plain_values(landmarks),
            "geometry": described,
        }
        if further_subjects:
            entry["further_subjects"] = [_plain_values(marks) for marks in further_subjects]
        if pose is not None and not pose.is_upright:
            entry["pose"] = pose.to_json()
        self._append(entry | {"image_state": landmarks.image_state})

    def skip(self, name: str, image: Path, reason: str) -> None:
        """Append that an image could not be used; a resumed run tries it again."""
        self._empty = False
        self._append({"image": name, "state": _state(image), "skipped": reason})

    def close(self) -> None:
        """Stop writing; a file without any image is removed."""
        self._stream.close()
        if self._empty:
            self.path.unlink(missing_ok=True)

    def _append(self, entry: Mapping[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(entry).encode() + b"\n")
            self._stream.flush()  # to the system: it survives the end of this program
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._stream.fileno())  # to the disk: it survives a power cut
                self._synced = time.monotonic()
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}): free some space, then run the same command "
                "again, it resumes from there"
            ) from error


def _run_line(run: Mapping[str, Any]) -> dict[str, Any]:
    """First entry of a journal, with the types that JSON gives back."""
    line: dict[str, Any] = json.loads(json.dumps({"version": _VERSION, **run}))
    return line


def _state(path: Path) -> list[int]:
    """Size and time of change of an image file, empty where it is gone."""
    try:
        return list(file_state(path))
    except OSError:
        return []


def _plain_values(landmarks: LandmarkSet) -> list[list[Any] | None]:
    # All digits: lengths in mm are computed from these, and a resumed run writes the same table to the last byte.
    return [
        [
            *(mark.position or ()),
            mark.confidence,
            mark.expected_error,
            *([] if mark.covariance is None else [mark.covariance]),
        ]
        if mark.status in (Status.PREDICTED, Status.PREDICTED_MISSING)
        else None
        for mark in landmarks.values()
    ]


def _landmarks(
    found: Sequence[Sequence[Any] | None], state: str | None, schema: LandmarkSchema
) -> LandmarkSet:
    marks = []
    for name, values in zip(schema.names, found, strict=True):
        if values is None:
            marks.append(Landmark(name))
        else:
            # Only a covariance is a list of its own; entries of earlier versions have none.
            covariance = tuple(map(tuple, values[-1])) if isinstance(values[-1], list) else None
            *position, confidence, error = values if covariance is None else values[:-1]
            status = Status.PREDICTED if position else Status.PREDICTED_MISSING
            marks.append(
                Landmark(name, tuple(position) or None, status, confidence, error, covariance=covariance)
            )
    return LandmarkSet(schema, marks, image_state=None if state is None else ImageState(state))


def _geometry(described: Mapping[str, Any]) -> Geometry:
    return Geometry(
        shape=tuple(described["shape"]),
        spacing=described["spacing"],
        origin=tuple(described["origin"]),
        direction=tuple(map(tuple, described["direction"])),
        spacing_source=SpacingSource(described["source"]),
        spacing_plane=str(described["plane"]),
    )
