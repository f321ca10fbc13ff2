"""A study: a folder of plain files with a template, landmarks by persons, predictions and models."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.file_stem import file_stem
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.formats.landmark_csv import read_csv, write_csv
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.lock import ANNOTATING, allowed
from napari_landmark.data.study.settings import Spacing, check_settings, checked_spacing, study_settings

_VERSION = 1
_FILE = "study.json"


class Study:
    """A folder on disk; nothing is held in memory but ``study.json``.

    ``study.json``, ``annotations/*.csv`` (what persons said), ``predictions/*.csv`` (what models said),
    ``models/``, ``report/`` and ``log.jsonl``. Annotations and predictions are separate files, so that a
    prediction cannot replace what a person said. Made by `Study.create` and `Study.open`.
    """

    def __init__(self, folder: Path, data: Mapping[str, Any]) -> None:
        self.folder = folder
        self._data = dict(data)
        self._schema = LandmarkSchema.from_json(self._data)
        self._spacing = checked_spacing(self._data.get("spacing"))
        check_settings(self._data)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        schema: LandmarkSchema,
        images: str | Path | None = None,
        template: str = "",
        spacing: float | Sequence[float] | None = None,
        extra: Sequence[str | Path] = (),
    ) -> Study:
        """Make a new study.

        Parameters
        ----------
        folder : str or Path
            Made where it is not there; must not hold a study.
        schema : LandmarkSchema
            The landmarks.
        images : str or Path, optional
            Folder of the images.
        template : str, optional
            Name of the annotated image.
        spacing : float or sequence of float, optional
            Millimetres per pixel given by a person, in array axis order.
        extra : sequence of path, optional
            Images of the cohort that lie elsewhere than in `images`.
        """
        folder = Path(folder)
        if cls.exists(folder):
            raise InputError(f"{folder}: holds a study already: open it or choose another folder")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file: choose a folder")
        data = {"version": _VERSION, "created": _now()}
        study = cls(folder, {**data, **study_settings(folder, schema, images, template, spacing, extra)})
        study._save()
        return study

    @classmethod
    def open(cls, folder: str | Path) -> Study:
        """Open the study in a folder; InputError where there is none or a newer program made it."""
        folder = Path(folder)
        path = folder / _FILE
        try:
            data = json.loads(read_small_text(path))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder}: is not a study: it has no {_FILE}") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: is damaged ({error}): take it from a backup") from error
        version = data.get("version") if isinstance(data, dict) else None
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise InputError(f"{path}: does not describe a study: choose another folder")
        if version > _VERSION:
            raise InputError(
                f"{path}: was made by a newer version of napari-landmark (study version {version}, known is "
                f"{_VERSION}): update napari-landmark"
            )
        try:
            return cls(folder, data)
        except InputError as error:
            raise error.prefixed(path) from error

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Whether a folder holds a study."""
        return (Path(folder) / _FILE).exists()

    @property
    def schema(self) -> LandmarkSchema:
        """The landmarks."""
        return self._schema

    @property
    def template(self) -> str:
        """Name of the annotated image, empty where none was chosen yet."""
        return self._data.get("template", "")

    @property
    def images(self) -> Path | None:
        """Folder of the images: as it lies to the study, else where it was when it was named."""
        places = self.places_of_images
        return next((place for place in places if place.exists()), next(iter(places), None))

    @property
    def places_of_images(self) -> tuple[Path, ...]:
        """Where the folder of the images may be, the likeliest place first; empty where none was named."""
        images = self._data.get("images")
        return () if images is None else self._places(images, self._data.get("images_absolute"))

    @property
    def extra(self) -> tuple[Path, ...]:
        """Images of the cohort that lie elsewhere than in `images`, such as a template from another place."""
        paths = self._data.get("extra", [])
        absolute = self._data.get("extra_absolute", [])
        if len(absolute) != len(paths):
            absolute = [None] * len(paths)
        found = (self._places(*pair) for pair in zip(paths, absolute, strict=True))
        return tuple(next((place for place in places if place.exists()), places[0]) for places in found)

    @property
    def spacing(self) -> Spacing:
        """Millimetres per pixel that a person gave, one value or one for each axis."""
        return self._spacing

    @property
    def models_dir(self) -> Path:
        """Folder of the models; made here."""
        return self._made("models")

    @property
    def report_dir(self) -> Path:
        """Folder of the report; made here."""
        return self._made("report")

    def update(
        self,
        *,
        schema: LandmarkSchema | None = None,
        images: str | Path | None = None,
        template: str | None = None,
        spacing: float | Sequence[float] | None = None,
        extra: Sequence[str | Path] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """Change and save what is given; the rest stays.

        Landmarks that leave the schema stay in the files of annotations until those are saved again.
        `renamed` adds old names to new ones of landmarks, see `current_names`.
        """
        changed = study_settings(
            self.folder,
            schema or self._schema,
            self.images if images is None else images,
            self.template if template is None else template,
            self._spacing if spacing is None else spacing,
            self.extra if extra is None else extra,
        )
        # What cannot be found now, such as a disk that is not there, keeps the places it was known at.
        if images is None and not (self.images and self.images.exists()):
            changed = {key: value for key, value in changed.items() if not key.startswith("images")}
        if extra is None and not all(path.exists() for path in self.extra):
            changed = {key: value for key, value in changed.items() if not key.startswith("extra")}
        if renamed:
            earlier = {old: renamed.get(new, new) for old, new in self._data.get("renamed", {}).items()}
            both = {**earlier, **renamed}
            changed["renamed"] = {old: new for old, new in both.items() if old != new}
        study = Study(self.folder, {**self._data, **changed})
        if study._data == self._data:
            return
        with allowed(self.folder, ANNOTATING):
            study._save()
        self.__dict__.update(study.__dict__)

    def current_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """What the landmarks of a model are called now; it knows them by the names of its training.

        Parameters
        ----------
        names : iterable of str
            All names that the model knows: one that is gone tells that the model is the older one, also
            where another landmark has taken an old name since.
        """
        names, renamed = tuple(names), self._data.get("renamed", {})
        if all(name in self._schema or name not in renamed for name in names):
            return names
        every = tuple(renamed.get(name, name) for name in names)
        if len(set(every)) == len(every):
            return every
        return tuple(name if name in self._schema else renamed.get(name, name) for name in names)

    def annotations(self) -> dict[str, LandmarkSet]:
        """What persons said, by name of the image."""
        return self._load_all("annotations")

    def predictions(self) -> dict[str, LandmarkSet]:
        """What models said, by name of the image."""
        return self._load_all("predictions")

    def load_annotations(self, name: str) -> LandmarkSet:
        """What persons said about one image; a set of unplaced landmarks where they said nothing."""
        return self._load("annotations", name)

    def load_predictions(self, name: str) -> LandmarkSet:
        """What models said about one image; a set of unplaced landmarks where they said nothing."""
        return self._load("predictions", name)

    def save_annotations(self, name: str, landmarks: LandmarkSet, geometry: Geometry | None = None) -> None:
        """Save what a person said about one image; predicted landmarks in the set are left out.

        InputError while another program annotates the study, which would not know of it.
        """
        kept = LandmarkSet(landmarks.schema, (mark for mark in landmarks.values() if mark.status.is_manual))
        with allowed(self.folder, ANNOTATING):
            self._save_set("annotations", name, kept, geometry)

    def save_predictions(self, name: str, landmarks: LandmarkSet, geometry: Geometry | None = None) -> None:
        """Save what a model said about one image; the annotations stay untouched.

        Landmarks that were renamed after the model was trained get their new names.
        """
        pairs = list(zip(landmarks.values(), self.current_names(landmarks), strict=True))
        if any(mark.name != new for mark, new in pairs):
            pairs.sort(key=lambda pair: pair[0].name != pair[1])  # a renamed one replaces one of that name
            marks = {new: dataclasses.replace(mark, name=new) for mark, new in pairs}
            landmarks = LandmarkSet(LandmarkSchema(tuple(marks)), marks.values())
        self._save_set("predictions", name, landmarks, geometry)

    def result(self, name: str) -> LandmarkSet:
        """The annotation of an image, and the prediction wherever no person said anything."""
        return self.load_annotations(name).merged_with_prediction(self.load_predictions(name))

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to ``log.jsonl``, with the time.

        Lines come from several threads and programs: each is one write at the end of the file.
        """
        line = json.dumps({"time": _now(), **event}, ensure_ascii=False, default=str) + "\n"
        path = self.folder / "log.jsonl"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                os.write(handle, line.encode("utf-8", "backslashreplace"))
            finally:
                os.close(handle)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error

    def _places(self, path: str, absolute: str | None) -> tuple[Path, ...]:
        outside = path.startswith("../")
        # An absolute path, as older versions wrote it, stays what it is.
        first = Path(os.path.normpath(self.folder.resolve() / path)) if outside else self.folder / path
        return (first,) if absolute is None or Path(absolute) == first else (first, Path(absolute))

    def _save(self) -> None:
        atomic_write(self.folder / _FILE, json.dumps(self._data, indent=2, ensure_ascii=False) + "\n")

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made ({error.strerror})") from error
        return folder

    def _load_all(self, kind: str) -> dict[str, LandmarkSet]:
        folder = self.folder / kind
        if not folder.is_dir():
            return {}
        found: dict[str, LandmarkSet] = {}
        for path in sorted(folder.glob("*.csv")):
            if not path.name.startswith("."):
                found.update(self._read(path))
        return found

    def _load(self, kind: str, name: str) -> LandmarkSet:
        path = self.folder / kind / f"{file_stem(name)}.csv"
        found = self._read(path) if path.exists() else {}
        return found.get(name) or LandmarkSet(self._schema)

    def _read(self, path: Path) -> dict[str, LandmarkSet]:
        sets = read_csv(path)
        for name in sets:
            if file_stem(name) != path.stem:  # a copy, or a table put here by hand: which one is meant?
                raise InputError(
                    f"{path}: holds landmarks of {name!r}, whose file is {file_stem(name)}.csv: move it out"
                )
        # A landmark taken out of the schema later is no mistake in the older files.
        return {
            name: LandmarkSet(self._schema, (mark for mark in found.values() if mark.name in self._schema))
            for name, found in sets.items()
        }

    def _save_set(self, kind: str, name: str, landmarks: LandmarkSet, geometry: Geometry | None) -> None:
        if not name.strip():
            raise InputError("an image without a name: landmarks belong to an image")
        for landmark in landmarks.values():
            if landmark.name not in self._schema and landmark.status.is_manual:
                self._schema.index(landmark.name)  # raises: what a person said is not dropped silently
        known = (landmark for landmark in landmarks.values() if landmark.name in self._schema)
        in_order = LandmarkSet(self._schema, known)
        path = self.folder / kind / f"{file_stem(name)}.csv"
        write_csv(path, {name: in_order}, geometries={} if geometry is None else {name: geometry})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
