"""Links, module paths and dotted names in the Markdown pages are true."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "benchmarks" / "RESULTS.md",
    ROOT / "sample_data" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: f"{path.parent.name}/{path.name}")


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub forms them."""
    titles = re.findall(r"^#+ +(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "")).lower().replace(" ", "-") for title in titles}


@each_page
def test_links(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@each_page
def test_paths_of_modules(page):
    """Paths of modules and folders are relative to the repository, the package or the page."""
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:[\w.]+/)*\w+\.py|(?:\w+/)+)`", text):
        folders = (ROOT, ROOT / "napari_landmark", page.parent)
        assert any((folder / path).exists() for folder in folders), f"{path}: there is no such file"


@each_page
def test_dotted_names(page):
    groups = {f"napari_landmark.{group}" for group in ("formats", "feature_extractors")}  # of entry points
    for name in set(re.findall(r"\bnapari_landmark(?:\.\w+)+", page.read_text(encoding="utf-8"))) - groups:
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), f"{name}: there is no such name"


def test_scripts_of_benchmarks():
    """Commands of RESULTS.md name scripts that exist."""
    scripts = set(
        re.findall(
            r"`python (benchmarks/\w+\.py)", (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
        )
    )
    assert len(scripts) > 5
    assert all((ROOT / script).exists() for script in scripts)
