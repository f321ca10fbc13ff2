"""Pages of a PDF of the size A4, with a footer and running numbers, and texts that fit on them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from napari_landmark.documents.text_wrapping import wrap_text

LEFT, TOP, BOTTOM, WIDTH = 0.07, 0.955, 0.06, 0.86
"""Margins of a page and width of what is on it, in parts of the page."""
PAGE_SIZE = (8.27, 11.69)
"""A4 in inches."""
_DPI = 150
_LONGEST_FOOTER = 110


class PdfBook:
    """Pages with the same footer and running numbers.

    Parameters
    ----------
    save : callable
        Called with each finished page.
    footer : str
    """

    def __init__(self, save: Callable[[Figure], object], footer: str) -> None:
        self._save, self._footer, self._count = save, footer, 0

    def page(self) -> Figure:
        """Begin a page."""
        figure = Figure(figsize=PAGE_SIZE, dpi=_DPI)
        FigureCanvasAgg(figure)
        return figure

    def add(self, figure: Figure) -> None:
        """End a page."""
        self._count += 1
        footer = self._footer
        if len(footer) > _LONGEST_FOOTER:
            footer = f"{footer[: _LONGEST_FOOTER - 1]}…"
        grey = "#666666"
        figure.text(LEFT, 0.025, footer, fontsize=6.5, color=grey, parse_math=False)
        figure.text(LEFT + WIDTH, 0.025, str(self._count), fontsize=6.5, color=grey, ha="right")
        self._save(figure)


class TextPages:
    """Paragraphs on as many pages as they need.

    Parameters
    ----------
    book : PdfBook
    """

    def __init__(self, book: PdfBook) -> None:
        self._book, self._figure, self._y = book, book.page(), TOP

    def heading(self, text: str) -> None:
        """Begin a section; never at the foot of a page."""
        self._room(0.08)
        self._y -= 0.008 if self._y < TOP else 0.0
        write_lines(self._figure, LEFT, self._y, [text], size=9, bold=True)
        self._y -= 0.019

    def paragraph(self, text: str, details: str = "") -> None:
        """Add a text, and what is in small print below it."""
        lines = wrap_text(text, points(WIDTH), size=7.5)
        small = wrap_text(details, points(WIDTH - 0.02), size=6.5) if details else []
        height = 0.0112 * len(lines) + 0.0098 * len(small)
        self._room(height)
        write_lines(self._figure, LEFT, self._y, lines, size=7.5)
        write_lines(
            self._figure, LEFT + 0.02, self._y - 0.0112 * len(lines), small, size=6.5, color="#666666"
        )
        self._y -= height + 0.003

    def end(self) -> None:
        """End the last page."""
        self._book.add(self._figure)

    def _room(self, height: float) -> None:
        if self._y - height < BOTTOM:
            self._book.add(self._figure)
            self._figure, self._y = self._book.page(), TOP


def pdf_bytes(title: str, creator: str, draw: Callable[[Callable[[Figure], object]], object]) -> bytes:
    """Content of a PDF whose pages are saved by `draw`, which is called with the function that saves a page."""
    content = io.BytesIO()
    with PdfPages(content, metadata={"Title": title, "Creator": creator}) as pages:
        draw(pages.savefig)
    return content.getvalue()


def points(width: float) -> float:
    """Width in points of a part of the page's width."""
    return width * PAGE_SIZE[0] * 72


def write_lines(
    figure: Figure,
    x: float,
    y: float,
    lines: Sequence[str],
    *,
    size: float,
    color: str = "black",
    bold: bool = False,
) -> None:
    """Write lines below each other on a page.

    Parameters
    ----------
    figure : Figure
    x, y : float
        Left end and upper edge of the first line, in parts of the page.
    lines : sequence of str
        Taken literally, without formulas.
    size : float
        In points.
    color : str, optional
    bold : bool, optional
    """
    figure.text(
        x,
        y,
        "\n".join(lines),
        fontsize=size,
        color=color,
        fontweight="bold" if bold else "normal",
        va="top",
        linespacing=1.25,
        parse_math=False,
    )
