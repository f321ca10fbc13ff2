"""Local contrast of the current image, computed in a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_landmark.data.images.local_contrast import equalized


class LocalContrast(QObject):
    """Equalized pixels of one image at a time.

    Parameters
    ----------
    show : callable
        Called in the thread of Qt with the pixels of the image that was asked for last, and the equalized ones.
    """

    _done = Signal(object, object)

    def __init__(self, show: Callable[[NDArray, NDArray], object]) -> None:
        super().__init__()
        self._show = show
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="landmark-contrast")
        self._asked: NDArray | None = None
        self._known: tuple[NDArray, NDArray] | None = None
        self._working: Future[None] | None = None
        self._done.connect(self._on_done)

    def ask(self, pixels: NDArray | None) -> None:
        """Ask for the equalized pixels of an image, or for nothing any more."""
        self._asked = pixels
        if pixels is None:
            return
        if self._known is not None and self._known[0] is pixels:
            self._show(*self._known)
        else:
            if self._working is not None:
                self._working.cancel()
            self._working = self._pool.submit(self._work, pixels)

    def _work(self, pixels: NDArray) -> None:
        result = equalized(pixels)
        try:
            self._done.emit(pixels, result)
        except RuntimeError:  # the viewer is gone
            return

    def _on_done(self, pixels: NDArray, result: NDArray) -> None:
        if pixels is self._asked:
            self._known = pixels, result
            self._show(pixels, result)
