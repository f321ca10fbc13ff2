"""A landmark file format of your own, which every command and dialog then knows.

Points of Fiji's multi-point tool as its results table saves them: one image a file, columns ``Label``, ``X`` and ``Y``.
In a package of yours, this module and an entry point are all that it takes::

    [project.entry-points."napari_landmark.formats"]
    fiji = "own_format:FIJI"

Run as a script it writes a table, reads it and converts it to another format.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.synthetic import hand_phantom

SUFFIX = ".results.csv"
HALF = 0.5  # Fiji counts from the corner of the first pixel, this package from its centre


def read(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Landmarks of the one image, called as the file is."""
    path = Path(path)
    names, positions = [], []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), 2):
            try:
                names.append(row["Label"])
                positions.append((float(row["Y"]) - HALF, float(row["X"]) - HALF))  # array axis order
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path}, line {line}: expected Label, X and Y ({error})") from None
    image = path.name.removesuffix(SUFFIX)
    return {image: LandmarkSet.from_array(schema or LandmarkSchema(tuple(names)), positions)}


def write(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of one image, whole or not at all."""
    (landmarks,) = sets.values()
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["Label", "X", "Y"])
    for mark in landmarks.values():
        if mark.position is not None:
            row, column = mark.position
            table.writerow([mark.name, f"{column + HALF:.6f}", f"{row + HALF:.6f}"])
    atomic_write(path, text.getvalue())


FIJI = LandmarkFormat(title="Fiji results table", suffixes=(SUFFIX,), read=read, write=write, one_image=True)


def main(folder: Path) -> dict[str, LandmarkSet]:
    """Write, read and convert the landmarks of a drawn hand."""
    hand = hand_phantom(0)
    path = folder / f"{hand.image.name}{SUFFIX}"
    write(path, {hand.image.name: hand.landmarks})
    found = read(path, schema=hand.landmarks.schema)
    write_landmarks(folder / "hand.csv", found)
    print((folder / "hand.csv").read_text(encoding="utf-8").splitlines()[1])
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
