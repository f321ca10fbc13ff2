"""A person at the window is not told to type options."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import napari_landmark
from napari_landmark.gui.wording import in_dialog

ROOT = Path(napari_landmark.__file__).parent
ROOMS = ("data", "learning", "detection", "registration", "gui")


def texts():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.name == "wording.py":
                continue
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.Raise):
                    parts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                    text = "".join(part for part in parts if isinstance(part, str))
                    if " --" in text:
                        yield pytest.param(text, id=f"{path.name}:{node.lineno}")


@pytest.mark.parametrize("text", list(texts()))
def test_no_option_is_left(text):
    assert "--" not in in_dialog(text)
    assert "DIR" not in in_dialog(text)


def test_other_text_stays():
    assert in_dialog("a--b.png: is broken") == "a--b.png: is broken"
