"""Remedies of the front ends: every code has one in each, and messages of the package have none of either."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import napari_landmark
from napari_landmark.cli import wording as terminal
from napari_landmark.data.errors import ErrorCode, InputError, UnknownSpacingError
from napari_landmark.gui import wording as viewer

ROOT = Path(napari_landmark.__file__).parent
FRONT_ENDS = ("cli", "gui")
# A terminal option, a command, or the name of a button.
TABOO = re.compile(
    r"(?<![\w-])--[a-z{]|napari-landmark (train|detect|convert|suggest|register)\b|…|\b[Pp]ress [A-Z]"
)


def raised_texts():
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] in FRONT_ENDS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                parts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                text = "".join(part for part in parts if isinstance(part, str))
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_messages_name_no_option_and_no_button():
    texts = list(raised_texts())
    assert len(texts) > 100
    assert [where for where, text in texts if TABOO.search(text)] == []


@pytest.mark.parametrize("text", ["give --images DIR", "--{name}", "press Train", "Import… it"])
def test_the_search_finds_them(text):
    assert TABOO.search(text)
    assert not TABOO.search("a--b.png: is broken")


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("front_end", [terminal, viewer], ids=FRONT_ENDS)
def test_every_code_has_a_remedy(front_end, code):
    text = front_end.word(InputError("a.tps: is broken", code=code, option="limit_minutes"))
    assert text.startswith("a.tps: is broken; ")
    assert "{" not in text


def test_each_front_end_uses_its_own_terms():
    error = InputError("study: cannot be resumed", code=ErrorCode.NOTHING_TO_RESUME)
    assert terminal.word(error) == "study: cannot be resumed; leave out --resume"
    assert viewer.word(error) == "study: cannot be resumed; press Train"
    option = InputError("limit minutes 0: too few", code=ErrorCode.INVALID_OPTION, option="limit_minutes")
    assert terminal.word(option).endswith("change --limit-minutes")
    assert viewer.word(option).endswith("change the limit minutes")


@pytest.mark.parametrize("front_end", [terminal, viewer], ids=FRONT_ENDS)
def test_a_message_without_a_code_stays(front_end):
    assert front_end.word(InputError("a--b.png: is broken")) == "a--b.png: is broken"


def test_a_prefix_keeps_the_code():
    error = UnknownSpacingError("the spacing is unknown").prefixed("a.tps, line 3")
    assert isinstance(error, UnknownSpacingError)
    assert str(error) == "a.tps, line 3: the spacing is unknown"
    assert "--spacing MM" in terminal.word(error)
