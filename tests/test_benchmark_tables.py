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


def test_every_figure_is_kept(script):
    for page in script.PAGES:
        found = list(script.written_by_hand((ROOT / page).read_text(encoding="utf-8")))
        assert not found, f"{page}, line {found[0][0] + 1}: python benchmarks/render_tables.py --adopt"


@pytest.fixture
def git(tmp_path):
    """Calls git in an empty repository."""

    def call(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout

    call("init", "-q")
    return call


def test_a_table_written_by_hand_is_kept(script, tmp_path, monkeypatch, git):
    page = tmp_path / "RESULTS.md"
    first = "# Figures\n\n## Hands\n\n`python benchmarks/hands.py --minutes 3`: pixels.\n\n"
    kept, words = "| | MRE |\n|---|---|\n| ours | **0.5** |\n", "| key | does |\n|---|---|\n| E | edges |\n"
    page.write_text(f"{first}{kept}\nText.\n\n### Other seeds\n\n{kept.replace('0.5', '0.7')}\n{words}")
    git("add", "-A")
    git("commit", "-qm", "first")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    known = {"other_seeds": {}}
    text = script.adopt("RESULTS.md", known)
    assert list(known) == ["other_seeds", "hands", "other_seeds_2"]
    result = known["hands"]
    assert (result["columns"], result["rows"]) == (["", "MRE"], [["ours", "**0.5**"]])
    assert result["command"] == known["other_seeds_2"]["command"] == "python benchmarks/hands.py --minutes 3"
    assert result["commit"] == git("rev-parse", "HEAD")[:7]
    assert words in text and "**0.5**" not in text
    assert list(script.written_by_hand(text)) == []
    page.write_text(script.filled(text, known, lambda result: False))
    assert kept.replace("---", " --- ") in page.read_text()


def test_stale_is_what_changed_since(script, tmp_path, monkeypatch, git):
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
