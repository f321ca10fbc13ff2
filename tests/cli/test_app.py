"""The entry point: help, exit status, and one line for every error."""

from __future__ import annotations

import sys

import pytest

from napari_landmark.cli import app as cli
from napari_landmark.cli.app import main
from napari_landmark.data.errors import InputError


class TestMain:
    def test_help(self, capsys):
        assert main(["--help"]) == 0
        out = capsys.readouterr().out
        assert all(command in out for command in ("train", "detect", "evaluate", "demo", "info"))

    def test_info(self, capsys):
        assert main(["info"]) == 0
        assert "torch" in capsys.readouterr().out

    def test_without_a_command(self, capsys):
        assert main([]) == 2
        assert "train" in capsys.readouterr().out

    def test_an_unknown_command(self, refused):
        assert "nonsense" in refused("nonsense")

    def test_a_message_of_several_lines_becomes_one(self, refused, monkeypatch, data):
        def fail(*arguments):
            raise InputError("first\nsecond")

        monkeypatch.setattr("napari_landmark.cli.evaluate.read_landmarks", fail)
        assert refused("evaluate", data / "truth.csv", data / "truth.csv") == "napari-landmark: first second"

    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (
                RuntimeError("CUDA error:\nno kernel"),
                "unexpected error: RuntimeError: CUDA error: no kernel; NAPARI",
            ),
            (MemoryError(), "the memory of this machine is used up"),
            (
                RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
                "the memory of the graphics card is used up",
            ),
            (OSError(28, "No space left on device", "/out/a.csv"), "/out/a.csv: No space left on device"),
        ],
    )
    def test_an_unexpected_error_is_one_line(self, monkeypatch, capsys, error, line):
        def fail(**options):
            raise error

        monkeypatch.setattr(cli, "app", fail)
        monkeypatch.delenv("NAPARI_LANDMARK_DEBUG", raising=False)
        assert main(["info"]) == (2 if isinstance(error, OSError) else 1)
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"napari-landmark: {line}")
        monkeypatch.setenv("NAPARI_LANDMARK_DEBUG", "1")
        main(["info"])
        assert "Traceback (most recent call last)" in capsys.readouterr().err

    def test_an_interrupt_anywhere(self, monkeypatch, capsys):
        def interrupted(**options):
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "app", interrupted)
        assert main(["info"]) == 130
        assert "stopped" in capsys.readouterr().err

    def test_as_a_program_it_exits(self, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["napari-landmark", "evaluate", "none.csv", "none.csv"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
