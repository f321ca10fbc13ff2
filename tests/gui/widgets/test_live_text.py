"""Text that changes several times a second."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_landmark.gui.widgets.live_text import LiveText


class _Layouts(QObject):
    """Number of times that a widget was asked to lay itself out."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def eventFilter(self, watched, event):
        """Count."""
        self.count += event.type() == QEvent.Type.LayoutRequest
        return False


def test_no_new_layout_with_a_new_text(qtbot):
    window, text, layouts = QWidget(), LiveText("State"), _Layouts()
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(text)
    window.resize(200, 60)
    window.show()
    qtbot.waitExposed(window)
    qtbot.wait(50)
    window.installEventFilter(layouts)
    for number in range(5):
        text.show_text(f"Training embedding · {number} min left")
        qtbot.wait(10)
    assert layouts.count == 0
    assert text.text() == "Training embedding · 4 min left"


def test_what_does_not_fit_is_in_the_tool_tip(qtbot):
    text = LiveText("State")
    qtbot.addWidget(text)
    text.resize(60, 20)
    text.show()
    text.show_text("short")
    assert text.toolTip() == ""
    text.show_text("a state that is much longer than two lines of sixty pixels")
    assert text.toolTip() == text.text()
    assert text.textCursor().position() == 0


def test_a_long_state_takes_two_lines(qtbot):
    text = LiveText("State")
    qtbot.addWidget(text)
    text.resize(380, text.height())
    text.show()
    text.show_text("Not reachable since 00:29, the job on lab goes on (lab: cannot be reached by ssh)")
    assert text.document().size().height() == 2
    assert text.toolTip() == ""
    assert text.blockBoundingGeometry(text.firstVisibleBlock()).bottom() <= text.viewport().height()
