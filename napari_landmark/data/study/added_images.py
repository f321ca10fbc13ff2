"""Addition of images to a study, and taking them out: files and folders from anywhere, which stay where they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import SkippedFile, image_files, list_files, resolved
from napari_landmark.data.cohort.headers import read_headers
from napari_landmark.data.images import dicom_series
from napari_landmark.data.study.study import Study
from napari_landmark.progress import CancelToken, Progress


@dataclass(frozen=True)
class AddedImages:
    """Images that were given to add to a study, by what became of them.

    Parameters
    ----------
    added : tuple of str
        Names that are new in the study, of images from elsewhere or of its own folder.
    known : tuple of str
        Names of those that it had.
    skipped_files : tuple of SkippedFile
        What could not be added, and why.
    """

    added: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    skipped_files: tuple[SkippedFile, ...] = ()

    @property
    def text(self) -> str:
        """In one sentence or two, as a person reads it."""
        parts = [f"{_count(len(self.added))} added: {_first(self.added)}." if self.added else ""]
        if self.known:
            parts.append(f"{_count(len(self.known))} in the study already.")
        if self.skipped_files:
            reasons = "; ".join(f"{file.name} {file.reason}" for file in self.skipped_files[:3])
            more = f"; and {len(self.skipped_files) - 3} more" if len(self.skipped_files) > 3 else ""
            parts.append(f"Not added: {reasons}{more}.")
        return " ".join(filter(None, parts)) or "There are no new images."


def add_images(
    study: Study,
    paths: Iterable[str | Path],
    cohort: Cohort,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> AddedImages:
    """Add image files, or all images of folders, to a study; they are neither copied nor moved.

    Files of the study's own folder need no entry: they are found there when the study is read again. Images from
    elsewhere are recorded with the names that they have from now on.

    Parameters
    ----------
    study : Study
        Changed in place and on disk.
    paths : iterable of path
        Images, folders of images, and folders that are one image each (DICOM series).
    cohort : Cohort
        Images that the study has now.
    progress : callable, optional
        Called with events of the stage "reading headers".
    cancel : CancelToken, optional

    Raises
    ------
    InputError
        The folder of the images is not there, or another program annotates the study.
    Cancelled
        `cancel` was set; nothing was added then.
    """
    given, skipped_files = _images_of(paths)
    images = study.require_images()
    own = {resolved(path): name for name, path in list_files(images, ())}
    before = {resolved(path): name for path, name in zip(cohort.paths, cohort.names, strict=True)}
    known = [before[file] for file in given if file in before]
    fresh = [(path.name, path) for file, path in given.items() if file not in before]
    entries, unreadable = read_headers(fresh, study.spacing, progress=progress, cancel=cancel)
    skipped_files += unreadable
    kinds = {2: "picture", 3: "volume"}
    for entry in entries:
        if entry.geometry.ndim != cohort.ndim:
            reason = f"is a {kinds[entry.geometry.ndim]}, the study has {kinds[cohort.ndim]}s: make a study of its own"
            skipped_files.append(SkippedFile(entry.name, reason))
    usable = [entry.path for entry in entries if entry.geometry.ndim == cohort.ndim]
    outside = [path for path in usable if resolved(path) not in own]
    extra = {**study.extra, **dict.fromkeys(outside, "")}
    names = {path: name for name, path in list_files(images, extra)}
    if outside:
        study.update(extra={path: names.get(path, "") for path in extra})
    added = [names[path] if path in names else own[resolved(path)] for path in usable]
    return AddedImages(tuple(added), tuple(known), tuple(skipped_files))


@dataclass(frozen=True)
class RemovedImages:
    """Images that were to be taken out of a study, by what became of them.

    Parameters
    ----------
    removed : tuple of str
        Names that the study has not any more.
    kept : tuple of (str, str)
        Names that it still has, with the reasons.
    """

    removed: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """In one sentence or two, as a person reads it."""
        parts = []
        if self.removed:
            files = (
                "its file stays where it is" if len(self.removed) == 1 else "their files stay where they are"
            )
            parts.append(f"Taken out of the study: {_first(self.removed)}; {files}.")
        if self.kept:
            first = "; ".join(f"{name} {reason}" for name, reason in self.kept[:3])
            more = f"; and {len(self.kept) - 3} more" if len(self.kept) > 3 else ""
            parts.append(f"Not taken out: {first}{more}.")
        return " ".join(parts)


def remove_images(study: Study, names: Iterable[str]) -> RemovedImages:
    """Take images from elsewhere out of a study, with their predictions; their files stay where they are.

    What a person did stays: an image that somebody annotated, or said something of, is kept. So are the template and
    the images of the study's own folder, which would be found there again.

    Parameters
    ----------
    study : Study
        Changed in place and on disk.
    names : iterable of str

    Raises
    ------
    InputError
        Another program annotates the study, or a file cannot be read or written.
    """
    extra = study.extra
    outside = {name or path.name: path for path, name in extra.items()}
    removed, kept = [], []
    for name in dict.fromkeys(names):
        if name not in outside:
            kept.append((name, "is in the folder of the study's images: move its file, or leave it out"))
        elif name == study.template:
            kept.append((name, "is the template"))
        elif study.is_touched(name):
            kept.append((name, "has landmarks or remarks of a person: clear them first, or leave it out"))
        else:
            removed.append(name)
    if removed:
        gone = {outside[name] for name in removed}
        study.update(extra={path: name for path, name in extra.items() if path not in gone})
        for name in removed:
            study.remove_predictions(name)
    return RemovedImages(tuple(removed), tuple(kept))


def _images_of(paths: Iterable[str | Path]) -> tuple[dict[Path, Path], list[SkippedFile]]:
    """Paths of the images among files and in folders by their path without links, and what is none."""
    found: list[Path] = []
    skipped_files: list[SkippedFile] = []
    for path in map(Path, paths):
        if not path.is_dir() or dicom_series.holds_slices(path):
            found.append(path)
            continue
        inside, skipped = image_files(path)
        skipped_files += skipped
        found += [file for _, file in inside]
        if not inside:
            skipped_files.append(SkippedFile(path.name, "holds no images: choose the folder that has them"))
    return {resolved(path): path.absolute() for path in found}, skipped_files


def _count(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"


def _first(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
