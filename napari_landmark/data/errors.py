"""Errors whose message is written for the person who gave the input."""

from __future__ import annotations


class InputError(ValueError):
    """Something a person gave cannot be used.

    The message is one line that names the file or the landmark and says what to do about it. The
    terminal prints it as it is and exits with status 2; the graphical interface shows it.
    """

    def __init__(self, message: str) -> None:
        # Libraries wrap their complaints over several lines; what of them ends up in a message becomes one.
        super().__init__(" ".join(line.strip() for line in str(message).splitlines()))


class UnknownSpacingError(InputError):
    """Millimetres were asked for where the distance between pixels is not known."""
