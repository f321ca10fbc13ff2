"""Landmarks on a whole cohort of medical images from one annotated image.

The public names below are loaded when they are first used, so that
``import napari_landmark`` stays quick: it loads neither torch nor Qt nor SimpleITK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_landmark.data.cohort import Cohort
    from napari_landmark.data.geometry import Geometry
    from napari_landmark.data.image import MedicalImage, read_image
    from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
    from napari_landmark.data.study import Study
    from napari_landmark.metrics import evaluate
    from napari_landmark.oneshot.detector import Detector
    from napari_landmark.oneshot.pipeline import detect, train

__all__ = [
    "Cohort",
    "Detector",
    "Geometry",
    "LandmarkSchema",
    "LandmarkSet",
    "MedicalImage",
    "Study",
    "__version__",
    "detect",
    "evaluate",
    "read_image",
    "train",
]

_HOME_OF = {
    "Cohort": "data.cohort",
    "Detector": "oneshot.detector",
    "Geometry": "data.geometry",
    "LandmarkSchema": "data.landmarks",
    "LandmarkSet": "data.landmarks",
    "MedicalImage": "data.image",
    "Study": "data.study",
    "detect": "oneshot.pipeline",
    "evaluate": "metrics",
    "read_image": "data.image",
    "train": "oneshot.pipeline",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            value: Any = version("napari-landmark")
        except PackageNotFoundError:  # run from a source tree that was never installed
            value = "unknown"
    elif name in _HOME_OF:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # later look-ups no longer come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
