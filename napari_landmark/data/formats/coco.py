"""Landmark format of COCO keypoints, ``.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.formats.image_names import ImageNames, common_schema
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.formats.state_note import StateNote
from napari_landmark.data.formats.text_file import (
    check_count,
    finite_number,
    pixels,
    read_json,
    shown,
    write_json,
)
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import Link, segments

# A field of an annotation that other programs leave alone: status and confidence by name of the landmark.
_NOTES = "landmark_states"
_UNLABELLED, _HIDDEN, _VISIBLE = 0, 1, 2


def read_coco(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read the keypoints of many images.

    x and y are columns and rows with pixel centres at integers. Visibility 0 is an unplaced landmark;
    1 (hidden) is a covered and 2 (visible) a placed one. The skeleton of the category becomes links.

    Parameters
    ----------
    path : str or Path
        The file, with 'images', 'annotations' and 'categories', one annotation with labelled keypoints for an
        image. Annotations without one, such as crowds, are left out.
    schema : LandmarkSchema, optional
        Landmarks that may occur; the category's keypoints if not given.
    geometries : mapping of str to Geometry, optional
        Geometries of the known images: their names replace the paths of the file, and their sizes must agree
        with width and height in the file.

    Raises
    ------
    InputError
        With the file and the annotation, or the image that has another size.
    """
    path = Path(path)
    data = read_json(path)
    images = _images(path, data, geometries)
    category, names, links = _keypoint_names(path, data)
    annotations: dict[str, dict[str, Landmark]] = {}
    for number, entry in enumerate(_list(path, data, "annotations"), 1):
        where = f"{path}, annotation {number}"
        if _id(entry.get("category_id"), where) != category:
            continue
        image = images.get(_id(entry.get("image_id"), where))
        if image is None:
            raise InputError(
                f"{where}: belongs to image {shown(entry.get('image_id'))}, which is not in 'images'"
            )
        if _is_unlabelled(entry):
            continue
        if image in annotations:
            raise InputError(f"{where}: image {image} has several annotations: keep one for each image")
        annotations[image] = _landmarks(entry, names, where)
    try:
        schema = schema or LandmarkSchema(tuple(names), links=links)
        return {image: LandmarkSet(schema, annotations.get(image, {}).values()) for image in images.values()}
    except InputError as error:
        raise error.prefixed(path) from None


def write_coco(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of many images, one annotation for each, around the box of its landmarks.

    What visibility cannot express (missing, predicted, corrected, confidence, expected error) is in a field
    'landmark_states' of the annotation, which other programs ignore.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        Landmarks by name of the image; 2D images only.
    geometries : mapping of str to Geometry
        Geometries by name of the image, for widths and heights.
    """
    if not sets:
        raise InputError(f"{path}: there are no images to write")
    schema = common_schema(sets.values())
    names = schema.names
    known = ImageNames(geometries)
    images, annotations = [], []
    for number, (image, landmarks) in enumerate(sets.items(), 1):
        found = known.find(image)
        if found is None or geometries is None:
            raise InputError(
                f"{path}: holds width and height of every image, for which {image} is needed",
                code=ErrorCode.NEEDS_IMAGES,
            )
        geometry = geometries[found]
        if geometry.ndim != 2 or landmarks.ndim == 3:
            raise InputError(f"{image}: is a volume, and COCO keypoints are for pictures: write a CSV")
        height, width = geometry.shape
        images.append({"id": number, "file_name": image, "width": width, "height": height})
        annotations.append({"id": number, "image_id": number, "category_id": 1, **_written(names, landmarks)})
    skeleton = [[names.index(a) + 1, names.index(b) + 1] for a, b in segments(schema.links)]
    category = {
        "id": 1,
        "name": "landmarks",
        "supercategory": "",
        "keypoints": list(names),
        "skeleton": skeleton,
    }
    content = {"info": {"description": "landmarks, pixel centres at integers"}, "licenses": []}
    write_json(path, {**content, "images": images, "annotations": annotations, "categories": [category]})


COCO = LandmarkFormat(
    title="COCO keypoints",
    suffixes=(".json",),
    read=read_coco,
    write=write_coco,
    writing_needs_images=True,
    program="COCO",
)


def _images(
    path: Path, data: Mapping[str, Any], geometries: Mapping[str, Geometry] | None
) -> dict[int | str, str]:
    """Names of the images by their ids in the file."""
    known = ImageNames(geometries)
    images: dict[int | str, str] = {}
    names: set[str] = set()
    for number, entry in enumerate(_list(path, data, "images"), 1):
        where = f"{path}, image {number}"
        file_name = entry.get("file_name")
        if not isinstance(file_name, str) or not file_name.strip():
            raise InputError(f"{where}: has no 'file_name'")
        try:
            name = known.find_or_keep(file_name)
        except InputError as error:
            raise error.prefixed(where) from None
        _check_size(entry, name, geometries, where)
        key = _id(entry.get("id"), where)
        if key in images or name in names:
            raise InputError(
                f"{where}: the image {shown(file_name)} or its id {shown(key)} is there twice: keep one of them"
            )
        images[key] = name
        names.add(name)
    return images


def _check_size(
    entry: Mapping[str, Any], name: str, geometries: Mapping[str, Geometry] | None, where: str
) -> None:
    """Refuse keypoints of a resized, padded or turned copy of the image."""
    stated = entry.get("width"), entry.get("height")
    if not geometries or name not in geometries or None in stated:
        return
    try:
        geometry = geometries[name]
    except InputError:  # an image that cannot be read has no size to compare with
        return
    size = geometry.shape[::-1]
    if stated == size or geometry.ndim != 2:
        return
    known, other = (" x ".join(map(shown, pair)) for pair in (size, stated))
    reason = "turned, as the EXIF orientation of photographs says" if stated == size[::-1] else "resized"
    raise InputError(
        f"{where}: is about a picture of {other} pixels, and {name} has {known}: the annotated copy was {reason}; "
        "annotate the image as it is stored, or give the folder of the copies"
    )


def _keypoint_names(path: Path, data: Mapping[str, Any]) -> tuple[int | str, list[str], tuple[Link, ...]]:
    """Id, keypoint names and links of the only category with keypoints."""
    found = [entry for entry in _list(path, data, "categories") if entry.get("keypoints")]
    if len(found) != 1:
        raise InputError(
            f"{path}: has {len(found)} categories with keypoints: expected one, which names the landmarks"
        )
    names = found[0]["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: the keypoints of the category are no list of names")
    check_count(len(names), path)
    return _id(found[0].get("id"), f"{path}, category"), names, _links(found[0].get("skeleton"), names, path)


def _links(skeleton: object, names: list[str], path: Path) -> tuple[Link, ...]:
    """Links of a skeleton, which is pairs of numbers of keypoints from 1."""
    if not skeleton:
        return ()
    numbers = range(1, len(names) + 1)
    links = []
    for pair in skeleton if isinstance(skeleton, list) else [skeleton]:
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(type(number) is int and number in numbers for number in pair)
        ):
            raise InputError(
                f"{path}: the skeleton of the category has {shown(pair)}: expected two numbers of keypoints from 1"
            )
        first, second = (names[number - 1] for number in pair)
        if first != second:
            links.append(Link((first, second)))
    return tuple(dict.fromkeys(links))


def _is_unlabelled(entry: Mapping[str, Any]) -> bool:
    """True for a box, a crowd or a person without a labelled keypoint, such as most annotations of COCO itself."""
    if entry.get(_NOTES):
        return False
    values = entry.get("keypoints")
    if values is None:
        return bool(entry.get("iscrowd")) or entry.get("num_keypoints") == 0
    return isinstance(values, list) and bool(values[2::3]) and not any(values[2::3])


def _landmarks(entry: Mapping[str, Any], names: Sequence[str], where: str) -> dict[str, Landmark]:
    values = entry.get("keypoints")
    if not isinstance(values, list) or len(values) != 3 * len(names):
        raise InputError(f"{where}: 'keypoints' must be a list of {3 * len(names)} numbers: x, y, v for each")
    notes = entry.get(_NOTES)
    found: dict[str, Landmark] = {}
    for number, name in enumerate(names):
        x, y, v = values[3 * number : 3 * number + 3]
        if isinstance(v, bool) or v not in (_UNLABELLED, _HIDDEN, _VISIBLE):
            raise InputError(f"{where}: landmark {name!r} has the visibility {shown(v)}: expected 0, 1 or 2")
        position = at = None
        if v != _UNLABELLED:
            at = tuple(finite_number(value, f"{where}: {name!r}") for value in (x, y))
            position = at[::-1]
        note = StateNote.from_json(notes.get(name)) if isinstance(notes, dict) else None
        status = Status.UNPLACED if position is None else Status.PLACED
        mark = Landmark(name, position, status) if note is None else note.landmark(name, position, at, status)
        if v == _HIDDEN and mark.status.is_manual:
            mark = dataclasses.replace(mark, covered=True)
        found[name] = mark
    return found


def _written(names: Sequence[str], landmarks: LandmarkSet) -> dict[str, Any]:
    keypoints: list[float] = []
    notes: dict[str, Any] = {}
    for name in names:
        mark = landmarks.get(name, Landmark(name))
        at = None if mark.position is None else tuple(map(pixels, mark.position[::-1]))
        keypoints += [0, 0, _UNLABELLED] if at is None else [*at, _HIDDEN if mark.covered else _VISIBLE]
        missing = StateNote(Status.MISSING) if mark.status is Status.MISSING else None
        note = StateNote.of(mark, at) or missing
        if note is not None:
            notes[name] = note.to_json()
    columns = [x for x, v in zip(keypoints[::3], keypoints[2::3], strict=True) if v]
    rows = [y for y, v in zip(keypoints[1::3], keypoints[2::3], strict=True) if v]
    left, top = min(columns, default=0), min(rows, default=0)
    width, height = max(columns, default=0) - left, max(rows, default=0) - top
    return {
        "keypoints": keypoints,
        "num_keypoints": len(columns),
        "bbox": [left, top, width, height],
        "area": width * height,
        "iscrowd": 0,
        "segmentation": [],
        **({_NOTES: notes} if notes else {}),
    }


def _list(path: Path, data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    if "markups" in data and key not in data:
        raise InputError(f"{path}: is a point list of 3D Slicer: give it a name that ends in .mrk.json")
    values = data.get(key)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InputError(f"{path}: has no list '{key}': expected keypoints in the format of COCO")
    return values


def _id(value: object, where: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{where}: {shown(value)} is no id: expected a number")
    return value
