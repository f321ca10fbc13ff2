"""Imports run one way, and nothing is ever unpickled; read from the source, not by importing it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "napari_landmark"
# What the modules of each room may import from the others.
ALLOWED = {
    "data": set(),
    "metrics": {"data"},
    "learning": {"data"},
    "oneshot": {"data", "learning", "metrics"},
    "registration": {"data", "learning", "metrics"},
    "commands": {"data", "learning", "metrics", "oneshot", "registration", ""},
    "cli": {"data", "learning", "metrics", "oneshot", "registration", "commands", ""},
    "gui": {"data", "learning", "metrics", "oneshot", "registration", ""},
}
GUI_LIBRARIES = {
    "napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt", "vispy", "pyqtgraph",
    "psygnal", "app_model",
}  # fmt: skip
DEEP_LEARNING = {"torch", "torchvision", "monai", "lightning", "lightning_fabric", "safetensors"}
PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    """'data' of data/image.py, 'cli' of cli.py, '' of __init__.py."""
    first = module.parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def tree_of(module: Path) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


def imports_of(module: Path) -> set[str]:
    """Dotted names of everything imported, at the top or inside functions, not for type checking alone."""
    tree = tree_of(module)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_of(names: set[str]) -> set[str]:
    inside = {name for name in names if name.split(".")[0] == "napari_landmark"}
    return {name.split(".")[1] if name.count(".") else "" for name in inside}


def ids(module: Path) -> str:
    return module.as_posix()


def test_the_modules_are_found():
    assert {room_of(module) for module in MODULES} >= {"data", "learning", "oneshot", "commands", "cli"}


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m)], ids=ids)
class TestEveryModule:
    def test_imports_run_one_way(self, module):
        room = room_of(module)
        assert room in ALLOWED, f"{module}: say in {Path(__file__).name} what it may import"
        rooms = {"" if name == "__version__" else name for name in rooms_of(imports_of(module))} - {room}
        # The version is the package's own and may be asked for anywhere.
        assert rooms - {""} <= ALLOWED[room]

    def test_only_the_gui_knows_napari_and_qt(self, module):
        if room_of(module) != "gui":
            assert not {name.split(".")[0] for name in imports_of(module)} & GUI_LIBRARIES

    def test_data_knows_no_deep_learning(self, module):
        if room_of(module) in ("data", "metrics"):
            assert not {name.split(".")[0] for name in imports_of(module)} & DEEP_LEARNING

    def test_nothing_is_unpickled(self, module):
        assert not {name.split(".")[0] for name in imports_of(module)} & PICKLING
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                called = f"{node.value.id}.{node.attr}"
                assert called not in ("torch.load", "torch.save", "pd.read_pickle", "pandas.read_pickle")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant)
                assert node.value.value is False

    def test_it_says_what_it_is_for(self, module):
        assert ast.get_docstring(tree_of(module))


def test_a_wrong_import_would_be_seen(tmp_path):
    lines = ["import napari_landmark.oneshot.model", "from napari_landmark.learning import run"]
    path = tmp_path / "x.py"
    path.write_text("\n".join([*lines, "def f():", "    import torch"]))
    found = imports_of(path)
    assert rooms_of(found) == {"oneshot", "learning"}
    assert "torch" in found
