"""Other computers that train and detect: described, tried, removed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from html import escape

from qtpy.QtCore import QSignalBlocker, QTimer
from qtpy.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.backend.hosts import (
    DEFAULT_COMMAND,
    DEFAULT_FOLDER,
    Host,
    read_hosts,
    remove_host,
    save_host,
)
from napari_landmark.backend.ssh_machine import HostReport, SshMachine
from napari_landmark.data.errors import InputError
from napari_landmark.gui.controls import button, note, problem_text
from napari_landmark.gui.wording import word

_MILLISECONDS_BETWEEN_LOOKS = 100
_NEW = "New computer"
_ABOUT = (
    "Computers that the system's <b>ssh</b> reaches with a key, without a password. napari-landmark must be installed "
    "there; nothing listens, and no password is kept."
)


class HostsDialog(QDialog):
    """List of hosts with a form for the selected one.

    Attributes
    ----------
    selected : str
        Name of the host that was saved or selected last; empty without one.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Other computers")
        self.selected = ""
        self._hosts: dict[str, Host] = {}
        self._testing: Future[HostReport] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="landmark host")
        self.names = QListWidget()
        self.names.setAccessibleName("Computers")
        self.names.setMaximumWidth(150)
        self.names.currentTextChanged.connect(self._show)
        self.name, self.address = QLineEdit(), QLineEdit()
        self.address.setPlaceholderText("user@workstation, or a name in ~/.ssh/config")
        self.command, self.folder = QLineEdit(), QLineEdit()
        self.start, self.stop = QLineEdit(), QLineEdit()
        self.start.setPlaceholderText("empty: at once; or sbatch --parsable --gres=gpu:1 --wrap {line}")
        self.stop.setPlaceholderText("scancel {id}")
        self.paths = QPlainTextEdit()
        self.paths.setFixedHeight(52)
        self.paths.setPlaceholderText("/data/xrays = /mnt/xrays")
        self.command.setToolTip("What starts napari-landmark there")
        self.folder.setToolTip("Folder there for what is sent; private, and empty once a result was fetched")
        self.start.setToolTip(
            "Command of a queue that starts the worker; {line} becomes the worker's command as one word for a shell"
        )
        self.stop.setToolTip("Command that takes a job out of the queue; {id} is what the queue answered")
        self.paths.setToolTip(
            "Folders that both computers have, one a line: HERE = THERE. Images in them are not sent"
        )
        self.save = button("Save", self._on_save, tip="Keep this description")
        self.test = button(
            "Test connection", self._on_test, tip="Version, device, free memory and disk of the computer"
        )
        self.remove = button("Remove", self._on_remove, tip="Forget this computer; nothing is removed there")
        self.answer = note()
        self._timer = QTimer(self)
        self._timer.setInterval(_MILLISECONDS_BETWEEN_LOOKS)
        self._timer.timeout.connect(self._look)
        self._lay_out()
        self._read()
        self.finished.connect(self._on_finished)

    def host(self) -> Host:
        """The host that the form describes; InputError where it cannot be one."""
        return Host(
            name=self.name.text().strip(),
            address=self.address.text().strip(),
            command=self.command.text().strip() or DEFAULT_COMMAND,
            folder=self.folder.text().strip() or DEFAULT_FOLDER,
            start=self.start.text().strip(),
            stop=self.stop.text().strip(),
            paths=_paths(self.paths.toPlainText()),
            ssh_config=self._hosts[self.selected].ssh_config if self.selected in self._hosts else "",
        )

    def _lay_out(self) -> None:
        form = QFormLayout()
        for label, widget in (
            ("Name", self.name),
            ("Address", self.address),
            ("Command", self.command),
            ("Folder", self.folder),
            ("Queue: start", self.start),
            ("Queue: stop", self.stop),
            ("Same folders", self.paths),
        ):
            form.addRow(label, widget)
        buttons = QHBoxLayout()
        for made in (self.test, self.save, self.remove):
            buttons.addWidget(made)
        right = QVBoxLayout()
        right.addLayout(form)
        right.addLayout(buttons)
        right.addWidget(self.answer)
        right.addStretch(1)
        row = QHBoxLayout()
        row.addWidget(self.names)
        row.addLayout(right, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(note(_ABOUT))
        layout.addLayout(row)
        layout.addWidget(button("Close", self.accept))
        self.setMinimumWidth(640)

    def _read(self, select: str = "") -> None:
        try:
            self._hosts = read_hosts()
        except InputError as error:
            self._tell(error)
            self._hosts = {}
        with QSignalBlocker(self.names):
            self.names.clear()
            self.names.addItems([*self._hosts, _NEW])
        row = list(self._hosts).index(select) if select in self._hosts else 0
        self.names.setCurrentRow(row)
        self._show(self._current())

    def _current(self) -> str:
        item = self.names.currentItem()
        return "" if item is None else item.text()

    def _show(self, name: str) -> None:
        host = self._hosts.get(name)
        self.selected = "" if host is None else name
        self.name.setText("" if host is None else host.name)
        self.address.setText("" if host is None else host.address)
        self.command.setText(DEFAULT_COMMAND if host is None else host.command)
        self.folder.setText(DEFAULT_FOLDER if host is None else host.folder)
        self.start.setText("" if host is None else host.start)
        self.stop.setText("" if host is None else host.stop)
        pairs = {} if host is None else host.paths
        self.paths.setPlainText("\n".join(f"{here} = {there}" for here, there in pairs.items()))
        self.remove.setEnabled(host is not None)
        self.answer.setText("")

    def _tell(self, error: InputError) -> None:
        self.answer.setText(problem_text(word(error)))

    def _on_save(self) -> None:
        try:
            host, before = self.host(), self.selected
            save_host(host)
            if before and before != host.name:
                remove_host(before)
        except InputError as error:
            self._tell(error)
            return
        self._read(select=host.name)
        self.answer.setText(f"<b>{escape(host.name)}</b> is kept.")

    def _on_remove(self) -> None:
        try:
            remove_host(self.selected)
        except InputError as error:
            self._tell(error)
            return
        self._read()

    def _on_test(self) -> None:
        try:
            machine = SshMachine(self.host())
        except InputError as error:
            self._tell(error)
            return
        self.answer.setText("Connecting…")
        self.test.setEnabled(False)
        self._testing = self._threads.submit(machine.test)
        self._timer.start()

    def _look(self) -> None:
        if self._testing is None or not self._testing.done():
            return
        tested, self._testing = self._testing, None
        self._timer.stop()
        self.test.setEnabled(True)
        error = tested.exception()
        if error is None:
            self.answer.setText(_report_text(tested.result()))
        elif isinstance(error, InputError):
            self._tell(error)
        else:
            self.answer.setText(problem_text(f"{type(error).__name__}: {error}"))

    def _on_finished(self, _: int) -> None:
        self._timer.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _paths(text: str) -> dict[str, str]:
    """Folders here to those there, from lines HERE = THERE."""
    pairs = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        here, separator, there = line.partition("=")
        if not separator or not here.strip() or not there.strip():
            raise InputError(f"Same folders: {line!r:.80} is no pair: write HERE = THERE, one pair a line")
        pairs[here.strip()] = there.strip()
    return pairs


def _report_text(report: HostReport) -> str:
    memory = ""
    if report.device_memory:
        free, whole = report.device_free / 1e9, report.device_memory / 1e9
        memory = f", {free:.1f} of {whole:.1f} GB free"
    return (
        f"✓ napari-landmark {escape(report.version)}<br>Device: {escape(report.device)}{memory}<br>"
        f"Folder: {escape(report.folder)}, {report.disk_free / 1e9:.1f} GB free"
    )
