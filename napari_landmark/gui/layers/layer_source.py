"""The file that a layer of the viewer was read from."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Layer

METADATA = "napari_landmark"
"""Key of a layer's metadata under which sample data and readers keep the file and the image of a layer."""


def source_file(layer: Layer) -> str:
    """Absolute path of the file of a layer; empty where it was not read from a file."""
    path = layer.metadata.get(METADATA, {}).get("file") or layer.source.path
    return str(Path(path).resolve()) if path else ""
