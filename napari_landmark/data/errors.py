"""Errors of the input, as a code with parameters that each front end turns into a remedy."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self


class ErrorCode(StrEnum):
    """Errors whose remedy depends on the front end.

    The terminal names an option, the viewer a button: `cli.wording` and `gui.wording` hold a remedy for each
    code. An error without a code says its remedy in the message itself.
    """

    NEEDS_IMAGES = "needs_images"
    """The image of the landmarks is needed to write the file."""
    NEEDS_IMAGES_AND_SPACING = "needs_images_and_spacing"
    """The image of the landmarks and its spacing are needed to write the file."""
    NEEDS_IMAGES_TO_READ = "needs_images_to_read"
    """The image of the landmarks is needed to convert the file to index coordinates."""
    NEEDS_SPACING = "needs_spacing"
    """The spacing of an image is unknown."""
    NOTHING_TO_RESUME = "nothing_to_resume"
    """No interrupted training exists."""
    TRAINING_CHANGED = "training_changed"
    """An interrupted training does not fit the current input, or its record cannot be read."""
    OTHER_ANNOTATION = "other_annotation"
    """The study has other manual positions in an image than those that are given."""
    IMAGES_NOT_FOUND = "images_not_found"
    """The folder of the images of a study is not known, or not where the study says."""
    NO_MODEL = "no_model"
    """The study has no trained model."""
    NO_UPDATE = "no_update"
    """A training cannot go on from a model, which does not fit the study or is incomplete."""
    DEVICE_UNAVAILABLE = "device_unavailable"
    """The machine has no such device."""
    OTHER_PROTOCOL = "other_protocol"
    """A worker or host is of another version of napari-landmark, which speaks another protocol."""
    UNKNOWN_HOST = "unknown_host"
    """No host of that name is configured. Parameter `name`."""
    HOST_KEY_UNKNOWN = "host_key_unknown"
    """The key of a host is not known yet, or is another than the known one. Parameter `host`: its address."""
    UNREACHABLE = "unreachable"
    """A host does not answer now."""
    MUCH_TO_SEND = "much_to_send"
    """More is to be sent to a host than is sent without asking. Parameter `size`: bytes."""
    OUT_OF_MEMORY = "out_of_memory"
    """The memory of the machine or of its graphics card does not suffice."""
    INVALID_OPTION = "invalid_option"
    """The value of an option cannot be used. Parameter `option`: its name as a Python identifier."""


class InputError(ValueError):
    """Input that cannot be used.

    Parameters
    ----------
    message : str
        The fact in one line, with the file or the landmark. It names no terminal option and no button.
    code : ErrorCode, optional
        Selects the remedy that a front end adds to the message.
    **parameters
        Values that the remedy mentions, see `ErrorCode`.
    """

    def __init__(self, message: str, *, code: ErrorCode | None = None, **parameters: Any) -> None:
        # Libraries wrap their messages over several lines; a message here is one line.
        super().__init__(" ".join(line.strip() for line in str(message).splitlines()))
        self.code = code
        self.parameters = parameters

    def prefixed(self, subject: object) -> Self:
        """A copy whose message begins with a file, a line or an image; code and parameters are kept."""
        return type(self)(f"{subject}: {self}", code=self.code, **self.parameters)


class UnknownSpacingError(InputError):
    """Millimetres were requested for an image whose spacing is unknown."""

    def __init__(
        self, message: str, *, code: ErrorCode | None = ErrorCode.NEEDS_SPACING, **parameters: Any
    ) -> None:
        super().__init__(message, code=code, **parameters)


class UnknownImageError(InputError):
    """A file that holds landmarks of one image does not tell of which one of several."""
