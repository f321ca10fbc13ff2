"""Loss of one stage of a training as a curve of a limited number of points."""

from __future__ import annotations

LIMIT = 400
"""Most points of a curve; a plot has fewer pixels across."""


class LossCurve:
    """Losses by step; where there are more than `LIMIT`, each point is the mean of equally many of them.

    Drawing it takes as long after a day of training as after a minute.
    """

    def __init__(self) -> None:
        self._points: list[tuple[int, float]] = []  # means of `_group` losses, each at the last of its steps
        self._group = 1
        self._open: list[float] = []  # losses since the last point
        self._last: tuple[int, float] | None = None

    @property
    def points(self) -> list[tuple[int, float]]:
        """Step and loss of each point; the last one is the last loss itself."""
        return [*self._points, *([self._last] if self._open and self._last is not None else [])]

    def add(self, step: int, loss: float) -> bool:
        """Add the loss of a step; returns False for a step that is not after the last one."""
        if self._last is not None and step <= self._last[0]:
            return False
        self._last = (step, loss)
        self._open.append(loss)
        if len(self._open) == self._group:
            self._points.append((step, sum(self._open) / self._group))
            self._open = []
        if len(self._points) >= LIMIT:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [(second, (a + b) / 2) for (_, a), (second, b) in pairs]
            self._group *= 2
        return True
