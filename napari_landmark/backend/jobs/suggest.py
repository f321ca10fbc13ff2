"""Suggestion of images to annotate as a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.settings import Spacing
from napari_landmark.progress import Cancelled


@dataclass(frozen=True, kw_only=True)
class SuggestJob:
    """Ranking of the images of a folder as templates.

    Parameters
    ----------
    images : Path
    extra : tuple of Path
        Images of the cohort outside that folder.
    extra_names : tuple of str
        Their names, where those are recorded.
    count : int
    minutes : float, optional
    device : str
    seed : int
    spacing : float or tuple of float, optional
        Millimetres per pixel, in array axis order.
    working_size : int, optional
        Longest side of the working grid.
    """

    KIND: ClassVar[str] = "suggest"

    images: Path
    extra: tuple[Path, ...] = ()
    extra_names: tuple[str, ...] = ()
    count: int = 5
    minutes: float | None = None
    device: str = "auto"
    seed: int = 0
    spacing: Spacing = None
    working_size: int | None = None

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Rank the images; the result has their names and scores, the best first."""
        from napari_landmark.detection.template_selection import DEFAULT_MINUTES, suggest

        cohort = Cohort.from_folder(
            self.images,
            spacing=self.spacing,
            working_size=self.working_size,
            extra=dict(zip(self.extra, self.extra_names or [""] * len(self.extra), strict=True)),
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        try:
            best = suggest(
                cohort,
                count=self.count,
                minutes=self.minutes or DEFAULT_MINUTES,
                device=self.device,
                seed=self.seed,
                progress=monitor.progress,
                cancel=monitor.cancel,
            )
        except InputError:
            if monitor.cancel.cancelled:  # without a comparison there is no ranking, which is no failure then
                raise Cancelled from None
            raise
        ranked = [{"image": item.image, "score": item.score} for item in best]
        return {"suggestions": ranked, "cancelled": monitor.cancel.cancelled}
