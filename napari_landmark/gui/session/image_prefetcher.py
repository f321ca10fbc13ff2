"""Reading ahead the native images of a cohort, so that showing the next one does not wait for the disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.gui.wording import word

_KEPT_BYTES = 600 * 1024**2
_KEPT_IMAGES = 8


class ImagePrefetcher:
    """Reader of the images of one cohort that reads in the background what may be shown next."""

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="landmark-images")
        self._reading: OrderedDict[int, Future[MedicalImage]] = OrderedDict()

    def read(self, number: int, *, ahead: Sequence[int] | None = None) -> MedicalImage:
        """Read an image and begin to read those that may be shown next.

        Parameters
        ----------
        number : int
            Index in the cohort.
        ahead : sequence of int, optional
            Indices of the images that may be shown next; by default those of its neighbours.

        Raises
        ------
        InputError
            Where the file cannot be read.
        """
        image = self._now(number)
        if image.array.nbytes * 3 < _KEPT_BYTES:  # of large volumes only the current one is held
            for other in (number + 1, number - 1) if ahead is None else ahead:
                if 0 <= other < len(self._cohort):
                    self._request(other)
        self._forget(number)
        return image

    def has_read(self, number: int) -> bool:
        """Whether an image is in memory, so that reading it takes no time."""
        future = self._reading.get(number)
        return future is not None and future.done()

    def first_readable(self, names: Iterable[str]) -> tuple[str, str]:
        """Read images until one can be read.

        Returns
        -------
        name : str
            Of the first readable image.
        problem : str
            Error of the first unreadable one before it; empty if there is none.

        Raises
        ------
        InputError
            None can be read; the prefetcher is closed then.
        """
        problem = ""
        for name in dict.fromkeys(names):
            try:
                self.read(self._cohort.index(name))
            except InputError as error:
                problem = problem or word(error)
            else:
                return name, problem
        self.close()
        raise InputError(problem)

    def close(self) -> None:
        """Stop reading."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._reading.clear()

    def _now(self, number: int) -> MedicalImage:
        """Read an image at once, not after the neighbours of others that wait to be read ahead."""
        future = self._reading.get(number)
        begun = future is not None and not future.cancel()
        if future is not None and begun and not (future.done() and future.exception() is not None):
            with suppress(InputError):  # it was read before now: the file may have come since
                return self._request(number).result()
        self._reading.pop(number, None)
        for other, waiting in list(self._reading.items()):
            if waiting.cancel():
                del self._reading[other]
        done: Future[MedicalImage] = Future()
        done.set_result(self._cohort.read(number))
        self._reading[number] = done
        return done.result()

    def _request(self, number: int) -> Future[MedicalImage]:
        future = self._reading.pop(number, None)
        if future is None or (future.done() and future.exception() is not None):
            future = self._pool.submit(self._cohort.read, number)
        self._reading[number] = future  # the newest last
        return future

    def _forget(self, current: int) -> None:
        while len(self._reading) > _KEPT_IMAGES:
            self._reading.popitem(last=False)
        held = [(n, f.result()) for n, f in self._reading.items() if f.done() and f.exception() is None]
        total = sum(image.array.nbytes for _, image in held)
        for number, image in held:
            if total <= _KEPT_BYTES:
                break
            if number != current:
                del self._reading[number]
                total -= image.array.nbytes
