"""How the parts of the widgets look."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_landmark.gui.controls import note


@pytest.mark.parametrize("text", ["short", "a text of several lines " * 8, "<small>smaller</small> " * 30])
def test_a_note_asks_for_no_more_room_than_its_text_needs(qtbot, text):
    """Otherwise what stands below it is pushed out of a small window."""
    holder = QWidget()
    qtbot.addWidget(holder)
    layout = QVBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    label = note(text)
    layout.addWidget(label)
    holder.resize(300, 10)
    holder.show()
    needed = label.heightForWidth(300)
    assert holder.height() == label.height() == pytest.approx(needed, abs=2)
    label.setText(text * 2 + "more")
    assert label.minimumSizeHint().height() == label.heightForWidth(300) >= needed
