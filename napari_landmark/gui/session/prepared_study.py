"""Everything of a study that is read before it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.image_prefetcher import ImagePrefetcher
from napari_landmark.gui.session.landmark_store import LandmarkStore
from napari_landmark.gui.session.model_list import ModelList
from napari_landmark.gui.session.review_order import native_pixel_lengths


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """A study that can be shown at once.

    Reading it takes seconds with 10,000 images, hence a thread does; see `Session.show_study`.

    Parameters
    ----------
    study : Study
    cohort : Cohort
    landmark_store : LandmarkStore
    models : ModelList
    pixel_lengths : dict of str to float
        Length of a native pixel of each image, in a unit in which errors compare; see `native_pixel_lengths`.
    prefetcher : ImagePrefetcher
        Has read the first image.
    first : str
        Name of the first image to show.
    problem : str
        Error of an unreadable image that was to be the first one; else empty.
    whole : Cohort or None
        During a reading all images of the study, which are shown again after it.
    """

    study: Study
    cohort: Cohort
    landmark_store: LandmarkStore
    models: ModelList
    pixel_lengths: dict[str, float]
    prefetcher: ImagePrefetcher
    first: str
    problem: str
    whole: Cohort | None = None

    @classmethod
    def read(
        cls,
        study: Study,
        cohort: Cohort,
        *,
        image: str = "",
        earlier: LandmarkStore | None = None,
        whole: Cohort | None = None,
    ) -> Self:
        """Read the files of a study and its first image.

        Parameters
        ----------
        study : Study
        cohort : Cohort
        image : str, optional
            Name of the first image to show; by default the template, else the first of the cohort.
        earlier : LandmarkStore, optional
            That of the study that is open now.
        whole : Cohort, optional
            During a reading all images of the study.

        Raises
        ------
        InputError
            The study's files or all of its images cannot be read.
        """
        store = LandmarkStore(study, earlier)
        prefetcher = ImagePrefetcher(cohort)
        wanted = [name for name in (image, study.template) if name in cohort]
        first, problem = prefetcher.first_readable([*wanted, *cohort.names])
        lengths = dict(zip(cohort.names, native_pixel_lengths(cohort).tolist(), strict=True))
        return cls(study, cohort, store, ModelList.read(study), lengths, prefetcher, first, problem, whole)
