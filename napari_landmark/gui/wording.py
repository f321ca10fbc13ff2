"""Messages that name options of the terminal, in the words of the dialogs."""

from __future__ import annotations

import re

_WORDS = (
    (
        r"give --images DIR, and --spacing MM where the images do not say the distance between their pixels",
        "open the study of this image, and calibrate it where its pixel size is unknown",
    ),
    (r"give --spacing MM(?: \([^)]*\))?", "press Calibrate… in Annotate template first"),
    (
        r"turn (it|the file) into a CSV by napari-landmark convert with --images DIR",
        r"open the study of this image, and import \1 with Import… in Annotate template",
    ),
    (r"give --images DIR", "open the study of this image"),
    (r"leave out --resume", "press Train"),
    (r"start without --resume", "press Train"),
    (r"use --device cpu, or auto", "choose cpu or auto as the device, under Advanced or in the Preferences"),
    (r"--fixed-labels", "the labels of the fixed image"),
    (r"--moving-labels", "the labels of the moving image"),
    (r"--fixed-landmarks", "the points of the fixed image"),
    (r"--moving-landmarks", "the points of the moving image"),
    (r"--model MODEL", "another model"),
    (r"--labels DIR", "the folder of label maps"),
    (r"--region-weight( LABEL=W)?", "the weights of the regions"),
    (r"--minutes( M)?", "the time"),
    (r"--device( D)?", "the device"),
)


def in_dialog(text: str) -> str:
    """The message as a person at the window can follow it.

    Examples
    --------
    >>> in_dialog("a.tps: no training to resume; leave out --resume")
    'a.tps: no training to resume; press Train'
    """
    for option, words in _WORDS:
        text = re.sub(option, words, text)
    return text
