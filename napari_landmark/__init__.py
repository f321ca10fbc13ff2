"""Landmarks on a whole cohort of medical images from one annotated image, and registration that minds regions.

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
    from napari_landmark.oneshot.template import suggest
    from napari_landmark.registration.model import RegistrationModel
    from napari_landmark.registration.options import PairOptions, RegistrationOptions
    from napari_landmark.registration.pair import register_pair
    from napari_landmark.registration.training import train_registration
    from napari_landmark.registration.transform import Transform

__all__ = [
    "Cohort",
    "Geometry",
    "LandmarkModel",
    "LandmarkSchema",
    "LandmarkSet",
    "MedicalImage",
    "PairOptions",
    "RegistrationModel",
    "RegistrationOptions",
    "Study",
    "TrainingOptions",
    "Transform",
    "__version__",
    "detect_folder",
    "evaluate",
    "load_model",
    "read_image",
    "register_pair",
    "suggest",
    "train",
    "train_registration",
]

_HOME_OF = {
    "Cohort": "data.cohort",
    "Geometry": "data.geometry",
    "LandmarkModel": "oneshot.model",
    "LandmarkSchema": "data.landmarks",
    "LandmarkSet": "data.landmarks",
    "MedicalImage": "data.image",
    "PairOptions": "registration.options",
    "RegistrationModel": "registration.model",
    "RegistrationOptions": "registration.options",
    "Study": "data.study",
    "TrainingOptions": "oneshot.options",
    "Transform": "registration.transform",
    "detect_folder": "oneshot.detection",
    "evaluate": "metrics",
    "load_model": "oneshot.model_folders",
    "read_image": "data.image",
    "register_pair": "registration.pair",
    "suggest": "oneshot.template",
    "train": "oneshot.pipeline",
    "train_registration": "registration.training",
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
