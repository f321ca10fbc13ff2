"""Sample data in the cache, which are drawn at their first use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent


def sample_images(name: str, write: Callable[[Path], None]) -> Path:
    """Folder of the images of sample data, which are written at the first call.

    Parameters
    ----------
    name : str
        Of their folder in the cache.
    write : callable
        Writes them into a folder, its README.md last.
    """
    folder = Preferences.read().cache / name
    if not (folder / "README.md").exists():
        write(folder)
    return folder / "images"


def sample_hands() -> Path:
    """Folder of the drawn hand radiographs."""
    from napari_landmark.synthetic.sample import write_sample_data

    return sample_images("sample data", write_sample_data)


def sample_hands_job(session: Session) -> Job:
    """Draw the hand radiographs, unless that was done before; succeeds with their folder."""

    def work(progress: Progress, cancel: CancelToken) -> Path:
        progress(ProgressEvent("drawing hand radiographs", 0.0))
        return sample_hands()

    job = Job(JobKind.SAMPLE_DATA, work)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
