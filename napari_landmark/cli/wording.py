"""Remedies of the terminal for the errors of the package."""

from __future__ import annotations

from napari_landmark.data.errors import ErrorCode, InputError

REMEDIES = {
    ErrorCode.NEEDS_IMAGES: "give --images DIR",
    ErrorCode.NEEDS_IMAGES_AND_SPACING: (
        "give --images DIR, and --spacing MM where the images do not hold the spacing"
    ),
    ErrorCode.NEEDS_IMAGES_TO_READ: "convert the file to CSV first: napari-landmark convert with --images DIR",
    ErrorCode.NEEDS_SPACING: "give --spacing MM",
    ErrorCode.NOTHING_TO_RESUME: "leave out --resume",
    ErrorCode.TRAINING_CHANGED: "start without --resume",
    ErrorCode.OTHER_ANNOTATION: (
        "leave out --template and --landmarks to use those, or choose another --out"
    ),
    ErrorCode.IMAGES_NOT_FOUND: "give --images DIR",
    ErrorCode.NO_MODEL: "run `napari-landmark train` first",
    ErrorCode.NO_UPDATE: "leave out --update to train anew",
    ErrorCode.DEVICE_UNAVAILABLE: "use --device cpu, or auto",
    ErrorCode.OTHER_PROTOCOL: "install the same version of napari-landmark on both machines",
    ErrorCode.UNKNOWN_HOST: "`napari-landmark hosts list` shows the known ones, `hosts add` makes one",
    ErrorCode.HOST_KEY_UNKNOWN: (
        "compare the key with what the administrator of the host says and accept it once with: ssh {host}"
    ),
    ErrorCode.UNREACHABLE: "try again later; `napari-landmark hosts test` shows what is wrong",
    ErrorCode.MUCH_TO_SEND: "--yes sends it, --reduced sends the images at working resolution",
    ErrorCode.OUT_OF_MEMORY: "close other programs, or use --device cpu",
    ErrorCode.INVALID_OPTION: "change --{option}",
}
"""Remedy by code; `{option}` is the name of the option."""


def word(error: InputError) -> str:
    """The message of an error with the remedy in the terms of the terminal.

    Examples
    --------
    >>> word(InputError("study: has no interrupted training to resume", code=ErrorCode.NOTHING_TO_RESUME))
    'study: has no interrupted training to resume; leave out --resume'
    """
    if error.code is None:
        return str(error)
    option = str(error.parameters.get("option", "")).replace("_", "-")
    host = error.parameters.get("host", "")
    return f"{error}; {REMEDIES[error.code].format(option=option, host=host)}"
