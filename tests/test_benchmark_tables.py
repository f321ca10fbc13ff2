"""Tables of pages are those of the kept results, and say when they are stale."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STALE = "; **stale**"


@pytest.fixture
def script(monkeypatch):
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("render_tables", ROOT / "benchmarks" / "render_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_show_the_kept_results(script):
    known = script.results()
    assert len(known) >= 2
    shown = set()
    for page in {result["page"] for result in known.values()}:
        text = (ROOT / page).read_text(encoding="utf-8")
        shown |= set(re.findall(r"<!-- table (\w+) -->", text))
        # The mark of stale ones depends on the history, which an unpacked sdist lacks.
        for stale in (True, False):
            for name in re.findall(r"<!-- table (\w+) -->", text):
                table = script.render(known[name], stale=stale)
                assert table.split(STALE)[0].removesuffix("</sub>") in text, (
                    "python benchmarks/render_tables.py"
                )
    assert shown == set(known)


def test_a_changed_result_changes_the_page(script):
    known = script.results()
    (name, result), *_ = known.items()
    text = f"a\n<!-- table {name} -->\nold\n<!-- end -->\nb"
    fresh = script.filled(text, known, lambda result: False)
    assert result["rows"][0][-1] in fresh
    assert "old" not in fresh and STALE not in fresh
    assert STALE in script.filled(fresh, known, lambda result: True)
    assert script.filled(fresh, known, lambda result: False) == fresh


def test_stale_is_what_changed_since(script, tmp_path, monkeypatch):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init", "-q")
    for name in ("code", "text"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("1")
    git("add", "-A")
    git("commit", "-qm", "first")
    git("tag", "measured")
    (tmp_path / "text" / "a").write_text("2")
    git("commit", "-qam", "text")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert script.has_changed("measured", ["code"]) is False
    (tmp_path / "code" / "a").write_text("2")
    git("commit", "-qam", "code")
    assert script.has_changed("measured", ["code"]) is True
    assert script.has_changed("never", ["code"]) is None
