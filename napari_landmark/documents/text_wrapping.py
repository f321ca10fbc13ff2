"""Lines of a text that fit into a width on a page."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font

_SUBPIXELS = 64.0  # units of FreeType's sizes
_MEASURED_SIZE = 100.0  # at small sizes the widths of letters are rounded to pixels


def wrap_text(text: str, width: float, *, size: float, bold: bool = False) -> list[str]:
    """Break a text into lines that are not wider than `width`, by the widths of the letters of the default font.

    Words that are too long by themselves, such as names of files, are broken as well.

    Parameters
    ----------
    text : str
        No line ends at a non-breaking space.
    width : float
        In points, 1/72 inch.
    size : float
        Size of the font in points.
    bold : bool, optional

    Returns
    -------
    list of str
        At least one line; empty for an empty text.
    """
    lines, line = [], ""
    for word in filter(None, text.replace("\n", " ").split(" ")):
        longer = f"{line} {word}" if line else word
        if text_width(longer, size=size, bold=bold) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while text_width(word, size=size, bold=bold) > width and len(word) > 1:
            fitting = _fitting(word, width, size=size, bold=bold)
            lines.append(word[:fitting])
            word = word[fitting:]
        line = word
    return [*lines, line]


def text_width(text: str, *, size: float, bold: bool = False) -> float:
    """Width in points of a text on one line."""
    font = _font(bold)
    font.set_size(_MEASURED_SIZE, 72.0)
    font.set_text(text, 0.0)
    width: float = font.get_width_height()[0] / _SUBPIXELS
    return width * size / _MEASURED_SIZE


def _fitting(word: str, width: float, *, size: float, bold: bool) -> int:
    """Number of letters that fit into the width, at least one."""
    count = len(word)
    while count > 1 and text_width(word[:count], size=size, bold=bold) > width:
        count -= 1
    return count


@lru_cache(maxsize=2)
def _font(bold: bool) -> FT2Font:
    return get_font(findfont(FontProperties(weight="bold" if bold else "normal")))
