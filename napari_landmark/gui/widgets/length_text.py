"""Lengths in an image as text."""

from __future__ import annotations

from napari_landmark.data.geometry import Geometry


def length_text(pixels: float, geometry: Geometry) -> str:
    """Format a length given in pixels: in millimetres where the spacing is known, else in pixels."""
    if geometry.mean_spacing is None:
        return f"{pixels:.1f} px"
    return f"{pixels * geometry.mean_spacing:.1f} mm"
