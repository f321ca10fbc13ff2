"""Opening a study, or creating one from a folder of images, as long work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from napari_landmark.backend.job_record import JobRecord
from napari_landmark.data.cohort.cohort import DEFAULT_WORKING_SIZE, Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.creation import create_study
from napari_landmark.data.study.settings import Spacing
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.unfinished import unfinished_job, unfinished_record
from napari_landmark.gui.preferences import WORKING_SIZES, Preferences
from napari_landmark.gui.session.prepared_study import PreparedStudy
from napari_landmark.gui.session.recent_studies import remember_study
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import Cancelled, CancelToken, Progress, ProgressEvent


class ImageSource(Protocol):
    """Images of a study, or of one that is not created yet; see `Study`."""

    def require_images(self) -> Path:
        """Folder of the images; InputError where it is not there."""

    @property
    def extra(self) -> Mapping[Path, str]:
        """Names of image files outside the folder, by path."""

    @property
    def spacing(self) -> Spacing:
        """Spacing for images whose files have none."""


def read_cohort(
    source: ImageSource,
    preferences: Preferences,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Cohort:
    """Read the images of a study and resample them to the working grid.

    Parameters
    ----------
    source : ImageSource
        The study.
    preferences : Preferences
        For the working resolution and the folder of the cache.
    progress : Progress, optional
    cancel : CancelToken, optional

    Raises
    ------
    InputError
        The folder of the images is not there, or none can be read.
    Cancelled
        `cancel` was set.
    """
    images = source.require_images()
    return Cohort.from_folder(
        images,
        spacing=source.spacing,
        working_size=_working_sizes(preferences.working_size),
        cache_dir=preferences.cache,
        extra=source.extra,
        progress=progress,
        cancel=cancel,
    )


def _working_sizes(selected: int) -> dict[int, int]:
    """Working sizes by number of axes, from the one that the user selected.

    A volume of as many voxels a side as a picture has pixels would exceed any memory, and gets the same part of its
    own default. A size smaller than those of pictures is one of volumes already.
    """
    share = selected / DEFAULT_WORKING_SIZE[2]
    volume = round(DEFAULT_WORKING_SIZE[3] * share) if selected >= min(WORKING_SIZES[2]) else selected
    return {2: selected, 3: volume}


def open_job(
    session: Session,
    folder: Path,
    *,
    create: dict[str, Any] | None = None,
    image: str = "",
    adding: bool = False,
    preferences: Preferences | None = None,
    annotations: Mapping[str, LandmarkSet] | None = None,
    change: Callable[[Study, Progress, CancelToken], object] | None = None,
) -> Job:
    """Open a study and show it; succeeds with a `PreparedStudy`, None where it was cancelled.

    Parameters
    ----------
    session : Session
    folder : Path
        Of the study.
    create : dict, optional
        Keyword arguments of `create_study`: schema, images, spacing. The study is created after its images were
        read.
    image : str, optional
        Name of the first image to show.
    adding : bool, optional
        Whether clicks define new landmarks.
    preferences : Preferences, optional
        By default those of napari.
    annotations : mapping of str to LandmarkSet, optional
        First annotations of a created study, by image as a file names it; where one is outside its image no study is
        created.
    change : callable, optional
        Changes the study before its images are read, in the job's thread.
    """
    preferences = preferences or Preferences.read()

    earlier = session.landmark_store
    left: list[JobRecord] = []  # of an earlier viewer
    unknown: list[str] = []

    def work(progress: Progress, cancel: CancelToken) -> PreparedStudy | None:
        try:
            if create is None:
                study = Study.open(folder)
                if change is not None:
                    change(study, progress, cancel)
                cohort = read_cohort(study, preferences, progress=progress, cancel=cancel)
            else:
                # Read before the study is written: a folder without images must not leave half a study.
                planned = _Planned(Path(create["images"]), create.get("spacing"))
                cohort = read_cohort(planned, preferences, progress=progress, cancel=cancel)
                known, others = _by_image(annotations or {}, cohort)
                unknown.extend(others)
                study = create_study(folder, cohort, annotations=known, **create)
            progress(ProgressEvent("reading landmarks", 0.0))
            left.extend(filter(None, [unfinished_record(study.folder)]))
            prepared = PreparedStudy.read(study, cohort, image=image, earlier=earlier)
            remember_study(study.folder)
            return prepared
        except Cancelled:
            return None

    job = Job(JobKind.READ_IMAGES, work)

    def show(prepared: PreparedStudy | None) -> None:
        if prepared is None:
            session.message.emit("info", "Reading was cancelled; what was read is kept for the next time.")
            return
        session.attempt(lambda: session.show_study(prepared, adding=adding, in_turns=True))
        _report_skipped_files(session, prepared.cohort)
        if unknown:
            count, first = len(unknown), ", ".join(unknown[:3])
            text = f"{count} of the images in the landmark file {'is' if count == 1 else 'are'} not in the folder"
            session.message.emit("warning", f"{text}: {first}")
        if left and session.job is None and not prepared.study.reader:
            session.attempt(lambda: _follow(session, left[0]))

    job.succeeded.connect(show)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def _by_image(
    annotations: Mapping[str, LandmarkSet], cohort: Cohort
) -> tuple[dict[str, LandmarkSet], list[str]]:
    """Annotations by the image that is meant by each name in a file, and the names by which none is meant."""
    names = ImageNames(cohort.names)
    found: dict[str, LandmarkSet] = {}
    unknown = []
    for name, marks in annotations.items():
        image = names.find(name)
        if image is None:
            unknown.append(name)
        elif image in found:
            raise InputError(f"{name}: the landmark file has {image} twice, by two names: remove one of them")
        else:
            found[image] = marks
    return found, unknown


def reread_job(session: Session, *, preferences: Preferences | None = None) -> Job:
    """Read the images of the open study again, after its spacing or working resolution changed."""
    return open_job(
        session,
        session.require_study().folder,
        image=session.current_image,
        adding=session.adding,
        preferences=preferences,
    )


def _follow(session: Session, record: JobRecord) -> None:
    """Follow work that an earlier viewer started."""
    job = unfinished_job(session, record)
    since = datetime.fromisoformat(record.created).astimezone()
    session.message.emit("info", f"{job.title}, begun {since:%d %b %H:%M}, goes on.")
    session.run(job)


def _report_skipped_files(session: Session, cohort: Cohort) -> None:
    """Tell the user of skipped files, the first three by name."""
    skipped = cohort.skipped_files
    if not skipped:
        return
    first = "; ".join(f"{file.name} {file.reason}" for file in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    count = len(skipped)
    session.message.emit("warning", f"{count} file{'s' * (count > 1)} left out: {first}{more}")


@dataclass(frozen=True)
class _Planned:
    """Images of a study that is not created yet."""

    images: Path
    spacing: Spacing
    extra: Mapping[Path, str] = field(default_factory=dict)

    def require_images(self) -> Path:
        """Their folder; InputError where there is none."""
        if not self.images.is_dir():
            raise InputError(f"{self.images}: there is no such folder of images")
        return self.images
