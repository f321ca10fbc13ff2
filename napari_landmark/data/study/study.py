"""Study: a folder of plain files with annotations, predictions and models of a cohort."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from napari_landmark.data.cohort.folder import ExtraImages
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.atomic import atomic_write, atomic_write_all
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.file_stem import earlier_file_stem, file_stem
from napari_landmark.data.files.json_file import json_content, read_json_object, write_json_object
from napari_landmark.data.formats.landmark_csv import csv_content, read_csv
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.sides import Mirroring, Sides
from napari_landmark.data.study.file_replacement import FileReplacement, finish_replacement, is_replacing
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts, read_facts, write_facts
from napari_landmark.data.study.laterality import sides_of_images, with_laterality
from napari_landmark.data.study.lock import ANNOTATING, allowed
from napari_landmark.data.study.prediction_models import write_prediction_models
from napari_landmark.data.study.settings import (
    Spacing,
    StudySettings,
    checked_spacing,
    relative_and_absolute,
)
from napari_landmark.data.subjects import image_of_subject, subject_name
from napari_landmark.progress import CancelToken, Progress, ProgressEvent


class _Unchanged(Enum):
    """Argument that was not given, where None has a meaning of its own."""

    UNCHANGED = 0


_ANNOTATIONS, _PREDICTIONS = "annotations", "predictions"
_SUBJECTS = f"{_PREDICTIONS}/subjects"  # of the second subject of an image and on, each under its own name
_LEVELS_UP = 4
_UNCHANGED = _Unchanged.UNCHANGED
_VERSION = 1
_FILE = "study.json"


class Study:
    """A study on disk; only ``study.json`` is held in memory.

    The folder holds ``study.json``, ``annotations/*.csv`` (manual landmarks), ``predictions/*.csv`` (landmarks of
    models), ``models/``, ``report/`` and ``log.jsonl``; annotations of further readers are in
    ``annotations/READER/*.csv`` (`data.study.readers`), predictions of further subjects of an image in
    ``predictions/subjects/*.csv``. Annotations and predictions are separate files, so that a
    prediction cannot replace an annotation. Use `Study.create` and `Study.open`.

    Parameters
    ----------
    folder : Path
        Folder of the study.
    settings : StudySettings
        Content of its ``study.json``.
    """

    reader = ""
    """Reader whose annotations these are; empty for those of the study itself."""

    def __init__(self, folder: Path, settings: StudySettings) -> None:
        self.folder = folder
        self._settings = settings
        self._annotations = _ANNOTATIONS

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        schema: LandmarkSchema,
        images: str | Path | None = None,
        template: str = "",
        spacing: float | Sequence[float] | None = None,
        extra: ExtraImages = (),
        measurements: MeasurementSchema | None = None,
    ) -> Study:
        """Create a study without annotations; `data.study.creation.create_study` takes those, too.

        Parameters
        ----------
        folder : str or Path
            Created if missing; must not hold a study.
        schema : LandmarkSchema
            The landmarks.
        images : str or Path, optional
            Folder of the images.
        template : str, optional
            Name of the annotated image.
        spacing : float or sequence of float, optional
            Millimetres per pixel given by the user, in array axis order.
        extra : sequence of path, or mapping of path to str, optional
            Images of the cohort outside `images`, or their names by path; a name that is recorded stays.
        measurements : MeasurementSchema, optional
            What is measured between the landmarks.

        Raises
        ------
        InputError
            The folder holds a study or cannot be written, or the spacing is not positive.
        """
        folder = Path(folder)
        if cls.exists(folder):
            raise InputError(f"{folder}: holds a study already: open it or choose another folder")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file: choose a folder")
        other = {"version": _VERSION, "created": _now()}
        settings = StudySettings(
            schema,
            template,
            spacing=checked_spacing(spacing),
            measurements=measurements or MeasurementSchema(),
            other=other,
        )
        settings = _with_images(settings, folder, images)
        study = cls(folder, _with_extra(settings, folder, extra))
        study._save()
        return study

    @classmethod
    def open(cls, folder: str | Path) -> Study:
        """Open the study in a folder; InputError where there is none or a newer program made it.

        A renaming of landmarks that another program could not finish is finished first.
        """
        folder = Path(folder)
        path = folder / _FILE
        if is_replacing(folder):
            with allowed(folder, ANNOTATING):
                finish_replacement(folder)
        try:
            data = read_json_object(path)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder}: is not a study: it has no {_FILE}") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        version = data.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise InputError(f"{path}: does not describe a study: choose another folder")
        if version > _VERSION:
            raise InputError(
                f"{path}: was made by a newer version of napari-landmark (study version {version}, known is "
                f"{_VERSION}): update napari-landmark"
            )
        try:
            return cls(folder, StudySettings.from_json(data))
        except InputError as error:
            raise error.prefixed(path) from error

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """True where a folder holds a study."""
        return (Path(folder) / _FILE).exists()

    @property
    def schema(self) -> LandmarkSchema:
        """The landmarks."""
        return self._settings.schema

    @property
    def measurements(self) -> MeasurementSchema:
        """What is measured between the landmarks."""
        return self._settings.measurements

    @property
    def template(self) -> str:
        """Name of the annotated image, empty where none was chosen yet."""
        return self._settings.template

    @property
    def images(self) -> Path | None:
        """Folder of the images: relative to the study, else by its absolute path; None where none was given."""
        candidates = self.places_of_images
        return next((path for path in candidates if path.exists()), next(iter(candidates), None))

    @property
    def places_of_images(self) -> tuple[Path, ...]:
        """Candidates for the folder of the images, the likeliest first; empty where none was given."""
        images = self._settings.images
        return () if images is None else self._candidates(images, self._settings.images_absolute)

    @property
    def images_nearby(self) -> tuple[Path, ...]:
        """Existing folders near the study that are called as the recorded folder of the images is."""
        names = {
            _recorded_parts(path) for path in (self._settings.images, self._settings.images_absolute) if path
        }
        folder = self.folder.resolve()
        near = [folder, *folder.parents][:_LEVELS_UP]
        tails = [parts[-count:] for count in (2, 1) for parts in sorted(names)]
        found = (base.joinpath(*tail) for tail in tails for base in near if tail)
        return tuple(dict.fromkeys(path for path in found if path.is_dir()))

    def require_images(self) -> Path:
        """The folder of the images.

        Raises
        ------
        InputError
            With `ErrorCode.IMAGES_NOT_FOUND`: none was given, or it is not there, such as the path of another
            computer. The message names the recorded folders, and those of that name near the study.
        """
        images = self.images
        if images is not None and images.is_dir():
            return images
        if images is None:
            fact = "does not say where its images are"
        else:
            fact = f"its images are not in {' nor '.join(map(str, self.places_of_images))}"
            if any(_is_of_windows(str(path)) for path in self.places_of_images):
                fact += " (of a Windows computer)"
            if near := self.images_nearby:
                fact += f"; they may be in {' or '.join(map(str, near))}"
        raise InputError(f"{self.folder}: {fact}", code=ErrorCode.IMAGES_NOT_FOUND)

    @property
    def extra(self) -> Mapping[Path, str]:
        """Images of the cohort outside `images`, such as a template from another folder: names by path.

        A name is empty where none is recorded: it follows from the path, see `list_files`.
        """
        found = (self._candidates(*pair) for pair in self._settings.extra_pairs)
        paths = (next((path for path in paths if path.exists()), paths[0]) for paths in found)
        return dict(zip(paths, self._settings.names_of_extra, strict=True))

    @property
    def spacing(self) -> Spacing:
        """Millimetres per pixel given by the user, one value or one for each axis."""
        return self._settings.spacing

    @property
    def sides(self) -> Sides:
        """Names in mirror images: as the user chose, else the same.

        Pairs follow from the names where none are given.
        """
        chosen = self._settings.sides or Sides()
        return chosen if chosen.pairs else Sides.of_names(self.schema.names, chosen.mirroring)

    @property
    def chose_sides(self) -> bool:
        """Whether the user said what a mirror image means in this study."""
        return self._settings.sides is not None

    @property
    def models_dir(self) -> Path:
        """Folder of the models; created if missing."""
        return self._made("models")

    @property
    def report_dir(self) -> Path:
        """Folder of the reports, with a folder a model; created if missing."""
        return self._made("report")

    def report_folder(self, model: str) -> Path:
        """Folder of the report of a model, by the name of its folder; created if missing."""
        return self._made(f"report/{model}")

    def report_page(self, model: str) -> Path | None:
        """Page of the report of a model; None without one.

        Before 0.2 a study had one report, of the training that ended last.
        """
        page = self.folder / "report" / model / "report.html"
        if model and page.is_file():
            return page
        earlier = self.folder / "report" / "report.html"
        try:
            about = read_json_object(earlier.with_suffix(".json"))
        except (OSError, InputError):
            return None
        return earlier if about.get("model") == model and earlier.is_file() else None

    def update(
        self,
        *,
        schema: LandmarkSchema | None = None,
        images: str | Path | None = None,
        template: str | None = None,
        spacing: float | Sequence[float] | _Unchanged | None = _UNCHANGED,
        extra: ExtraImages | None = None,
        renamed: Mapping[str, str] | None = None,
        sides: Sides | None = None,
        measurements: MeasurementSchema | None = None,
    ) -> None:
        """Change and save what is given; the rest stays.

        Landmarks that leave the schema stay in the files of annotations until those are saved again.

        Parameters
        ----------
        schema, images, template, spacing, extra
            As in `create`. A `spacing` of None takes back an earlier one: the files' own counts again.
        renamed : mapping of str to str, optional
            Old names to new ones of landmarks, see `current_names`.
        sides : Sides, optional
            Names in mirror images.
        measurements : MeasurementSchema, optional
            What is measured. Measurements of a landmark that leaves the schema stay, and are not computed.

        Raises
        ------
        InputError
            Another program annotates the study, or the folder cannot be written.
        """
        changed = dataclasses.replace(
            self._settings,
            schema=schema or self.schema,
            template=self.template if template is None else template,
            spacing=self.spacing if isinstance(spacing, _Unchanged) else checked_spacing(spacing),
            sides=self._settings.sides if sides is None else sides,
            measurements=self.measurements if measurements is None else measurements,
        )
        # Paths that cannot be found now, such as those of a disk that is not connected, stay as they are recorded.
        if images is not None or (self.images and self.images.exists()):
            changed = _with_images(changed, self.folder, self.images if images is None else images)
        if extra is not None or all(path.exists() for path in self.extra):
            known = self.extra
            given = known if extra is None else extra
            if not isinstance(given, Mapping):
                given = {path: known.get(path, "") for path in map(Path, given)}
            changed = _with_extra(changed, self.folder, given)
        if renamed:
            changed = dataclasses.replace(
                changed,
                renamed=_composed_renames(changed.renamed, renamed),
                measurements=changed.measurements.renamed(renamed),
            )
            if changed.sides is not None:
                changed = dataclasses.replace(changed, sides=changed.sides.renamed(renamed))
        if changed == self._settings:
            return
        with allowed(self.folder, ANNOTATING):
            self._check_not_replacing()
            Study(self.folder, changed)._save()
        self._settings = changed

    def choose_mirroring(self, mirroring: Mirroring) -> None:
        """Save what a mirror image means in this study; pairs of names that were given stay. Errors as of `update`."""
        self.update(sides=dataclasses.replace(self._settings.sides or Sides(), mirroring=mirroring))

    def read_again(self) -> None:
        """Take over ``study.json`` as it is now; another program, or another `Study` of this one, changed it."""
        self._settings = Study.open(self.folder)._settings

    def replace_landmarks(
        self,
        schema: LandmarkSchema,
        renamed: Mapping[str, str],
        change: Callable[[LandmarkSet], LandmarkSet],
        *,
        geometry: Callable[[str], Geometry | None] = lambda image: None,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        """Change the schema and all files of annotations and predictions together: all of them or none.

        Also where the program ends in between: the next one that opens the study has all files of before or all
        new ones.

        Parameters
        ----------
        schema : LandmarkSchema
            The new landmarks.
        renamed : mapping of str to str
            Old names to new ones of landmarks, see `current_names`.
        change : callable
            New landmarks of an image for the recorded ones, which include those that left the schema.
        geometry : callable, optional
            Geometry of an image by its name, for the columns in millimetres; None where it is unknown.
        progress : Progress, optional
        cancel : CancelToken, optional

        Raises
        ------
        Cancelled
            `cancel` was set; nothing changed.
        InputError
            Another program annotates the study, or its files cannot be read or written; nothing changed, unless the
            message says that the renaming goes on when the study is opened again.
        """
        settings = dataclasses.replace(
            self._settings,
            schema=schema,
            renamed=_composed_renames(self._settings.renamed, renamed),
            measurements=self.measurements.renamed(renamed),
        )
        kinds = (_ANNOTATIONS, *self._reader_kinds(), _PREDICTIONS, _SUBJECTS)
        total = sum(len(self._files(kind)) for kind in kinds)
        done = 0
        with allowed(self.folder, ANNOTATING), FileReplacement(self.folder) as files:
            for kind in kinds:
                for image, marks in self._recorded(kind):
                    if cancel is not None:
                        cancel.raise_if_cancelled()
                    if progress is not None:
                        progress(ProgressEvent("renaming", done / total, step=done))
                    files.add(*self._file(kind, image, change(marks), geometry(image_of_subject(image))))
                    done += 1
            files.add(PurePath(_FILE), json_content(settings.to_json(), indent=2).encode())
            files.commit(progress=progress, cancel=cancel)
        self._settings = settings

    def current_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """Current names of the landmarks of a model, which has the names of its training.

        Parameters
        ----------
        names : iterable of str
            All names of the model: a removed one tells that the model is older than the renaming, also where
            another landmark has taken an old name since.
        """
        names, renamed = tuple(names), self._settings.renamed
        if all(name in self.schema or name not in renamed for name in names):
            return names
        every = tuple(renamed.get(name, name) for name in names)
        if len(set(every)) == len(every):
            return every
        return tuple(name if name in self.schema else renamed.get(name, name) for name in names)

    def annotations(self) -> dict[str, LandmarkSet]:
        """Manual landmarks of all images, by name of the image."""
        return self._load_all(self._annotations)

    def predictions(self) -> dict[str, LandmarkSet]:
        """Predicted landmarks of all images, by name of the image."""
        return self._load_all(_PREDICTIONS)

    def recorded_annotations(self) -> Iterator[tuple[str, LandmarkSet]]:
        """Names of images and their manual landmarks as recorded, one file after the other.

        Unlike `annotations`, they include landmarks that left the schema, and each has the schema of its file.
        """
        return self._recorded(self._annotations)

    def recorded_predictions(self) -> Iterator[tuple[str, LandmarkSet]]:
        """Names of images and their predicted landmarks as recorded; see `recorded_annotations`."""
        return self._recorded(_PREDICTIONS)

    def load_annotations(self, name: str) -> LandmarkSet:
        """Manual landmarks of one image; all of them unplaced where nobody annotated it."""
        return self._load(self._annotations, name)

    def load_predictions(self, name: str) -> LandmarkSet:
        """Predicted landmarks of one image; all of them unplaced where there is no prediction."""
        return self._load(_PREDICTIONS, name)

    def save_annotations(self, name: str, landmarks: LandmarkSet, geometry: Geometry | None = None) -> None:
        """Save the manual landmarks of one image; predicted landmarks in the set are left out.

        Parameters
        ----------
        name : str
            Name of the image.
        landmarks : LandmarkSet
        geometry : Geometry, optional
            Geometry of the image, for the columns in millimetres.

        Raises
        ------
        InputError
            Another program annotates the study, or a landmark is not in its schema.
        """
        kept = LandmarkSet(landmarks.schema, (mark for mark in landmarks.values() if mark.status.is_manual))
        with allowed(self.folder, ANNOTATING):
            self._check_not_replacing()
            self._save_set(self._annotations, name, kept, geometry)

    def predicted_images(self, names: Iterable[str]) -> set[str]:
        """Those of the named images for which there is a prediction."""
        stems = {path.stem for path in self._files(_PREDICTIONS)}
        return {
            name
            for name in map(composed_name, names)
            if file_stem(name) in stems or earlier_file_stem(name) in stems
        }

    def load_further_subjects(self, name: str) -> tuple[LandmarkSet, ...]:
        """Predicted landmarks of the second subject of an image and on; none of an image of one subject."""
        found: list[LandmarkSet] = []
        while (path := self._subject_file(name, len(found) + 2)).exists():
            subject = subject_name(composed_name(name), len(found) + 2)
            marks = self._read(path).get(subject)
            if marks is None:
                raise InputError(f"{path}: holds no landmarks of {subject!r}: remove it and detect again")
            found.append(self._of_schema(marks))
        return tuple(found)

    def save_predictions(
        self,
        name: str,
        landmarks: LandmarkSet,
        geometry: Geometry | None = None,
        *,
        further_subjects: Sequence[LandmarkSet] = (),
        model: str = "",
    ) -> None:
        """Save the predicted landmarks of one image; the annotations stay untouched.

        Landmarks that were renamed after the model was trained get their new names. Parameters as in
        `save_annotations`; `further_subjects` are those of the second subject and on, which replace earlier ones,
        `model` is the name of the model's folder, empty for one that is not of the study.
        """
        known = {} if geometry is None else {name: geometry}
        self.save_all_predictions(
            {name: landmarks}, known, further_subjects={name: further_subjects}, model=model
        )

    def save_all_predictions(
        self,
        predictions: Mapping[str, LandmarkSet],
        geometries: Mapping[str, Geometry],
        *,
        further_subjects: Mapping[str, Sequence[LandmarkSet]] | None = None,
        model: str = "",
    ) -> None:
        """Save the predicted landmarks of many images, as `save_predictions` does those of one, in less time."""
        further = further_subjects or {}
        files = {}
        for name in predictions:
            # Before the first subject is another one: what is left of an earlier prediction is never shown beside it.
            self._remove_subjects(name)
            for number, marks in enumerate(further.get(name, ()), start=2):
                subject = subject_name(name, number)
                in_order = self._in_order(subject, self._renamed(marks))
                path, content = self._file(_SUBJECTS, subject, in_order, geometries.get(name))
                files[self.folder / path] = content
        for name, landmarks in predictions.items():
            in_order = self._in_order(name, self._renamed(landmarks))
            path, content = self._file(_PREDICTIONS, name, in_order, geometries.get(name))
            files[self.folder / path] = content
        atomic_write_all(files)
        for name in predictions:
            self._remove_earlier(_PREDICTIONS, composed_name(name))
        write_prediction_models(self.folder, predictions, model)

    def _subject_file(self, name: str, number: int) -> Path:
        return self.folder / _SUBJECTS / f"{file_stem(subject_name(composed_name(name), number))}.csv"

    def _remove_subjects(self, name: str) -> None:
        number = 2
        while (path := self._subject_file(name, number)).exists():
            try:
                path.unlink()
            except OSError as error:
                raise InputError(f"{path}: cannot be removed ({error.strerror})") from error
            number += 1

    def is_touched(self, name: str) -> bool:
        """Whether a person annotated an image, in the study or in a reading, or said something of it."""
        kinds = (self._annotations, *self._reader_kinds())
        annotated = any(mark.status.is_manual for kind in kinds for mark in self._load(kind, name).values())
        return annotated or bool(self.facts().get(composed_name(name)))

    def remove_predictions(self, name: str) -> None:
        """Remove the predictions of an image, of all its subjects; nothing happens without any.

        Raises
        ------
        InputError
            A file cannot be removed.
        """
        name = composed_name(name)
        for stem in {file_stem(name), earlier_file_stem(name)}:
            path = self.folder / _PREDICTIONS / f"{stem}.csv"
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"{path}: cannot be removed ({error.strerror})") from error
        self._remove_subjects(name)

    def _renamed(self, landmarks: LandmarkSet) -> LandmarkSet:
        """Predicted landmarks with their current names."""
        pairs = list(zip(landmarks.values(), self.current_names(landmarks), strict=True))
        if any(mark.name != new for mark, new in pairs):
            pairs.sort(key=lambda pair: pair[0].name != pair[1])  # a renamed one replaces one of that name
            marks = {new: dataclasses.replace(mark, name=new) for mark, new in pairs}
            landmarks = LandmarkSet(
                LandmarkSchema(tuple(marks)), marks.values(), image_state=landmarks.image_state
            )
        return landmarks

    def decisions(self) -> dict[str, ImageDecision]:
        """Decisions of the user on whole images, by name of the image; InputError for a damaged file."""
        return {name: one.decision for name, one in self.facts().items() if one.decision is not None}

    def facts(self) -> dict[str, ImageFacts]:
        """What users say of images in ``images.csv``, by name of the image; InputError for a damaged file."""
        return read_facts(self.folder)

    def decide(self, name: str, decision: ImageDecision | None) -> None:
        """Save the decision of the user on an image; None takes an earlier one back. Raises as `set_facts`."""
        self.set_facts(name, self.facts().get(composed_name(name), ImageFacts()).replaced(decision))

    def set_facts(self, name: str, facts: ImageFacts) -> None:
        """Save what the user says of an image.

        Raises
        ------
        InputError
            Another program annotates the study, or the file cannot be read or written.
        """
        with allowed(self.folder, ANNOTATING):
            known = self.facts()
            known[composed_name(name)] = facts
            columns = {title for one in known.values() for title in one.more}
            if not facts and not columns:
                del known[composed_name(name)]
            write_facts(self.folder, known)

    def fill_laterality(self, mirrored: Mapping[str, bool], *, image: str) -> list[str]:
        """Write the side of each image that has none into the facts, told by the side of one image.

        Parameters
        ----------
        mirrored : mapping of str to bool
            Whether an image is a mirror image of the template, by name.
        image : str
            Whose side is in its facts, in the column 'laterality'.

        Returns
        -------
        list of str
            Images whose facts state the other side; they stay as they are.

        Raises
        ------
        InputError
            The side or pose of `image` is not known, another program annotates the study, or the file cannot be
            read or written.
        """
        with allowed(self.folder, ANNOTATING):
            known = self.facts()
            filled, contrary = with_laterality(
                known, sides_of_images(known, mirrored, image=composed_name(image))
            )
            write_facts(self.folder, filled)
        return contrary

    def result(self, name: str) -> LandmarkSet:
        """The annotation of an image, completed with its prediction."""
        return self.load_annotations(name).merged_with_prediction(self.load_predictions(name))

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to ``log.jsonl``, with the time.

        Several threads and programs may append at the same time: each line is one write.
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

    def _candidates(self, path: str, absolute: str | None) -> tuple[Path, ...]:
        if os.name != "nt":
            path = path.replace("\\", "/") if "\\" in path and not (self.folder / path).exists() else path
            if _is_of_windows(path):
                return (Path(path),)
        outside = path.startswith("../")
        # Older versions wrote absolute paths.
        first = Path(os.path.normpath(self.folder.resolve() / path)) if outside else self.folder / path
        return (first,) if absolute is None or Path(absolute) == first else (first, Path(absolute))

    def _save(self) -> None:
        write_json_object(self.folder / _FILE, self._settings.to_json(), indent=2)

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made ({error.strerror})") from error
        return folder

    def _load_all(self, kind: str) -> dict[str, LandmarkSet]:
        return {name: self._of_schema(marks) for name, marks in self._recorded(kind)}

    def _files(self, kind: str) -> list[Path]:
        folder = self.folder / kind
        return sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))

    def _reader_kinds(self) -> list[str]:
        """Folders of the annotations of further readers, relative to the study."""
        folder = self.folder / _ANNOTATIONS
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(
            f"{_ANNOTATIONS}/{path.name}" for path in found if path.is_dir() and not path.name.startswith(".")
        )

    def _recorded(self, kind: str) -> Iterator[tuple[str, LandmarkSet]]:
        paths = self._files(kind)
        stems = {path.stem for path in paths}
        for path in paths:
            for name, marks in self._read(path).items():
                # A file of an earlier version may be left beside the current one.
                if path.stem == file_stem(name) or file_stem(name) not in stems:
                    yield name, marks

    def _load(self, kind: str, name: str) -> LandmarkSet:
        name = composed_name(name)
        paths = (self.folder / kind / f"{stem}.csv" for stem in (file_stem(name), earlier_file_stem(name)))
        path = next((path for path in paths if path.exists()), None)
        found = {} if path is None else self._read(path)
        return self._of_schema(found[name]) if name in found else LandmarkSet(self.schema)

    def _read(self, path: Path) -> dict[str, LandmarkSet]:
        """Landmarks of a file by image, also those that were removed from the schema since."""
        sets = read_csv(path)
        for name in sets:
            if path.stem not in (file_stem(name), earlier_file_stem(name)):
                # a copy, or a table added by hand: it is unclear which one counts
                raise InputError(
                    f"{path}: holds landmarks of {name!r}, whose file is {file_stem(name)}.csv: move it out"
                )
        return sets

    def _of_schema(self, marks: LandmarkSet) -> LandmarkSet:
        known = (mark for mark in marks.values() if mark.name in self.schema)
        return LandmarkSet(self.schema, known, image_state=marks.image_state)

    def _save_set(self, kind: str, name: str, landmarks: LandmarkSet, geometry: Geometry | None) -> None:
        path, content = self._file(kind, name, self._in_order(name, landmarks), geometry)
        atomic_write(self.folder / path, content)
        self._remove_earlier(kind, composed_name(name))

    def _file(
        self, kind: str, name: str, landmarks: LandmarkSet, geometry: Geometry | None
    ) -> tuple[PurePath, bytes]:
        """Path in the study and content of the file of one image."""
        name = composed_name(name)
        path = PurePath(kind, f"{file_stem(name)}.csv")
        known = {} if geometry is None else {name: geometry}
        return path, csv_content(self.folder / path, {name: landmarks}, geometries=known)

    def _check_not_replacing(self) -> None:
        """Refuse to write what a replacement of all files, which could not be finished, would write over."""
        if is_replacing(self.folder):
            raise InputError(f"{self.folder}: its landmarks are being renamed: open the study again")

    def _in_order(self, name: str, landmarks: LandmarkSet) -> LandmarkSet:
        """Landmarks of an image in the order of the schema; a manual one that is not in it raises an InputError."""
        if not name.strip():
            raise InputError("an image without a name: landmarks belong to an image")
        for landmark in landmarks.values():
            if landmark.name not in self.schema and landmark.status.is_manual:
                self.schema.index(landmark.name)  # raises: a manual landmark is not dropped silently
        known = (landmark for landmark in landmarks.values() if landmark.name in self.schema)
        return LandmarkSet(self.schema, known, image_state=landmarks.image_state)

    def _remove_earlier(self, kind: str, name: str) -> None:
        """Remove the file that older versions wrote for the same name."""
        folder = self.folder / kind
        if (earlier := earlier_file_stem(name)) != file_stem(name):
            with contextlib.suppress(OSError):
                (folder / f"{earlier}.csv").unlink()


def _composed_renames(earlier: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Old names to current ones, after a further renaming."""
    both = {**{old: renamed.get(new, new) for old, new in earlier.items()}, **renamed}
    return {old: new for old, new in both.items() if old != new}


def _is_of_windows(path: str) -> bool:
    """True for an absolute path of Windows on another system."""
    return os.name != "nt" and bool(PureWindowsPath(path).drive)


def _recorded_parts(path: str) -> tuple[str, ...]:
    """Folders of a recorded path of any system, without drive, root and steps upwards."""
    return tuple(
        part for part in PureWindowsPath(path).parts if part.strip("\\/.") and not part.endswith(("\\", ":"))
    )


def _with_images(settings: StudySettings, folder: Path, images: str | Path | None) -> StudySettings:
    relative, absolute = (None, None) if images is None else relative_and_absolute(images, folder)
    return dataclasses.replace(settings, images=relative, images_absolute=absolute)


def _with_extra(settings: StudySettings, folder: Path, extra: ExtraImages) -> StudySettings:
    names = tuple(extra.values()) if isinstance(extra, Mapping) else ()
    pairs = [relative_and_absolute(path, folder) for path in extra]
    return dataclasses.replace(
        settings,
        extra=tuple(pair[0] for pair in pairs),
        extra_absolute=tuple(pair[1] for pair in pairs),
        extra_names=names if any(names) else (),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
