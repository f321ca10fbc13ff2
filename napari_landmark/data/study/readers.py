"""Readers of a study: annotations of other persons, or of the same one again, each in a folder of their own.

``annotations/READER/IMAGE.csv`` holds what a reader placed, ``annotations/READER/reading.json`` which images in which
order. The annotations of the study itself stay where they are; programs that know no readers see those alone.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, Self

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.file_stem import file_stem
from napari_landmark.data.files.json_file import read_json_object, write_json_object
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.lock import ANNOTATING, allowed
from napari_landmark.data.study.study import Study

_VERSION = 1
_RECORD = "reading.json"
_LONGEST_NAME = 60
_FORBIDDEN_ENDS = (".csv", ".json")


@dataclass(frozen=True)
class ReadingPlan:
    """Images of a reading in the order in which they are shown.

    Parameters
    ----------
    reader : str
    images : tuple of str
        Names of the images, shuffled.
    seed : int
        Seed of the order.
    started : str
        Time, ISO 8601.
    finished : str
        Time; empty while it goes on. A finished reading is not changed any more.
    """

    reader: str
    images: tuple[str, ...]
    seed: int
    started: str
    finished: str = ""

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        return {"version": _VERSION, **dataclasses.asdict(self), "images": list(self.images)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Self:
        """Plan from the object of `to_json`; InputError with the file for anything else."""
        images = data.get("images")
        texts = (data.get("reader"), data.get("started", ""), data.get("finished", ""))
        good = isinstance(images, list) and all(isinstance(name, str) for name in images)
        if data.get("version") != _VERSION or not good or not all(isinstance(text, str) for text in texts):
            raise InputError(f"{path}: is damaged or of a newer version: take it from a backup")
        seed = data.get("seed")
        names = tuple(map(composed_name, images or ()))
        return cls(str(texts[0]), names, seed if isinstance(seed, int) else 0, str(texts[1]), str(texts[2]))


class ReaderStudy(Study):
    """A study as one of its readers sees it: own annotations alone, no predictions, no one else's landmarks.

    Nothing but the annotations of this reader can be changed through it.

    Parameters
    ----------
    study : Study
    reader : str
        Name of the reader, see `check_reader`.
    """

    def __init__(self, study: Study, reader: str) -> None:
        super().__init__(study.folder, study._settings)
        self.reader = check_reader(reader)
        self._annotations = f"{self._annotations}/{file_stem(self.reader)}"

    @property
    def plan(self) -> ReadingPlan | None:
        """Images of the reading; None where its annotations were put there in another way."""
        path = self._record_path
        try:
            return ReadingPlan.from_json(read_json_object(path), path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error

    @property
    def annotations_folder(self) -> str:
        """Name of the folder of the annotations of this reader."""
        return Path(self._annotations).name

    @property
    def n_read(self) -> int:
        """Number of images in which every landmark is placed or missing."""
        return sum(is_read(marks) for marks in self.annotations().values())

    def finish(self) -> None:
        """Close the reading: its annotations are not changed any more.

        Raises
        ------
        InputError
            It has no plan, or another program annotates the study.
        """
        plan = self.plan
        if plan is None:
            raise InputError(f"{self._record_path}: there is no such file: start the reading again")
        with allowed(self.folder, ANNOTATING):
            write_json_object(
                self._record_path, dataclasses.replace(plan, finished=_now()).to_json(), indent=1
            )

    def predictions(self) -> dict[str, LandmarkSet]:
        """No predictions."""
        return {}

    def recorded_predictions(self) -> Iterator[tuple[str, LandmarkSet]]:
        """No predictions."""
        return iter(())

    def load_predictions(self, name: str) -> LandmarkSet:
        """Unplaced landmarks."""
        return LandmarkSet(self.schema)

    def save_annotations(self, name: str, landmarks: LandmarkSet, geometry: Geometry | None = None) -> None:
        """Save the landmarks of one image of the reading; see `Study.save_annotations`.

        Raises
        ------
        InputError
            The reading is finished, or the image is not one of it.
        """
        plan = self.plan
        if plan is not None and plan.finished:
            raise InputError(
                f"{self.folder}: the reading of {self.reader} is finished: start one with another name"
            )
        if plan is not None and composed_name(name) not in plan.images:
            raise InputError(f"{name}: is not an image of the reading of {self.reader}: choose one of it")
        super().save_annotations(name, landmarks, geometry)

    def update(self, **changes: Any) -> None:
        """Refused: the study is not changed through a reading."""
        self._refuse()

    def replace_landmarks(self, *arguments: Any, **keywords: Any) -> None:
        """Refused, see `update`."""
        self._refuse()

    def decide(self, name: str, decision: ImageDecision | None) -> None:
        """Refused, see `update`."""
        self._refuse()

    def save_predictions(self, *arguments: Any, **keywords: Any) -> None:
        """Refused, see `update`."""
        self._refuse()

    def save_all_predictions(self, *arguments: Any, **keywords: Any) -> None:
        """Refused, see `update`."""
        self._refuse()

    def read_again(self) -> None:
        """Take over ``study.json`` as it is now."""
        self._settings = Study.open(self.folder)._settings

    @property
    def _record_path(self) -> Path:
        return self.folder / self._annotations / _RECORD

    def _refuse(self) -> NoReturn:
        raise InputError(
            f"{self.folder}: the reading of {self.reader} goes on, in which nothing but its landmarks is changed: "
            "finish "
            "or interrupt it first"
        )


def check_reader(name: str) -> str:
    """The name of a reader with composed letters.

    Raises
    ------
    InputError
        It is empty, longer than 60 signs, not one line, or would be taken for a file.
    """
    name = composed_name(name)
    if (
        not name
        or len(name) > _LONGEST_NAME
        or name != name.strip()
        or not name.isprintable()
        or name.startswith(".")
        or name.lower().endswith(_FORBIDDEN_ENDS)
    ):
        raise InputError(
            f"reader {name[:80]!r}: give a name of one line, at most {_LONGEST_NAME} signs, that does not begin "
            "with a dot "
            "or end in .csv or .json"
        )
    return name


def readers(study: Study) -> dict[str, ReaderStudy]:
    """Further readers of a study with their annotations, by name.

    A folder without a ``reading.json`` is called after itself.

    Raises
    ------
    InputError
        A ``reading.json`` is damaged, or two folders name one reader.
    """
    found: dict[str, ReaderStudy] = {}
    for kind in study._reader_kinds():
        folder = study.folder / kind
        path = folder / _RECORD
        name = folder.name
        if path.exists():
            name = ReadingPlan.from_json(read_json_object(path), path).reader
        reader = ReaderStudy(study, name)
        reader._annotations = kind
        if reader.reader in found:
            raise InputError(f"{folder}: has the annotations of {name}, and so has another folder: keep one")
        found[reader.reader] = reader
    return found


def start_reading(
    study: Study, reader: str, *, images: Sequence[str], count: int | None = None, seed: int = 0
) -> ReaderStudy:
    """Begin a blind reading, or go on with an unfinished one of that reader.

    Parameters
    ----------
    study : Study
        The study itself.
    reader : str
        Name of the reader. The person who annotated the study reads again under another name.
    images : sequence of str
        Images to choose from, such as those that are annotated. Those that a user left out are not read.
    count : int, optional
        Number of images, drawn at random; all by default.
    seed : int, optional
        Seed of the draw and of the order. Those of an unfinished reading stay as they are.

    Raises
    ------
    InputError
        The reader has finished a reading of the study, has annotations without a plan, there is no image to read, or
        another program annotates the study.
    """
    reader = check_reader(reader)
    if study.reader:
        raise InputError(f"{study.folder}: a reading of {study.reader} goes on: finish or interrupt it first")
    begun = next((known for name, known in readers(study).items() if _same(name, reader)), None)
    if begun is not None:
        plan = begun.plan
        if plan is None or plan.finished:
            state = "has annotations in this study" if plan is None else "finished a reading of this study"
            raise InputError(f"reader {reader!r}: {state}: choose another name, such as '{reader} 2'")
        return begun
    decisions = study.decisions()
    candidates = [
        name
        for name in dict.fromkeys(map(composed_name, images))
        if decisions.get(name) is not ImageDecision.LEFT_OUT
    ]
    if not candidates:
        raise InputError(f"{study.folder}: no image to read: annotate some first")
    if count is not None and not 1 <= count <= len(candidates):
        raise InputError(f"{count} images to read: give 1 to {len(candidates)}")
    # By name, so that the order of the files on a disk does not matter.
    order = sorted(candidates)
    random.Random(seed).shuffle(order)
    made = ReaderStudy(study, reader)
    plan = ReadingPlan(reader, tuple(order[:count]), seed, _now())
    with allowed(study.folder, ANNOTATING):
        write_json_object(made._record_path, plan.to_json(), indent=1)
    study.log({"event": "reading started", "reader": reader, "images": len(plan.images), "seed": seed})
    return made


def is_read(marks: LandmarkSet) -> bool:
    """Whether a person decided on every landmark of an image: placed, or missing."""
    return all(mark.status.is_manual for mark in marks.values())


def _same(first: str, second: str) -> bool:
    """Whether two names would share a folder, on systems that take capitals for small letters, too."""
    return file_stem(first).casefold() == file_stem(second).casefold()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
