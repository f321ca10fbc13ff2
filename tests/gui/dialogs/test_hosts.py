"""Other computers are described, tried and removed in a dialog, and chosen in a list."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QMessageBox

from napari_landmark.backend.hosts import Host, hosts_file, read_hosts, save_host
from napari_landmark.backend.ssh_machine import HostReport, SshMachine
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.gui.dialogs.hosts import HostsDialog
from napari_landmark.gui.widgets import compute_choice
from napari_landmark.gui.widgets.compute_choice import ComputeChoice


@pytest.fixture
def dialog(qtbot):
    made = HostsDialog()
    qtbot.addWidget(made)
    return made


def fill(dialog, **texts):
    for name, text in texts.items():
        getattr(dialog, name).setText(text)


def test_a_computer_is_kept_shown_and_forgotten(dialog, qtbot):
    fill(dialog, name="lab", address="me@lab", start="sbatch --parsable --wrap {line}")
    dialog.paths.setPlainText("/data/my xrays = /mnt/my xrays\n\n/b=/c")
    dialog.save.click()
    host = read_hosts()["lab"]
    assert host == Host(
        name="lab",
        address="me@lab",
        start="sbatch --parsable --wrap {line}",
        paths={"/data/my xrays": "/mnt/my xrays", "/b": "/c"},
    )
    assert dialog.selected == "lab"
    again = HostsDialog()
    qtbot.addWidget(again)
    assert again.host() == host
    again.name.setText("laboratory")
    again.save.click()
    assert list(read_hosts()) == ["laboratory"]  # renamed, not copied
    again.remove.click()
    assert read_hosts() == {}
    assert not again.remove.isEnabled()


@pytest.mark.parametrize(
    ("texts", "paths", "message"),
    [
        ({"name": "lab", "address": "-oProxyCommand=x"}, "", "the address"),
        ({"name": "", "address": "lab"}, "", "give a name"),
        ({"name": "lab", "address": "lab"}, "/data/xrays", "write HERE = THERE"),
        ({"name": "lab", "address": "lab", "folder": "jobs"}, "", "must begin with / or ~/"),
    ],
)
def test_what_cannot_be_used_is_told_and_not_kept(dialog, texts, paths, message):
    fill(dialog, **texts)
    dialog.paths.setPlainText(paths)
    dialog.save.click()
    assert message in dialog.answer.text()
    assert read_hosts() == {}


def test_the_answer_of_a_computer(dialog, qtbot, monkeypatch):
    report = HostReport("0.3", "cuda:0 <NVIDIA>", 80_000_000_000, 60_000_000_000, "/jobs", 5_000_000_000)
    monkeypatch.setattr(SshMachine, "test", lambda self: report)
    fill(dialog, name="lab", address="lab")
    dialog.test.click()
    assert not dialog.test.isEnabled()
    qtbot.waitUntil(dialog.test.isEnabled, timeout=10_000)
    for text in ("napari-landmark 0.3", "cuda:0 &lt;NVIDIA&gt;", "60.0 of 80.0 GB free", "5.0 GB free"):
        assert text in dialog.answer.text()

    def refuse(self):
        raise InputError(
            "lab: speaks protocol 9 of jobs, this napari-landmark 1", code=ErrorCode.OTHER_PROTOCOL
        )

    monkeypatch.setattr(SshMachine, "test", refuse)
    dialog.test.click()
    qtbot.waitUntil(dialog.test.isEnabled, timeout=10_000)
    assert "speaks protocol 9" in dialog.answer.text()
    assert "install the same version" in dialog.answer.text()


class TestChoice:
    @pytest.fixture
    def choice(self, session, qtbot):
        save_host(Host(name="lab", address="lab"))
        made = ComputeChoice(session)
        qtbot.addWidget(made)
        return made

    def test_this_computer_is_the_default(self, choice):
        assert choice.host == ""
        assert choice.box.currentText() == "this computer"
        choice.box.setCurrentText("lab")
        choice.box.activated.emit(choice.box.currentIndex())
        assert choice.host == "lab"

    def test_much_is_sent_only_when_the_user_agrees(self, choice, cohort, monkeypatch):
        asked, answers = [], [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Yes]

        def question(parent, title, text, buttons):
            asked.append(text)
            return answers.pop(0)

        monkeypatch.setattr(QMessageBox, "question", question)
        assert choice.confirms(cohort)
        assert asked == []
        monkeypatch.setattr(compute_choice, "bytes_to_send", lambda cohort: 3_200_000_000)
        assert not choice.confirms(cohort)
        assert choice.confirms(cohort)
        assert "About 3.2 GB" in asked[0]

    def test_a_damaged_file_of_computers_is_told(self, session, messages, qtbot):
        hosts_file().parent.mkdir(parents=True, exist_ok=True)
        hosts_file().write_text("{")
        made = ComputeChoice(session)
        qtbot.addWidget(made)
        assert made.host == ""
        assert messages[0][0] == "error"


def test_a_list_that_could_not_be_filled_still_answers_to_choices(dialog, monkeypatch, qtbot):
    for name in ("lab", "ward"):
        save_host(Host(name=name, address=name))

    def broken(texts):
        raise RuntimeError("no memory for the list")

    with monkeypatch.context() as patch:
        patch.setattr(dialog.names, "addItems", broken)
        with pytest.raises(RuntimeError, match="no memory"):
            dialog._read()
    dialog.names.addItems(["lab", "ward"])
    with qtbot.waitSignal(dialog.names.currentRowChanged, timeout=1000):
        dialog.names.setCurrentRow(1)
