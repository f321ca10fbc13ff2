"""`napari-landmark cache`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import typer

from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.cache_folders import CacheFolder, list_caches, remove_cache
from napari_landmark.data.cohort.cache_location import cache_dirs, default_cache_dir
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError


def run_cache(*, remove_unused: bool, clear: bool) -> None:
    """List the caches with their sizes and folders, or remove some or all of them."""
    if remove_unused and clear:
        raise InputError("--clear removes every cache: leave out --remove-unused")
    for number, folder in enumerate(cache_dirs()):
        caches = list_caches(folder)
        if not caches and number:
            continue
        typer.echo(f"{folder}: {_size(caches)} of {len(caches)} caches")
        if remove_unused or clear:
            _remove([cache for cache in caches if clear or cache.is_unused])
            continue
        for cache in caches:
            typer.echo(f"  {_line(cache)}")


def run_make_cache(images: Path, *, spacing: float | None, executor: str | None) -> None:
    """Resample the images of a folder as a training does, here or on the workers of a scheduler."""
    if not images.is_dir():
        raise InputError(f"{images}: there is no such folder; --images names the folder of the images")
    with terminal_progress() as progress, cancel_on_interrupt() as cancel, ExitStack() as stack:
        drawing = None
        if executor is not None:
            from napari_landmark.backend.cluster.cache import cluster_drawing

            drawing = stack.enter_context(cluster_drawing(executor, cancel=cancel))
        cohort = Cohort.from_folder(
            images, spacing=spacing, drawing=drawing, progress=progress, cancel=cancel
        )
    for problem in cohort.skipped_files:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    size = " x ".join(str(n) for n in reversed(cohort.canvas))
    typer.echo(f"{len(cohort)} images at {size} pixels are in {default_cache_dir()}")


def _line(cache: CacheFolder) -> str:
    day = time.strftime("%Y-%m-%d", time.localtime(cache.last_use))
    state = "in use" if cache.in_use else "unused" if cache.is_unused else ""
    source = "folder not noted by an earlier version" if cache.source is None else str(cache.source)
    if cache.source is not None and not cache.source.is_dir():
        source += " (is gone)"
    return f"{_size([cache]):>9}  {day}  {state:<7} {source}"


def _remove(caches: Sequence[CacheFolder]) -> None:
    removed = [cache for cache in caches if remove_cache(cache)]
    typer.echo(f"removed: {_size(removed)} of {len(removed)} caches")
    for cache in caches:
        if cache not in removed:
            typer.echo(f"kept, a program uses it: {cache.source or cache.path}", err=True)


def _size(caches: Sequence[CacheFolder]) -> str:
    size = float(sum(cache.size for cache in caches))
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
