"""`napari-landmark info`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from napari_landmark.data.cohort.cache_location import default_cache_dir

_PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "SimpleITK", "napari")


def run_info() -> None:
    """Print versions, device, cores and cache, a line each."""
    for key, value in info_lines():
        typer.echo(f"{key:<18}{value}")


def info_lines() -> list[tuple[str, str]]:
    """Facts for a bug report, as pairs of name and value."""
    from napari_landmark.learning.device import choose_device
    from napari_landmark.learning.threads import available_cores

    lines = [("napari-landmark", _version("napari-landmark")), ("python", platform.python_version())]
    lines += [(name, _version(name)) for name in _PACKAGES]
    device = choose_device("auto")
    precision = str(device.autocast_dtype or "float32").removeprefix("torch.")
    lines += [
        ("system", platform.platform()),
        ("device", f"{device}, {precision}"),
        ("cores", str(available_cores())),
        ("cache", str(default_cache_dir())),
    ]
    return lines


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
