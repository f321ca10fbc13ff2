"""Lines are as wide as they are drawn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_landmark.documents.text_wrapping import text_width, wrap_text

WORDS = st.lists(st.text("abcWi1-", min_size=1, max_size=30), max_size=12)


@pytest.mark.parametrize("text", ["normal overjet (or edge to edge)", "iiiiiiiiii", "WWWWWWWWWW", "± 3.2"])
@pytest.mark.parametrize("size", [6.5, 7.5, 15.0])
@pytest.mark.parametrize("bold", [False, True])
def test_the_width_is_that_of_the_drawn_text(text, size, bold):
    figure = Figure(dpi=720)
    canvas = FigureCanvasAgg(figure)
    drawn = figure.text(0, 0, text, fontsize=size, fontweight="bold" if bold else "normal")
    points = drawn.get_window_extent(canvas.get_renderer()).width / 10
    assert text_width(text, size=size, bold=bold) == pytest.approx(points, rel=0.03, abs=0.2 * size)


@given(words=WORDS, width=st.floats(20, 300))
def test_no_line_is_too_wide_and_no_letter_is_lost(words, width):
    lines = wrap_text(" ".join(words), width, size=8)
    assert all(text_width(line, size=8) <= width for line in lines if len(line) > 1)
    assert "".join(lines).replace(" ", "") == "".join(words)
    assert len(lines) >= 1


def test_lines_do_not_end_at_a_space_that_does_not_break():
    width = text_width("2 Nasion 1", size=8)
    assert wrap_text("1\u00a0Sella 2\u00a0Nasion", width, size=8) == ["1\u00a0Sella", "2\u00a0Nasion"]
