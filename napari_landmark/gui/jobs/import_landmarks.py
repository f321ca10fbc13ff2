"""Import of the landmarks of a file into the open study, for one image at once, for many as long work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import common_schema
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, check_inside
from napari_landmark.data.study.schema_migration import merged_schema
from napari_landmark.gui.jobs.annotate_images import annotate_images_job
from napari_landmark.gui.jobs.landmark_files import read_for
from napari_landmark.gui.session.annotation_editor import AnnotationEditor, with_imported
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.session.session import Session

Choose = Callable[[dict[str, LandmarkSet]], dict[str, LandmarkSet]]
"""Gets the landmarks of a file by image of the study, returns those to import."""


def import_landmark_file(
    session: Session, path: str | Path, *, choose: Choose | None = None, always: bool = False
) -> int:
    """Import annotations from a file, of the current image or of all images of the study that it has.

    Parameters
    ----------
    session : Session
        With an image that is shown.
    path : str or Path
    choose : callable, optional
        Asked where the file has other images of the study. By default the current image alone is imported.
    always : bool, optional
        Whether it is asked in any case.

    Returns
    -------
    int
        Number of landmarks that the file places or calls missing, in the images that were chosen.

    Raises
    ------
    InputError
        The file cannot be read, is about other images, or a position is outside its image; nothing is imported.
    """
    label = f"Import {Path(path).name}"
    geometries = {name: session.geometry(name) for name in session.names}
    found = read_for(path, session.current_image, geometries)
    if choose is not None and (always or set(found) != {session.current_image}):
        found = choose(found)
    elif session.current_image not in found:
        others = ", ".join(list(found)[:3])
        raise InputError(f"{path}: has no landmarks of {session.current_image}; it has those of {others}")
    else:
        found = {session.current_image: found[session.current_image]}
    placed = {
        name: [mark for mark in marks.values() if mark.status.has_position or mark.status.is_manual]
        for name, marks in found.items()
    }
    for name, marks in placed.items():  # before new landmarks are defined
        check_inside(marks, geometries[name], image=name)
    schema = _extended(session, found, {mark.name for marks in placed.values() for mark in marks})
    sets = {name: LandmarkSet(schema, marks) for name, marks in placed.items()}
    if set(sets) == {session.current_image}:
        AnnotationEditor(session).import_landmarks(sets[session.current_image], label)
    elif sets:
        annotations = {name: with_imported(session.annotation(name), marks) for name, marks in sets.items()}
        session.run(
            annotate_images_job(
                session,
                annotations,
                label=label,
                stage="importing",
                reason="Landmarks are being imported",
            )
        )
    return sum(map(len, placed.values()))


def _extended(session: Session, found: Mapping[str, LandmarkSet], names: Collection[str]) -> LandmarkSchema:
    """Landmarks of the study with those of a file that are placed in it and new, which are defined."""
    schema = session.require_study().schema
    if all(name in schema for name in names):
        return schema
    of_file = common_schema(found.values())
    untouched = len(schema) == 1 and session.adding and not session.require_store().any_annotation
    schema = of_file if untouched else merged_schema(schema, of_file)
    SchemaEditor(session).set_schema(schema)
    return schema
