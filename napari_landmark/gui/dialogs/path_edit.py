"""Line for a path, with a button to browse."""

from __future__ import annotations

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget


class PathEdit(QWidget):
    """Line for the path of a folder or of a file, with a button to browse.

    Parameters
    ----------
    title : str
        Of the dialog in which one is chosen, and name of the line for screen readers.
    filters : str, optional
        Kinds of files as Qt writes them, 'Landmarks (*.csv)'; by default a folder is chosen.

    Attributes
    ----------
    edit : QLineEdit
    """

    def __init__(self, title: str, *, filters: str = "") -> None:
        super().__init__()
        self._title, self._filters = title, filters
        self.edit = QLineEdit()
        self.edit.setAccessibleName(title)
        choose = QPushButton("Browse…")
        choose.clicked.connect(self.browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addWidget(choose)

    def text(self) -> str:
        """Path without spaces around it."""
        return self.edit.text().strip()

    def browse(self) -> None:
        """Ask for a path."""
        if self._filters:
            chosen, _ = QFileDialog.getOpenFileName(self, self._title, self.text(), self._filters)
        else:
            chosen = QFileDialog.getExistingDirectory(self, self._title, self.text())
        if chosen:
            self.edit.setText(chosen)
