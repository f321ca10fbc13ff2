"""Remedies of the viewer for the errors of the package."""

from __future__ import annotations

from napari_landmark.data.errors import ErrorCode, InputError

REMEDIES = {
    ErrorCode.NEEDS_IMAGES: "open the study of this image",
    ErrorCode.NEEDS_IMAGES_AND_SPACING: (
        "open the study of this image, and calibrate it where its pixel size is unknown"
    ),
    ErrorCode.NEEDS_IMAGES_TO_READ: (
        "open the study of this image, and import the file with Import… in the step Place"
    ),
    ErrorCode.NEEDS_SPACING: "press Calibrate… in the step Place first",
    ErrorCode.NOTHING_TO_RESUME: "press Train",
    ErrorCode.TRAINING_CHANGED: "press Train",
    ErrorCode.OTHER_ANNOTATION: "open that study to change them, or choose another folder",
    ErrorCode.IMAGES_NOT_FOUND: "put them back, or make a new study from their folder: New study…",
    ErrorCode.NO_MODEL: "press Train first",
    ErrorCode.NO_UPDATE: "press Train to train anew",
    ErrorCode.DEVICE_UNAVAILABLE: ("choose cpu or auto as the device, under Advanced or in the Preferences"),
    ErrorCode.OTHER_PROTOCOL: "install the same version of napari-landmark on both machines",
    ErrorCode.UNKNOWN_HOST: "choose another one in the Preferences",
    ErrorCode.HOST_KEY_UNKNOWN: (
        "compare the key with what the administrator of the host says and accept it once in a terminal with: ssh {host}"
    ),
    ErrorCode.UNREACHABLE: "try again later",
    ErrorCode.MUCH_TO_SEND: "confirm it, or send the images at working resolution",
    ErrorCode.OUT_OF_MEMORY: "close other programs, or choose a smaller working resolution",
    ErrorCode.INVALID_OPTION: "change the {option}",
}
"""Remedy by code; `{option}` is the name of the option."""


def word(error: InputError) -> str:
    """The message of an error with the remedy in the terms of the dialogs.

    Examples
    --------
    >>> word(InputError("study: has no interrupted training to resume", code=ErrorCode.NOTHING_TO_RESUME))
    'study: has no interrupted training to resume; press Train'
    """
    if error.code is None:
        return str(error)
    option = str(error.parameters.get("option", "")).replace("_", " ")
    host = error.parameters.get("host", "")
    return f"{error}; {REMEDIES[error.code].format(option=option, host=host)}"
