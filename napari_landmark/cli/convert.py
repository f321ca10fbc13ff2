"""`napari-landmark convert`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames, common_schema, image_stem
from napari_landmark.data.formats.registry import output_format, read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.landmark_source import LandmarkSource
from napari_landmark.data.study.provenance import is_run_record, sha256, write_run_record
from napari_landmark.data.study.study import Study

_PLACE = "{image}"
_Geometries = Mapping[str, Geometry]


def run_convert(
    sources: Sequence[Path], out: Path, *, images: Path | None, spacing: float | None, names: Path | None
) -> None:
    """Convert landmark files, or the landmarks of a study, and report what the new format does not hold."""
    form = output_format(out)
    # A pattern such as folder/* includes the records that detect and convert write beside their tables.
    sources = [source for source in sources if not is_run_record(source)] or sources
    if any(out.resolve() == source.resolve() for source in sources):
        raise InputError(f"{out}: is read and written: choose another name for the result")
    if study := next((source for source in sources if source.is_dir()), None):
        sets, geometries = _of_study(study, sources, images=images, spacing=spacing)
    else:
        sets, geometries = _of_files(sources, images=images, spacing=spacing, names=names)
    if form.one_image and len(sets) > 1 and _PLACE not in out.name:
        raise InputError(
            f"{out}: a file of this format holds one image, here are {len(sets)}: put {_PLACE} into its name, "
            f"such as {out.with_name(_PLACE + form.suffix)}"
        )
    pieces = _pieces(out, sets)
    _write_all(pieces, geometries)
    placed = sum(mark.position is not None for marks in sets.values() for mark in marks.values())
    for line in [
        *_losses(pieces, geometries),
        *([form.note(sets, geometries=geometries)] if form.note else []),
    ]:
        if line:
            typer.echo(line, err=True)
    write_run_record(
        out.with_name(out.name.replace(_PLACE, "all")),
        "convert",
        {"sources": list(sources), "images": images, "spacing": spacing, "names": names},
        files=list(pieces) if len(pieces) > 1 or _PLACE in out.name else (),
        geometries=geometries.values(),
        read=[{"name": source.name, "sha256": sha256(source)} for source in sources if source.is_file()],
    )
    files = (
        f"{len(pieces)} files such as {next(iter(pieces))}" if len(pieces) > 1 else str(next(iter(pieces)))
    )
    typer.echo(f"{placed} landmarks in {len(sets)} images: {files}")


def _of_study(
    study: Path, sources: Sequence[Path], *, images: Path | None, spacing: float | None
) -> tuple[Mapping[str, LandmarkSet], _Geometries]:
    """Annotations of a study, completed by its predictions, without images that are left out."""
    if len(sources) > 1:
        raise InputError(f"{study}: is a folder: a study is converted alone")
    given = LandmarkSource.read(study, images=images, spacing=spacing)
    for problem in given.problems:
        typer.echo(problem, err=True)
    return given.landmarks, given.geometries


def _of_files(
    sources: Sequence[Path], *, images: Path | None, spacing: float | None, names: Path | None
) -> tuple[Mapping[str, LandmarkSet], _Geometries]:
    """Landmarks of all files together."""
    if spacing is not None and images is None:
        raise InputError(
            "--spacing is the size of the images' pixels: give their folder with --images DIR, too"
        )
    folder = None if images is None else FolderGeometries(images, spacing=spacing)
    schema = None if names is None else _schema_of(names, folder)
    sets = _gathered(sources, schema, folder)
    return sets, {} if folder is None else _geometries_of(sets, folder)


def _schema_of(path: Path, folder: FolderGeometries | None) -> LandmarkSchema:
    if path.is_dir():
        return Study.open(path).schema
    return common_schema(read_landmarks(path, geometries=folder).values())


def _gathered(
    sources: Sequence[Path], schema: LandmarkSchema | None, folder: FolderGeometries | None
) -> dict[str, LandmarkSet]:
    """Landmarks by image from all files, with one common schema."""
    sets: dict[str, LandmarkSet] = {}
    origin: dict[str, Path] = {}
    for source in sources:
        for image, marks in read_landmarks(source, schema=schema, geometries=folder).items():
            if image in sets:
                raise InputError(f"{source}: has landmarks of {image}, and so has {origin[image]}: keep one")
            sets[image], origin[image] = marks, source
    if not sets:
        raise InputError(f"{sources[0]}: holds no images")
    shared = common_schema(sets.values())
    return {
        image: LandmarkSet(shared, marks.values(), image_state=marks.image_state)
        for image, marks in sets.items()
    }


def _geometries_of(sets: Mapping[str, LandmarkSet], folder: FolderGeometries) -> dict[str, Geometry]:
    """Geometries by the names of the images in the landmark files."""
    names = ImageNames(folder)
    found = {image: names.find(image) for image in sets}
    return {image: folder[name] for image, name in found.items() if name is not None}


def _pieces(out: Path, sets: Mapping[str, LandmarkSet]) -> dict[Path, dict[str, LandmarkSet]]:
    """Landmarks by output file and image."""
    if _PLACE not in out.name:
        return {out: dict(sets)}
    pieces: dict[Path, dict[str, LandmarkSet]] = {}
    for image, marks in sets.items():
        path = out.with_name(out.name.replace(_PLACE, image_stem(image)))
        if path in pieces:
            raise InputError(
                f"{path}: would hold {next(iter(pieces[path]))} and {image}: rename one of the images"
            )
        pieces[path] = {image: marks}
    return pieces


def _write_all(pieces: Mapping[Path, Mapping[str, LandmarkSet]], geometries: _Geometries) -> None:
    """Write all files, or none if one of them cannot be written."""
    if len(pieces) > 1:
        with tempfile.TemporaryDirectory() as temporary:
            for path, sets in pieces.items():
                try:
                    write_landmarks(Path(temporary) / path.name, sets, geometries=geometries)
                except InputError as error:
                    message = str(error).replace(temporary, str(path.parent))
                    raise InputError(message, code=error.code, **error.parameters) from None
    for path, sets in pieces.items():
        write_landmarks(path, sets, geometries=geometries)


def _losses(pieces: Mapping[Path, Mapping[str, LandmarkSet]], geometries: _Geometries) -> list[str]:
    """Messages on states that the written files do not hold, counted by reading them again, where that is possible."""
    if output_format(next(iter(pieces))).read is None:
        return []
    counts = {"the status": 0, "the confidence": 0, "the expected error": 0, "the state 'covered'": 0}
    for path, sets in pieces.items():
        schema = common_schema(sets.values())
        again = read_landmarks(path, schema=schema, geometries=geometries)
        for image, marks in sets.items():
            for name, mark in marks.items():
                back = again[image][name] if image in again else None
                counts["the status"] += back is None or back.status is not mark.status
                counts["the state 'covered'"] += mark.covered and not (back is not None and back.covered)
                for what, before, after in (
                    ("the confidence", mark.confidence, back and back.confidence),
                    ("the expected error", mark.expected_error, back and back.expected_error),
                ):
                    counts[what] += before is not None and after is None
    return [
        f"this format does not keep {what} of {count} landmarks" for what, count in counts.items() if count
    ]
