"""Images of a folder, read when needed, and resampled to one working grid."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.cache import HEADERS, WorkingCache
from napari_landmark.data.cohort.cache_location import default_cache_dir
from napari_landmark.data.cohort.drawing import RESAMPLING, Drawing, LocalDrawing
from napari_landmark.data.cohort.fingerprint import fingerprint
from napari_landmark.data.cohort.folder import (
    ExtraImages,
    SkippedFile,
    list_files,
    natural_order,
    resolved,
    without_path,
)
from napari_landmark.data.cohort.header_cache import HeaderCache
from napari_landmark.data.cohort.headers import ImageFile, of_one_kind, read_headers
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import (
    CanvasTransform,
    canonical_axes,
    fit_canvas_transform,
)
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.progress import CancelToken, Progress

_CANVAS_STEP = 64
DEFAULT_WORKING_SIZE = {2: 768, 3: 128}
"""Longest side of the working grid by number of axes; a volume of 768 would hold as much as 700 pictures."""


class Cohort:
    """Images of a folder, all pictures or all volumes. Made by `Cohort.from_folder`.

    Attributes
    ----------
    folder : Path
        Folder of the images.
    canvas : tuple of int
        Shape of the working grid, onto which every image is resampled.
    working_size : int
        Longest side that was asked for; another process that asks for the same one shares the cache.
    skipped_files : tuple of SkippedFile
        Files that were left out.

    Examples
    --------
    >>> cohort = Cohort.from_folder("images")  # doctest: +SKIP
    >>> for i, name in enumerate(cohort.names):  # doctest: +SKIP
    ...     picture = cohort.working(i)
    """

    def __init__(
        self,
        folder: Path,
        canvas: tuple[int, ...],
        entries: Sequence[ImageFile],
        skipped_files: Sequence[SkippedFile],
        cache: WorkingCache,
        rows: Sequence[int],
        spacing: float | Sequence[float] | None,
        working_size: int,
    ) -> None:
        self.folder = folder
        self.canvas = canvas
        self.working_size = working_size
        self.skipped_files = tuple(skipped_files)
        self._entries = tuple(entries)
        self._cache = cache
        self._rows = tuple(rows)
        self._spacing = spacing
        self._poses: dict[int, Pose] = {}
        self._posed_cache: WorkingCache | None = None
        self._posed_rows: dict[int, int] = {}
        self._numbers = {entry.name: i for i, entry in enumerate(self._entries)}

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        spacing: float | Sequence[float] | None = None,
        working_size: int | Mapping[int, int] | None = None,
        cache_dir: str | Path | None = None,
        extra: ExtraImages = (),
        drawing: Drawing | None = None,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> Cohort:
        """Gather the images of a folder and resample them to the working grid.

        A sub-folder that holds DICOM files is one image, a volume of those slices; other sub-folders and
        hidden files are left aside. Images that were resampled before and did not change are taken
        from the cache. A file that cannot be used becomes a `SkippedFile`, and the others go on.

        Parameters
        ----------
        folder : str or Path
            The folder.
        spacing : float or sequence of float, optional
            Millimetres per pixel of all images, used instead of what the files say.
        working_size : int or mapping of int to int, optional
            Length of the longest side of the working grid, or lengths by number of axes, `DEFAULT_WORKING_SIZE` if
            not given; less where all images are smaller.
        cache_dir : str or Path, optional
            Folder of the caches of all cohorts; `default_cache_dir` if not given.
        extra : sequence of path, or mapping of path to str, optional
            Files from elsewhere, such as the template, or their names by path (see `list_files`); those of the folder
            itself are not added twice.
        drawing : Drawing, optional
            Draws the images on the working grid; `LocalDrawing` if not given.
        progress : callable, optional
            Called with events of the stages "reading headers" and "reading images". An exception from it stops the
            work, and the images resampled so far are kept for the next time.
        cancel : CancelToken, optional
            Stops the work; the images resampled so far are kept for the next time.

        Raises
        ------
        Cancelled
            Where `cancel` was set before all images were read.
        InputError
            Where there is no image that can be used, or the cache cannot be written.
        """
        folder = Path(folder)
        sizes = DEFAULT_WORKING_SIZE if working_size is None else working_size
        if isinstance(sizes, int) and sizes < _CANVAS_STEP:
            raise InputError(f"a working size of {working_size} pixels: at least {_CANVAS_STEP} are needed")
        caches = Path(cache_dir) if cache_dir is not None else default_cache_dir()
        source = resolved(folder)
        entries, skipped_files = read_headers(
            list_files(folder, extra),
            spacing,
            cache=HeaderCache(caches / _digest(str(source))[:24] / HEADERS, source),
            progress=progress,
            cancel=cancel,
        )
        entries, strays = of_one_kind(entries)
        skipped_files += strays
        if not entries:
            raise InputError(_nothing_usable(folder, skipped_files))
        working_size = sizes if isinstance(sizes, int) else sizes[entries[0].geometry.ndim]
        canvas = working_canvas([entry.geometry for entry in entries], working_size)
        cache = WorkingCache(
            caches / _digest(str(source), working_size)[:24],
            [entry.name for entry in entries],
            [_key(entry, canvas) for entry in entries],
            canvas,
            source=source,
        )

        drawing = drawing or LocalDrawing()

        def draw(number: int) -> NDArray[np.floating]:
            return drawing.draw(entries[number], canvas, spacing=spacing)

        failures = cache.build(draw, threads=drawing.threads, progress=progress, cancel=cancel)
        skipped_files += [
            SkippedFile(entries[i].name, without_path(reason, entries[i].path))
            for i, reason in failures.items()
        ]
        rows = [i for i in range(len(entries)) if i not in failures]
        if not rows:
            raise InputError(_nothing_usable(folder, skipped_files))
        skipped_files.sort(key=lambda skipped: natural_order(skipped.name))
        return cls(
            folder, canvas, [entries[i] for i in rows], skipped_files, cache, rows, spacing, working_size
        )

    def selection(self, names: Sequence[str]) -> Cohort:
        """Some of the images, in another order; they share the caches of this cohort.

        Parameters
        ----------
        names : sequence of str
            Names of the images, each once.

        Raises
        ------
        InputError
            There is no such image.
        """
        numbers = [self.index(name) for name in names]
        entries = [self._entries[number] for number in numbers]
        rows = [self._rows[number] for number in numbers]
        result = Cohort(
            self.folder,
            self.canvas,
            entries,
            self.skipped_files,
            self._cache,
            rows,
            self._spacing,
            self.working_size,
        )
        new = {number: row for row, number in enumerate(numbers)}
        result._poses = {new[number]: pose for number, pose in self._poses.items() if number in new}
        result._posed_cache = self._posed_cache
        result._posed_rows = {new[number]: row for number, row in self._posed_rows.items() if number in new}
        return result

    def posed(
        self,
        poses: Mapping[int, Pose],
        *,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> Cohort:
        """The same images, some of them drawn on the working grid in a pose; the others share this cohort's cache.

        Parameters
        ----------
        poses : mapping of int to Pose
            By number of the image, relative to the image as it is in its file, whatever the pose in this cohort is.
        progress : callable, optional
        cancel : CancelToken, optional

        Raises
        ------
        Cancelled
            Where `cancel` was set before all images were drawn.
        InputError
            Where an image can no longer be read, or the cache cannot be written.
        """
        turned = {number: pose for number, pose in sorted(poses.items()) if not pose.is_upright}
        result = copy.copy(self)
        result._poses, result._posed_cache, result._posed_rows = turned, None, {}
        if not turned:
            return result
        numbers = list(turned)
        entries = [self._entries[number] for number in numbers]
        result._posed_cache = WorkingCache(
            self._cache.folder.with_name(f"{self._cache.folder.name}-posed"),
            [entry.name for entry in entries],
            [_key(entry, self.canvas, turned[n]) for n, entry in zip(numbers, entries, strict=True)],
            self.canvas,
        )
        result._posed_rows = {number: row for row, number in enumerate(numbers)}
        drawing = LocalDrawing()

        def draw(number: int) -> NDArray[np.floating]:
            pose = turned[numbers[number]]
            return drawing.draw(entries[number], self.canvas, spacing=self._spacing, pose=pose)

        failures = result._posed_cache.build(draw, threads=drawing.threads, progress=progress, cancel=cancel)
        if failures:
            first = min(failures)
            raise InputError(f"{entries[first].name}: {without_path(failures[first], entries[first].path)}")
        return result

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the images, in natural order, those from elsewhere last."""
        return tuple(entry.name for entry in self._entries)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """Files of the images, in the order of the names."""
        return tuple(entry.path for entry in self._entries)

    @cached_property
    def _numbers_of_files(self) -> dict[Path, int]:
        """Numbers of the images by their files without links; of two links to one file the first counts."""
        return {resolved(path): number for number, path in reversed(list(enumerate(self.paths)))}

    @property
    def ndim(self) -> int:
        """2 for pictures, 3 for volumes."""
        return len(self.canvas)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether there is an image of that name; takes the same time whatever the number of images."""
        return isinstance(name, str) and composed_name(name) in self._numbers

    def index(self, name: str | Path) -> int:
        """Number of an image by its name, or by its file where a Path is given."""
        if isinstance(name, Path):
            wanted = resolved(name)
            if wanted in self._numbers_of_files:
                return self._numbers_of_files[wanted]
            name = composed_name(name.name)
        else:
            name = composed_name(name)
            if name in self._numbers:
                return self._numbers[name]
        for skipped in self.skipped_files:
            if skipped.name == name:
                raise InputError(f"{name}: {skipped.reason}")
        raise InputError(f"{name}: there is no such image in {self.folder}")

    def geometry(self, number: int) -> Geometry:
        """Geometry of the native image."""
        return self._entries[number].geometry

    @property
    def poses(self) -> dict[int, Pose]:
        """Poses of the images that are not drawn upright, by number."""
        return dict(self._poses)

    def pose(self, number: int) -> Pose:
        """Pose in which the image is drawn on the working grid."""
        return self._poses.get(number) or Pose.upright(self.ndim)

    def canvas_transform(self, number: int) -> CanvasTransform:
        """Transform between native image and working grid."""
        return fit_canvas_transform(self.geometry(number), self.canvas, self._poses.get(number))

    def working(self, number: int) -> NDArray[np.float32]:
        """The image on the working grid, 0 to 1."""
        return self.working_part(number, ())

    def working_part(self, number: int, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """Part of the image on the working grid, 0 to 1; only this part is read."""
        if self._posed_cache is not None and number in self._posed_rows:
            return self._posed_cache.part(self._posed_rows[number], box)
        return self._cache.part(self._rows[number], box)

    def read(self, number: int) -> MedicalImage:
        """Read the native image from its file."""
        entry = self._entries[number]
        return read_image(entry.path, spacing=self._spacing, name=entry.name)

    def fingerprint(
        self, *, full: bool = False, progress: Progress | None = None, cancel: CancelToken | None = None
    ) -> str:
        """Digest over names and contents of all files: the same for the same data in any folder.

        Parameters
        ----------
        full : bool, optional
            Read every byte instead of the ends of each file.
        progress : callable, optional
            Called with events of the stage "comparing files".
        cancel : CancelToken, optional
            Ends the work with `Cancelled`.
        """
        files = [(entry.name, entry.path) for entry in self._entries]
        return fingerprint(files, full=full, progress=progress, cancel=cancel)


def working_canvas(
    geometries: Sequence[Geometry], working_size: int, *, multiple: int = _CANVAS_STEP, downsampling: int = 1
) -> tuple[int, ...]:
    """Shape of the working grid for images: their median proportions.

    Parameters
    ----------
    geometries : sequence of Geometry
        Of all images.
    working_size : int
        The longest side, where at least one image has as many pixels.
    multiple : int
        Of which all sides are; 64 where networks see the grid.
    downsampling : int
        Least pixels of the images along a pixel of the grid.
    """
    sides = []
    for geometry in geometries:
        axes, _ = canonical_axes(geometry)
        spacing = np.asarray(geometry.spacing or (1.0,) * geometry.ndim)
        sides.append((np.asarray(geometry.shape) * spacing / spacing.min())[list(axes)])
    lengths = np.asarray(sides)
    longest = min(float(working_size), lengths.max() / downsampling)
    proportions = np.median(lengths / lengths.max(axis=1, keepdims=True), axis=0)
    proportions /= proportions.max()
    # Rounded up, so that no pixel is given away; the small number takes care of rounding errors.
    return tuple(multiple * max(1, math.ceil(longest * part / multiple - 1e-6)) for part in proportions)


def _nothing_usable(folder: Path, skipped_files: Sequence[SkippedFile]) -> str:
    if not skipped_files:
        return f"{folder}: holds no images: choose the folder that they are in"
    first = skipped_files[0]
    return f"{folder}: none of its {len(skipped_files)} files can be used; {first.name}: {first.reason}"


def _key(entry: ImageFile, canvas: tuple[int, ...], pose: Pose | None = None) -> str:
    """Digest of everything that decides the content of a row of the cache."""
    geometry = entry.geometry
    return _digest(
        RESAMPLING,
        str(entry.path.resolve()),
        entry.state,
        canvas,
        geometry.shape,
        geometry.spacing,
        geometry.direction,
        *([] if pose is None else [pose.to_json()]),
    )[:32]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
