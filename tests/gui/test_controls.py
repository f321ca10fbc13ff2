"""How the parts of the widgets look."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_landmark.gui.controls import NARROWEST, note

WIDTH = NARROWEST - 30  # inside of the narrowest dock


@pytest.mark.parametrize("text", ["short", "a text of several lines " * 8, "<small>smaller</small> " * 30])
def test_a_note_asks_for_no_more_room_than_its_text_needs(qtbot, text):
    """Otherwise what stands below it is pushed out of a small window."""
    holder = QWidget()
    qtbot.addWidget(holder)
    layout = QVBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    label = note(text)
    layout.addWidget(label)
    holder.resize(WIDTH, 10)
    holder.show()
    needed = label.heightForWidth(WIDTH)
    assert holder.height() == label.height() == pytest.approx(needed, abs=2)
    label.setText(text * 2 + "more")
    assert label.minimumSizeHint().height() == label.heightForWidth(WIDTH) >= needed
