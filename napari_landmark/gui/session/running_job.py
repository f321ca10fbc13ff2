"""Long work as the session sees it: its kind, its progress and its signals, free of threads, processes and Qt."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from napari_landmark.progress import ProgressEvent


class JobKind(StrEnum):
    """Kinds of long work; the value is the title that the user reads."""

    READ_IMAGES = "Reading images"
    SAMPLE_DATA = "Drawing sample images"
    TRAIN = "Training"
    DETECT = "Detecting"
    HEATMAPS = "Computing heatmaps"
    SUGGEST = "Comparing the images"
    SHAPES = "Comparing the shapes"
    AGREEMENT = "Comparing the readers"
    REGISTER = "Registering"
    REGISTER_STUDY = "Registering all images"
    LABEL_STUDY = "Labelling all images"
    TRAIN_REGISTRATION = "Training the registration"
    MEASURE = "Measuring"
    WRITE = "Writing"
    RENAME = "Renaming landmarks"


NOT_DURING_A_READING = frozenset(
    {
        JobKind.TRAIN,
        JobKind.DETECT,
        JobKind.HEATMAPS,
        JobKind.SUGGEST,
        JobKind.SHAPES,
        JobKind.RENAME,
        JobKind.REGISTER_STUDY,
    }
)
"""Work that needs the landmarks of the study, which a blind reading hides."""


class JobSignal(Protocol):
    """A signal of Qt or psygnal."""

    def connect(self, slot: Callable[..., object], /) -> Any:
        """Call `slot` whenever the signal is emitted."""


class RunningJob(Protocol):
    """Long work that the session starts, cancels and waits for.

    Attributes
    ----------
    kind : JobKind
    last_event : ProgressEvent or None
        Last progress that was reported.
    ended : JobSignal
        Emitted once in the main thread, however the work ended, before `succeeded` or `failed`.
    """

    kind: JobKind
    last_event: ProgressEvent | None

    @property
    def title(self) -> str:
        """Name of the work for the user."""

    @property
    def place(self) -> str:
        """Host and device that compute; empty for this computer."""

    @property
    def cancelled(self) -> bool:
        """Whether the work was asked to stop."""

    @property
    def can_cancel(self) -> bool:
        """Whether asking to stop, or once more to end at once, has an effect now."""

    @property
    def cancel_text(self) -> str:
        """Text of the button that asks to stop."""

    @property
    def ended(self) -> JobSignal:
        """Signal of the end."""

    @property
    def progressed(self) -> JobSignal:
        """Signal with each `ProgressEvent`."""

    @property
    def shown(self) -> JobSignal:
        """Signal with each intermediate result."""

    @property
    def succeeded(self) -> JobSignal:
        """Signal with the result."""

    @property
    def failed(self) -> JobSignal:
        """Signal with the message of the error."""

    @property
    def cancelling(self) -> JobSignal:
        """Signal that the work was asked to stop."""

    @property
    def destroyed(self) -> JobSignal:
        """Signal that the job is deleted, after which no signal may be disconnected."""

    def start(self) -> None:
        """Begin, beside the viewer."""

    def cancel(self) -> None:
        """Ask the work to stop."""

    def leave(self) -> None:
        """The viewer closes: end work that cannot go on without it, and leave the other to itself."""

    def wait(self, seconds: float) -> bool:
        """Wait until nothing of the work is left in this process; returns whether that is so."""
