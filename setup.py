"""Metadata are in setup.cfg; this adds the long description, with links that work outside of the repository."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def absolute_links(text: str, source: str, revision: str) -> str:
    """Markdown whose relative links lead to the files of a revision of the repository."""

    def replaced(match: re.Match[str]) -> str:
        start, target, end = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match.group()
        path = ROOT / target.partition("#")[0]
        kind = "raw" if path.suffix in (".png", ".webp") else "tree" if path.is_dir() else "blob"
        return f"{start}{source}/{kind}/{revision}/{target}{end}"

    return re.sub(r"(\]\()([^)\s]+)(\))", replaced, text)


def long_description() -> str:
    """README as package indexes and the napari hub show it."""
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    metadata = settings["metadata"]
    links = dict(re.findall(r"^\s*([\w ]+?) = (\S+)$", metadata["project_urls"], re.MULTILINE))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return absolute_links(text, links["Source"], f"v{metadata['version']}")


if __name__ == "__main__":
    setup(long_description=long_description(), long_description_content_type="text/markdown")
