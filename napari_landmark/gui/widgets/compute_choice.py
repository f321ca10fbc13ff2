"""Choice of the computer that trains or detects: this one, or a host."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QMessageBox, QWidget

from napari_landmark.backend.hosts import read_hosts
from napari_landmark.backend.sending import LARGEST_WITHOUT_ASKING, bytes_to_send
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.gui.dialogs.hosts import HostsDialog
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_THIS_COMPUTER, _MORE = "this computer", "Other computers…"


class ComputeChoice(QWidget):
    """List of the known hosts, and an entry that opens their dialog.

    Parameters
    ----------
    session : Session
        Gets the message of a file of hosts that cannot be read.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._chosen = session, ""
        self.box = QComboBox()
        self.box.setAccessibleName("Computer that trains and detects")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setToolTip(
            "Where training and detection are computed: here, or on a computer that ssh reaches. Either goes on when "
            "the viewer closes"
        )
        self.box.activated.connect(self._on_activated)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Compute"))
        row.addWidget(self.box, 1)
        self.offer()

    @property
    def host(self) -> str:
        """Name of the chosen host; empty for this computer."""
        return self._chosen

    def show_host(self, name: str) -> None:
        """Choose a host, as that of a job which was begun before; an unknown one changes nothing."""
        row = self.box.findData(name)
        if row >= 0:
            self._chosen = name
            self.box.setCurrentIndex(row)

    def confirms(self, cohort: Cohort) -> bool:
        """Whether the user agrees to send the images of a cohort; asked where they are many bytes."""
        size = bytes_to_send(cohort)
        if size <= LARGEST_WITHOUT_ASKING:
            return True
        text = (
            f"About {size / 1e9:.1f} GB of images will be sent to {self._chosen}, unless it has them already. "
            "Pixels and landmarks are sent, no names and no headers."
        )
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(self, "Send the images?", text, buttons.Yes | buttons.Cancel)
        return answer == buttons.Yes

    @property
    def has_hosts(self) -> bool:
        """Whether there is another computer than this one to choose."""
        return any(self.box.itemData(row) for row in range(self.box.count()))

    def offer(self) -> None:
        """List this computer and the hosts that are described by now."""
        try:
            names = list(read_hosts())
        except InputError as error:
            names = []
            self._session.message.emit("error", word(error))
        self.box.clear()
        self.box.addItem(_THIS_COMPUTER, "")
        for name in names:
            self.box.addItem(name, name)
        self.box.insertSeparator(self.box.count())
        self.box.addItem(_MORE)
        self._chosen = self._chosen if self._chosen in names else ""
        self.box.setCurrentIndex(self.box.findData(self._chosen))

    def _on_activated(self, row: int) -> None:
        if self.box.itemText(row) != _MORE:
            self._chosen = str(self.box.itemData(row) or "")
            return
        dialog = HostsDialog(self)
        dialog.exec()
        if dialog.selected:
            self._chosen = dialog.selected
        dialog.deleteLater()
        self.offer()
