"""Predictions in the files of a study, read in a thread and shown by the main one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.landmark_arrays import LandmarkArrays


@dataclass(frozen=True, eq=False)
class SavedPredictions:
    """Predictions of all images of a study, or of some.

    Parameters
    ----------
    landmarks : LandmarkArrays
    is_whole : bool
        Whether they are those of all images.
    """

    landmarks: LandmarkArrays
    is_whole: bool

    @classmethod
    def read(cls, study: Study, images: Collection[str] | None = None) -> Self:
        """Read the predictions of the named images, or of all; InputError where a file cannot be read."""
        if images is None:
            return cls(LandmarkArrays.gather(study.recorded_predictions()), True)
        return cls(LandmarkArrays.gather((image, study.load_predictions(image)) for image in images), False)
