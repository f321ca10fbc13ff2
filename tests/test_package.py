"""Import of the package, its public names, and its napari manifest."""

from __future__ import annotations

import re
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import entry_points, version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import napari_landmark

ROOT = Path(__file__).resolve().parents[1]


def test_import_loads_no_heavy_package():
    script = (
        "import sys, napari_landmark; napari_landmark.__version__; dir(napari_landmark); "
        "heavy = {'torch', 'qtpy', 'PyQt6', 'napari', 'SimpleITK', 'numpy'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_public_names_come_from_their_modules():
    from napari_landmark.data.geometry import Geometry
    from napari_landmark.data.images.image import read_image

    assert napari_landmark.Geometry is Geometry
    assert napari_landmark.read_image is read_image
    assert set(napari_landmark.__all__) <= set(dir(napari_landmark))
    assert all(getattr(napari_landmark, name) is not None for name in napari_landmark.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute nonsense"):
        _ = napari_landmark.nonsense


def test_version_is_that_of_the_installation():
    assert napari_landmark.__version__ == version("napari-landmark")


def test_napari_finds_the_manifest():
    (found,) = entry_points(group="napari.manifest", name="napari-landmark")
    assert found.value == "napari_landmark:napari.yaml"
    link, manifest = ROOT / "napari.yaml", ROOT / "napari_landmark" / "napari.yaml"
    # Where git cannot make links (Windows), a checkout has a file with the target as text.
    assert link.resolve() == manifest or link.read_text(encoding="utf-8") == "napari_landmark/napari.yaml"


def settings():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser["metadata"]


def test_citation_and_changelog_know_the_version():
    version_ = settings()["version"]
    assert f"\nversion: {version_}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version_}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_links_of_the_long_description_work_outside_of_the_repository():
    spec = spec_from_file_location("setup_script", ROOT / "setup.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    text = script.long_description()
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(targets) > 15
    assert all(target.startswith(("https://", "#")) for target in targets)
    source = re.search(r"Source = (\S+)", settings()["project_urls"])[1]
    own = [target.removeprefix(source) for target in targets if target.startswith(source)]
    for target in own:
        kind, revision, path = target.strip("/").split("/", 2)
        path = path.partition("#")[0]
        assert revision == f"v{settings()['version']}"
        assert (ROOT / path).exists()
        picture = path.endswith((".png", ".webp"))
        assert kind == ("raw" if picture else "tree" if (ROOT / path).is_dir() else "blob")


def test_addresses_of_the_project_stand_in_one_place():
    """Files that cannot read setup.cfg name no address, so that the owner fills in one place."""
    for name in (
        "README.md",
        "CITATION.cff",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "mkdocs.yml",
        "recipe/meta.yaml",
    ):
        assert "OWNER" not in (ROOT / name).read_text(encoding="utf-8"), name
