"""The landmark model that a session used last, kept on its device."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import default_folder
from napari_landmark.gui.session.session import Session

if TYPE_CHECKING:
    from napari_landmark.detection.model.predictor import Predictor

_CACHES: WeakKeyDictionary[Session, ModelCache] = WeakKeyDictionary()


class ModelCache:
    """One loaded model; heatmaps need the same one at every image.

    Only one is kept, since two at a time could exceed the memory of a graphics card. Safe to use from
    several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._model: Predictor | None = None

    def load(self, study: Study, *, name: str | None, device: str) -> Predictor:
        """Load a model of a study unless it is the kept one.

        Parameters
        ----------
        study : Study
        name : str or None
            Name of the model; None for the default one.
        device : str

        Raises
        ------
        InputError
            There is no such model, or its files are damaged.
        """
        from napari_landmark.detection.model.store import load_model

        folder = default_folder(study) if name is None else study.models_dir / name
        key = (folder, _modified(folder), device)
        with self._lock:
            if self._model is None or self._key != key:
                self._model = None  # freed before the next one is loaded
                self._model = load_model(study, name=name, device=device)
                self._key = key
            return self._model


def model_cache(session: Session) -> ModelCache:
    """Cache of a session; call it in the main thread."""
    return _CACHES.setdefault(session, ModelCache())


def _modified(folder: Path | None) -> int | None:
    """Time of the last change of a model, in nanoseconds; None where it has no description."""
    file = None if folder is None else folder / "model.json"
    return file.stat().st_mtime_ns if file is not None and file.exists() else None
