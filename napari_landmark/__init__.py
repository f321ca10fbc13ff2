"""Landmark detection in a cohort of medical images from one annotated image, and region-aware registration.

The public names below are loaded when they are first used (SPEC 1), so that
``import napari_landmark`` stays quick: it loads neither torch nor Qt nor SimpleITK.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

from napari_landmark.openmp import spin_briefly

spin_briefly()  # before anything loads torch

__getattr__, _list_names, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __dir__() -> list[str]:
    return [*_list_names(), "__version__"]


try:
    __version__ = version("napari-landmark")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "unknown"
