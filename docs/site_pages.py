"""Pages of the site that are made from the program, and links that lead out of the folder of the pages.

A hook of MkDocs: https://www.mkdocs.org/user-guide/configuration/#hooks. Without the site, the pages are read in the
repository; hence their links are those of the repository, and are translated here.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

import mmdr
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
TAKEN_OVER = {
    "benchmarks/RESULTS.md": "results.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Pages of the repository that are pages of the site, too."""
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def project_urls() -> dict[str, str]:
    """Addresses of the project, from their one place."""
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    return dict(re.findall(r"^\s*([\w ]+?) = (\S+)$", settings["metadata"]["project_urls"], re.MULTILINE))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the addresses."""
    urls = project_urls()
    config.site_url, config.repo_url = urls["Documentation"] + "/", urls["Source"]
    config.repo_name, config.edit_uri = "Source", ""
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {
        **{page: (ROOT / source).read_text(encoding="utf-8") for source, page in TAKEN_OVER.items()},
        "command-line.md": command_line(),
        "python.md": python_names(),
        "schemas.md": schemas(),
        "examples.md": examples(),
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    for path in (ROOT / "napari_landmark" / "data" / "schemas").glob("*.json"):
        files.append(File.generated(config, f"schemas/{path.name}", content=path.read_text(encoding="utf-8")))
    for page in list(files.documentation_pages()):
        for number, source in enumerate(_DIAGRAM.findall(page.content_string), 1):
            name = _diagram_name(page.src_uri, number)
            files.append(File.generated(config, name, content=mmdr.render(source).svg()))
    return files


def _diagram_name(page: str, number: int) -> str:
    return f"diagrams/{page.removesuffix('.md')}-{number}.svg"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show drawn diagrams; lead links to the pages taken over, or to the files of the repository."""
    name, numbers = page.file.src_uri, itertools.count(1)
    markdown = _DIAGRAM.sub(
        lambda _: f"![Diagram]({_diagram_name(name, next(numbers))}){{ .diagram }}", markdown
    )
    source = next((path for path, taken in TAKEN_OVER.items() if taken == name), f"docs/{name}")
    folder = PurePosixPath(source).parent

    def replaced(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = normpath(str(folder / target))
        anchor = f"#{anchor}" if anchor else ""
        if path in TAKEN_OVER:
            return f"{match[1]}{TAKEN_OVER[path]}{anchor}{match[3]}"
        if path.startswith("docs/"):
            return f"{match[1]}{path.removeprefix('docs/')}{anchor}{match[3]}"
        if path == "README.md":
            return f"{match[1]}index.md{anchor if anchor == '#how-good-is-it' else ''}{match[3]}"
        if not (ROOT / path).exists():
            return match[0]  # a page that is made; the builder says whether there is one
        kind = "blob" if (ROOT / path).is_file() else "tree"
        return f"{match[1]}{config.repo_url}/{kind}/main/{path}{anchor}{match[3]}"

    return re.sub(r"(\]\()([^)\s]+)(\))", replaced, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Keep the theme from asking the repository's host for its numbers: reading the pages tells nobody."""
    return output.replace(' data-md-component="source"', "")


def command_line() -> str:
    """Reference of all commands, from the program."""
    import typer.main

    from napari_landmark.cli.app import app

    parts = [
        "# Command line",
        "Made from the program: the same as `--help` of each command.",
        "Exit status: 0 done, 2 a mistake that one line names, 130 stopped (the same command goes on where it can), "
        "1 a fault of the program. `NAPARI_LANDMARK_DEBUG=1` shows where; `NAPARI_LANDMARK_CACHE` is the folder of the "
        "caches.",
    ]
    for path in _commands(typer.main.get_command(app), ()):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            app(args=[*path, "--help"], prog_name="napari-landmark", standalone_mode=False)
        parts += [f"## {' '.join(path)}", f"```text\n{text.getvalue().strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Words of every command that is not hidden."""
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _commands(child, (*path, name)) if hasattr(child, "commands") else [(*path, name)]


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def python_names() -> str:
    """Reference of the public names, and of what other packages implement."""
    stub = (ROOT / "napari_landmark" / "__init__.pyi").read_text(encoding="utf-8")
    names = re.findall(r"^from \.([\w.]+) import (\w+) as \w+$", stub, re.MULTILINE)
    parts = [
        "# Python",
        "The public names of `import napari_landmark`, each loaded when it is first used: they stay until a release "
        "says otherwise. Positions are in array axis order (row, column; slice, row, column), in pixels; the centre of "
        "the first pixel is 0.",
        *(f"::: napari_landmark.{module}.{name}" for module, name in names),
        "## For other packages",
        "What a package implements and announces by an [entry point](architecture.md#recipes).",
        "::: napari_landmark.data.formats.landmark_format.LandmarkFormat",
        "::: napari_landmark.detection.embedding.feature_extractor.FeatureExtractor",
        "## Files",
        "::: napari_landmark.data.formats.registry.read_landmarks",
        "::: napari_landmark.data.formats.registry.write_landmarks",
        "::: napari_landmark.data.schemas.file_schema.file_schema",
        "::: napari_landmark.learning.model_archive.write_archive",
        "::: napari_landmark.detection.model.exchange.import_model",
    ]
    return "\n\n".join(parts) + "\n"


def schemas() -> str:
    """Published schemas, with their entries."""
    from napari_landmark.data.schemas.file_schema import SCHEMA_NAMES, file_schema

    parts = [
        "# Schemas of files",
        "What other programs may rely on. A schema has a version; a file of an older version is read by every later "
        "program, and tests open studies as released versions wrote them. The schemas come with the package "
        '(`napari_landmark.data.schemas.file_schema.file_schema("study")`).',
    ]
    for name in SCHEMA_NAMES:
        schema = file_schema(name)
        parts += [
            f"## {schema['title']}",
            schema["description"],
            f"[{name}.schema.json](schemas/{name}.schema.json), `{schema['$id']}`",
        ]
        needed = schema.get("required", [])
        fields = schema.get("fields") or [
            {"name": key, **value} for key, value in schema["properties"].items()
        ]
        rows = [
            f"| `{one['name']}` | {_cell(_kind(one))} | {'yes' if _needed(one, needed) else ''} | "
            f"{_cell(one.get('description', ''))} |"
            for one in fields
        ]
        parts.append("| entry | kind | needed | |\n|---|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _needed(entry: dict[str, Any], needed: list[str]) -> bool:
    return entry["name"] in needed or bool(entry.get("constraints", {}).get("required"))


def _kind(entry: dict[str, Any]) -> str:
    allowed = entry.get("enum") or entry.get("constraints", {}).get("enum")
    if allowed:
        return ", ".join(json.dumps(one) for one in allowed)
    if "const" in entry:
        return json.dumps(entry["const"])
    if "oneOf" in entry:
        return " or ".join(_kind(one) for one in entry["oneOf"])
    kind = entry.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def examples() -> str:
    """Scripts of the folder of examples, each with its own first lines."""
    parts = [
        "# Examples",
        "Each runs as it is, in less than a minute, on images that it draws itself; the tests run them.",
    ]
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        title = text.split('"""')[1].strip().splitlines()[0].rstrip(".")
        parts += [f"## {title}", f"`examples/{path.name}`", f"```python\n{text}```"]
    return "\n\n".join(parts) + "\n"
