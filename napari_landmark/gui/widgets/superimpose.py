"""Superimposition of another image's landmarks on the current ones, with the differences."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QTextBrowser,
    QVBoxLayout,
)

from napari_landmark.gui.controls import button, narrow_combo
from napari_landmark.gui.layers.superimposition_layer import SuperimpositionLayers
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.measurements import Measurements
from napari_landmark.gui.session.session import Session
from napari_landmark.measurement.superimposition import Superimposition, superimpose
from napari_landmark.measurement.value_text import number_text

_MOST_IMAGES = 20_000


class Superimpose(Listener):
    """Choice of another image and of landmarks, and the differences of landmarks and measurements.

    Parameters
    ----------
    session : Session
    layers : SuperimpositionLayers
    measurements : Measurements
    """

    def __init__(self, session: Session, layers: SuperimpositionLayers, measurements: Measurements) -> None:
        super().__init__(session)
        self._layers, self._measurements = layers, measurements
        self.images = narrow_combo(tip="Another image of the same person, drawn over this one in pink")
        self.images.setAccessibleName("Image that is drawn over this one")
        self.landmarks = QListWidget()
        self.landmarks.setAccessibleName("Landmarks that the images are superimposed on")
        self.landmarks.setFixedHeight(84)
        self.landmarks.setToolTip(
            "Landmarks that the images are superimposed on, such as those of the cranial base"
        )
        self.start = button("Superimpose", self._on_start)
        self.stop = button("Remove", self.clear)
        self.result = QTextBrowser()
        self.result.setFixedHeight(170)
        self.result.hide()
        grid = QGridLayout()
        grid.addWidget(QLabel("Superimpose"), 0, 0)
        grid.addWidget(self.images, 0, 1)
        grid.addWidget(QLabel("on"), 1, 0)
        grid.addWidget(self.landmarks, 1, 1)
        grid.addWidget(self.start, 2, 0)
        grid.addWidget(self.stop, 2, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        layout.addWidget(self.result)

    def update_images(self) -> None:
        """Offer the images and landmarks of the study; chosen ones stay chosen."""
        chosen, checked = self.images.currentText(), self.checked
        self.images.clear()
        self.images.addItems(self.session.names[:_MOST_IMAGES])
        self.images.setCurrentText(chosen)
        self.landmarks.clear()
        schema = self.session.schema
        for name in () if schema is None else schema.names:
            item = QListWidgetItem(name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if name in checked else Qt.CheckState.Unchecked)
            self.landmarks.addItem(item)
        self.setVisible(len(self.session.names) > 1)
        self.clear()

    @property
    def checked(self) -> list[str]:
        """Landmarks to superimpose on."""
        items = (self.landmarks.item(row) for row in range(self.landmarks.count()))
        return [
            item.text() for item in items if item is not None and item.checkState() == Qt.CheckState.Checked
        ]

    def check(self, names: list[str]) -> None:
        """Choose the landmarks to superimpose on."""
        for row in range(self.landmarks.count()):
            item = self.landmarks.item(row)
            if item is not None:
                item.setCheckState(Qt.CheckState.Checked if item.text() in names else Qt.CheckState.Unchecked)

    def clear(self) -> None:
        """Remove what is superimposed."""
        self._layers.clear()
        self.result.hide()
        self.stop.setEnabled(False)

    def _on_start(self) -> None:
        self.session.attempt(self.superimpose)

    def superimpose(self) -> Superimposition:
        """Superimpose the chosen image on the current one and show it.

        Raises
        ------
        InputError
            A landmark to superimpose on has no position, or there are too few.
        """
        session, other = self.session, self.images.currentText()
        found = superimpose(
            session.result(),
            session.result(other),
            self.checked,
            fixed_geometry=session.geometry(),
            moving_geometry=session.geometry(other),
        )
        self._layers.show(other, found)
        self.stop.setEnabled(True)
        self.result.setHtml(self._text(other, found))
        self.result.show()
        return found

    def _text(self, other: str, found: Superimposition) -> str:
        distances = found.distances
        agreement = f"{found.rms:.2f} {found.unit}"
        head = f"<b>{escape(other)}</b> on {len(self.checked)} landmarks, which agree within {agreement}"
        scale = f", enlarged by {found.scale:.3f} since a pixel size is unknown" if found.unit == "px" else ""
        marks = [
            (found.names[row], f"{distances[row]:.1f} {found.unit}") for row in distances.argsort()[::-1]
        ]
        own = {one.measurement.name: one for one in self._measurements.current()}
        changes = []
        for one in self._measurements.of(other) if self._measurements.schema else ():
            mine = own.get(one.measurement.name)
            if mine is not None and mine.value is not None and one.value is not None:
                change = one.value - mine.value
                sign = "+" if change >= 0 else ""
                changes.append((one.measurement.name, f"{sign}{number_text(change, one.measurement)}"))
        return (
            f"<p>{head}{scale}.</p>"
            + _table("Measurement", "there minus here", changes)
            + _table("Landmark", "distance", marks)
        )


def _table(first: str, second: str, rows: list[tuple[str, str]]) -> str:
    """Two columns as rich text; nothing without rows."""
    if not rows:
        return ""
    body = "".join(
        f"<tr><td>{escape(name)}&nbsp;&nbsp;</td><td align='right'>{escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<table><tr><td><b>{first}</b></td><td align='right'><b>{second}</b></td></tr>{body}</table>"
