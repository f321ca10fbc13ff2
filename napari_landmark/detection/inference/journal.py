"""What was found so far in a folder, kept beside the result while it is being made.

One line of JSON for each image, added when it is done. A detection that is interrupted, however that happens, goes
on with the next image; a line that was cut off counts as not written.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.folder import file_state
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet

_VERSION = 1
_SECONDS_BETWEEN_SYNCS = 2.0
_LARGEST = 8 * 1024**3
_DECIMALS = 6


class DetectionJournal:
    """Landmarks by image, in a file that grows.

    Parameters
    ----------
    path : Path
        The file; made where there is none.
    run : mapping
        What the landmarks depend on besides the image: the model, the spacing. What is in the file from
        another run is thrown away.
    schema : LandmarkSchema
        Of the model.

    Raises
    ------
    InputError
        The file cannot be written.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], schema: LandmarkSchema) -> None:
        self.path = path
        self._schema = schema
        self._run = json.loads(json.dumps({"version": _VERSION, **run}))
        self._done: dict[str, dict[str, Any]] = {}
        self._added = 0
        self._synced = time.monotonic()
        length = self._read()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("r+b" if length else "wb")
            self._stream.seek(length)
            self._stream.truncate()
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        if not length:
            self._append(self._run)

    def __len__(self) -> int:
        return len(self._done)

    def find(self, name: str, image: Path) -> tuple[LandmarkSet, Geometry] | None:
        """What was found in an image, None where it has to be looked at (again)."""
        entry = self._done.get(name)
        if entry is None or entry["state"] != _state(image):
            return None
        try:
            return _landmarks(entry, self._schema), _geometry(entry["geometry"])
        except (InputError, LookupError, TypeError, ValueError, OverflowError):
            return None

    def add(self, name: str, image: Path, landmarks: LandmarkSet, geometry: Geometry) -> None:
        """Keep what was found in an image."""
        found = [
            None
            if mark.position is None
            else [*(round(v, _DECIMALS) for v in mark.position), mark.confidence, mark.expected_error]
            for mark in landmarks.values()
        ]
        place = {
            "shape": geometry.shape,
            "spacing": geometry.spacing,
            "origin": geometry.origin,
            "direction": geometry.direction,
            "source": geometry.spacing_source,
            "plane": geometry.spacing_plane,
        }
        self._added += 1
        self._append({"image": name, "state": _state(image), "found": found, "geometry": place})

    def close(self) -> None:
        """Stop writing; a file without any image is removed."""
        self._stream.close()
        if not self._done and not self._added:
            self.path.unlink(missing_ok=True)

    def _append(self, entry: Mapping[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(entry).encode() + b"\n")
            self._stream.flush()  # to the system: it survives the end of this program
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._stream.fileno())  # to the disk: it survives the end of the power
                self._synced = time.monotonic()
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}): free some space, then run the same command "
                "again, it goes on from there"
            ) from error

    def _read(self) -> int:
        """Take over what an earlier, interrupted run left; how many bytes of it are good."""
        try:
            if self.path.stat().st_size > _LARGEST:
                return 0
            stream = self.path.open("rb")
        except OSError:
            return 0
        good = 0
        with stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                    if good == 0:
                        if entry != self._run:
                            break
                    else:
                        self._done[str(entry["image"])] = {
                            key: entry[key] for key in ("state", "found", "geometry")
                        }
                except (ValueError, LookupError, TypeError, RecursionError):
                    break
                good += len(line)
        return good


def _state(path: Path) -> list[int]:
    try:
        return list(file_state(path))
    except OSError:
        return []


def _landmarks(entry: Mapping[str, Any], schema: LandmarkSchema) -> LandmarkSet:
    marks = []
    for name, values in zip(schema.names, entry["found"], strict=True):
        if values is None:
            marks.append(Landmark(name))
        else:
            *position, confidence, error = values
            marks.append(Landmark(name, tuple(position), "predicted", confidence, error))
    return LandmarkSet(schema, marks)


def _geometry(place: Mapping[str, Any]) -> Geometry:
    return Geometry(
        shape=tuple(place["shape"]),
        spacing=place["spacing"],
        origin=tuple(place["origin"]),
        direction=tuple(map(tuple, place["direction"])),
        spacing_source=SpacingSource(place["source"]),
        spacing_plane=str(place["plane"]),
    )
