"""Import of the package, its public names, and its napari manifest."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version
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
    assert (ROOT / "napari.yaml").resolve() == ROOT / "napari_landmark" / "napari.yaml"
