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
    from napari_landmark.oneshot.detection import detect_folder
    from napari_landmark.oneshot.model import LandmarkModel
    from napari_landmark.oneshot.model_folders import load_model
    from napari_landmark.oneshot.options import TrainingOptions
    from napari_landmark.oneshot.pipeline import train

__all__ = [
    "Cohort",
    "Geometry",
    "LandmarkModel",
    "LandmarkSchema",
    "LandmarkSet",
    "MedicalImage",
    "Study",
    "TrainingOptions",
    "__version__",
    "detect_folder",
    "evaluate",
    "load_model",
    "read_image",
    "train",
]

_HOME_OF = {
    "Cohort": "data.cohort",
    "Geometry": "data.geometry",
    "LandmarkModel": "oneshot.model",
    "LandmarkSchema": "data.landmarks",
    "LandmarkSet": "data.landmarks",
    "MedicalImage": "data.image",
    "Study": "data.study",
    "TrainingOptions": "oneshot.options",
    "detect_folder": "oneshot.detection",
    "evaluate": "metrics",
    "load_model": "oneshot.model_folders",
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
