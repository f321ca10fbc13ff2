"""Opening a study, or making one from a folder of images, as long work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.cohort import DEFAULT_WORKING_SIZE, Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.creation import create_study
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import Cancelled, CancelToken, Progress


@dataclass(frozen=True)
class Opened:
    """A study with the images it is about."""

    study: Study
    cohort: Cohort


def gather(
    study: Study,
    preferences: Preferences,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Cohort:
    """The images of a study, drawn at working resolution.

    Raises
    ------
    InputError
        The study does not say where its images are, or none can be used.
    """
    if study.images is None:
        raise InputError(
            f"{study.folder}: does not say where its images are: make a new study from the folder"
        )

    if not study.images.is_dir():
        places = " nor ".join(str(place) for place in study.places_of_images)
        raise InputError(
            f"{study.folder}: its images are not in {places}; put them back, or make a new study from "
            "their folder: New study…"
        )

    return Cohort.from_folder(
        study.images,
        spacing=study.spacing,
        working_size=_asked_for(preferences.working_size),
        cache_dir=preferences.cache,
        extra=study.extra,
        progress=progress,
        cancel=cancel,
    )


def _asked_for(working_size: int) -> int | None:
    """A size that the person chose; None lets pictures and volumes each have their own."""
    return None if working_size == DEFAULT_WORKING_SIZE[2] else working_size


def open_job(
    session: Session,
    folder: Path,
    *,
    create: dict[str, Any] | None = None,
    image: str = "",
    adding: bool = False,
    preferences: Preferences | None = None,
    starting: dict[str, LandmarkSet] | None = None,
) -> Job:
    """Long work that opens a study and shows it.

    Parameters
    ----------
    folder : Path
        Of the study.
    create : dict, optional
        Keyword arguments of `create_study`: schema, images, spacing. The study is created only once its images
        could be read.
    image : str, optional
        Which image to show first.
    adding : bool, optional
        Whether clicks define new landmarks.
    starting : dict of str to LandmarkSet, optional
        Annotations to begin with, by image; where one does not lie on its image no study is made.
    """
    preferences = preferences or Preferences.read()

    def work(progress: Progress, cancel: CancelToken) -> Opened | None:
        try:
            if create is None:
                study = Study.open(folder)
                return Opened(study, gather(study, preferences, progress=progress, cancel=cancel))
            # Tried on a study that is not written: a folder without images must not leave half a study.
            images = create["images"]
            if not Path(images).is_dir():
                raise InputError(f"{images}: there is no such folder of images")
            planned = _Planned(Path(images), create.get("spacing"), folder)
            cohort = gather(planned, preferences, progress=progress, cancel=cancel)  # type: ignore[arg-type]
            known = {name: marks for name, marks in (starting or {}).items() if name in cohort.names}
            study = create_study(folder, cohort, annotations=known, **create)
            return Opened(study, cohort)
        except Cancelled:
            return None

    job = Job("Reading images", work)

    def show(opened: Opened | None) -> None:
        if opened is None:
            session.message.emit("info", "Reading was cancelled; what was read is kept for the next time.")
            return
        session.attempt(lambda: session.open(opened.study, opened.cohort, image=image, adding=adding))
        tell_problems(session, opened.cohort)

    job.succeeded.connect(show)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def regather_job(session: Session, *, preferences: Preferences | None = None) -> Job:
    """Long work that reads the images of the open study again, after its spacing or resolution changed."""
    assert session.study is not None
    return open_job(
        session, session.study.folder, image=session.image, adding=session.adding, preferences=preferences
    )


def tell_problems(session: Session, cohort: Cohort) -> None:
    """Say which files are left out, the first few by name."""
    if not cohort.skipped_files:
        return
    first = "; ".join(f"{problem.name} {problem.reason}" for problem in cohort.skipped_files[:3])
    more = f"; and {len(cohort.skipped_files) - 3} more" if len(cohort.skipped_files) > 3 else ""
    count = len(cohort.skipped_files)
    session.message.emit("warning", f"{count} file{'s' * (count > 1)} left out: {first}{more}")


@dataclass(frozen=True)
class _Planned:
    """What `gather` needs of a study that is not made yet."""

    images: Path
    spacing: Any
    folder: Path
    extra: tuple[Path, ...] = ()
