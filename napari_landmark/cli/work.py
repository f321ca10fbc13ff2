"""`napari-landmark work`."""

from __future__ import annotations

from pathlib import Path

import typer


def run_work(folder: Path) -> None:
    """Do the job of a folder; the exit status tells how it ended."""
    from napari_landmark.backend.host_jobs import ALL_KINDS
    from napari_landmark.backend.worker import run_worker

    raise typer.Exit(run_worker(folder.absolute(), kinds=ALL_KINDS))
