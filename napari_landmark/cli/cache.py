"""`napari-landmark cache`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import typer

from napari_landmark.data.cohort.cache_folders import CacheFolder, list_caches, remove_cache
from napari_landmark.data.cohort.cache_location import cache_dirs
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
