"""Button with a menu of how images and marks are shown: window, gamma, inversion, names, loupe, template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log10
from typing import TypeVar

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QAction, QActionGroup
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMenu, QSlider, QToolButton, QWidget, QWidgetAction

from napari_landmark.gui.keys import keys_text
from napari_landmark.gui.session.image_display import GAMMAS
from napari_landmark.gui.session.mark_options import MAGNIFICATIONS, MarkShape, NameMode
from napari_landmark.gui.session.session import Session

_NAMES = {
    NameMode.ALL: "All names",
    NameMode.CURRENT: "Name of the current landmark",
    NameMode.NONE: "No names",
}
_SHAPES = {MarkShape.RING: "Rings", MarkShape.CROSS: "Crosses with an open middle"}
_Value = TypeVar("_Value")
_STEPS = 100  # of the slider, for a factor of ten


class DisplayButton(QToolButton):
    """Button whose menu shows and changes the display of images and marks; it looks at the session when it opens.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.setText("◐")
        self.setAccessibleName("Display of images and marks")
        self.setToolTip(
            "Window, gamma, inverted greys, names, loupe, template. Drag with the right mouse button on the image: to "
            "the right for a wider window, up for brighter.<br>" + keys_text("i", "l", "b", "t")
        )
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.choices = QMenu(self)
        self.setMenu(self.choices)
        self.windows = self.choices.addMenu("Window") or QMenu()
        self.inverted = self._toggle("Inverted greys", lambda on: session.display.set_look(inverted=on))
        self.local = self._toggle(
            "Local contrast (display only)", lambda on: session.display.set_look(local_contrast=on)
        )
        self.gamma = QSlider(Qt.Orientation.Horizontal)
        self.gamma.setRange(-_STEPS, _STEPS)
        self.gamma.setAccessibleName("Gamma")
        self.gamma.valueChanged.connect(self._on_gamma)
        self.gamma_text = QLabel()
        self.choices.addAction(self._slider_action())
        self.choices.addSeparator()
        self.names = self._choices(_NAMES, lambda mode: session.marks.set(names=mode))
        self.choices.addSeparator()
        self.shapes = self._choices(_SHAPES, lambda shape: session.marks.set(shape=shape))
        self.choices.addSeparator()
        loupes = {number: f"Loupe x{number}" if number else "No loupe" for number in MAGNIFICATIONS}
        self.loupes = self._choices(loupes, lambda number: session.marks.set(magnification=number))
        self.choices.addSeparator()
        self.template = self._toggle(
            "Template beside the image", lambda on: session.marks.set(template_shown=on)
        )
        self.choices.aboutToShow.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the state of the session."""
        display, marks = self.session.display, self.session.marks
        self.windows.clear()
        for name in display.windows:
            action = self.windows.addAction(name, lambda name=name: display.choose(name))
            if action is not None:
                action.setCheckable(True)
                action.setChecked(name == display.window)
        self.inverted.setChecked(display.inverted)
        self.local.setChecked(display.local_contrast)
        self.local.setEnabled(not self.session.crosshair.position)
        with QSignalBlocker(self.gamma):
            self.gamma.setValue(round(_STEPS * log10(display.gamma)))
        self.gamma_text.setText(f"{display.gamma:.2f}")
        self.names[marks.names].setChecked(True)
        self.shapes[marks.shape].setChecked(True)
        self.loupes[marks.magnification].setChecked(True)
        self.template.setChecked(marks.template_shown)

    def _toggle(self, text: str, slot: Callable[[bool], object]) -> QAction:
        action = QAction(text, self.choices)
        action.setCheckable(True)
        action.toggled.connect(slot)
        self.choices.addAction(action)
        return action

    def _choices(
        self, texts: Mapping[_Value, str], choose: Callable[[_Value], object]
    ) -> dict[_Value, QAction]:
        group, actions = QActionGroup(self.choices), {}
        for value, text in texts.items():
            action = QAction(text, self.choices)
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, value=value: choose(value))
            group.addAction(action)
            self.choices.addAction(action)
            actions[value] = action
        return actions

    def _slider_action(self) -> QWidgetAction:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(24, 2, 8, 2)
        row.addWidget(QLabel("Gamma"))
        row.addWidget(self.gamma, 1)
        row.addWidget(self.gamma_text)
        action = QWidgetAction(self.choices)
        action.setDefaultWidget(holder)
        return action

    def _on_gamma(self, value: int) -> None:
        gamma = min(max(10 ** (value / _STEPS), GAMMAS[0]), GAMMAS[1])
        self.session.display.set_look(gamma=gamma)
        self.gamma_text.setText(f"{gamma:.2f}")
