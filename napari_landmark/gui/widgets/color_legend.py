"""Bar of the colours of a map, with what its ends and its middle mean."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

_STEPS, _HEIGHT = 256, 10


class ColorLegend(QWidget):
    """Colours from the lower to the upper limit of a colormap of napari.

    Parameters
    ----------
    colormap : str
    low, middle, high : str
        Texts below the ends and the middle.
    """

    def __init__(self, colormap: str, low: str, middle: str, high: str) -> None:
        super().__init__()
        colors = ensure_colormap(colormap).map(np.linspace(0, 1, _STEPS))
        row = np.ascontiguousarray((255 * colors[None, :, :]).round().astype(np.uint8))
        image = QImage(row.tobytes(), _STEPS, 1, 4 * _STEPS, QImage.Format.Format_RGBA8888)
        self.bar = QLabel()
        self.bar.setPixmap(QPixmap.fromImage(image))
        self.bar.setScaledContents(True)
        self.bar.setFixedHeight(_HEIGHT)
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"Colours: {low}; {middle}; {high}")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(1)
        layout.addWidget(self.bar, 0, 0, 1, 3)
        for column, text in enumerate((low, middle, high)):
            label = QLabel(f"<small>{text}</small>")
            layout.addWidget(label, 1, column)
            layout.setColumnStretch(column, 0 if column == 1 else 1)
            if column == 2:
                label.setAlignment(Qt.AlignmentFlag.AlignRight)
