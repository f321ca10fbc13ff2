"""Settings of the plugin in napari's Preferences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.cache_location import choose_cache_dir, default_cache_dir

DEVICES = ("auto", "cpu", "cuda", "mps")
WORKING_SIZES = {2: (384, 512, 768, 1024), 3: (64, 128, 192)}
"""Longest sides of the working grid on offer, by number of axes."""


@dataclass(frozen=True)
class Preferences:
    """Defaults of the widgets and jobs.

    Parameters
    ----------
    device : str
        Device of training and detection.
    working_size : int
        Longest side of the working grid in pixels; volumes get the same part of their default.
    cache : Path
        Folder for resampled images and sample data.
    """

    device: str = "auto"
    working_size: int = 768
    cache: Path = Path()

    @classmethod
    def read(cls) -> Preferences:
        """Read the current settings; the defaults where napari has no page for the plugin.

        The folder of the cache is remembered for the terminal, too.
        """
        section = _section()
        if section is not None:
            cache = str(getattr(section, "cache_folder", "") or "").strip()
            choose_cache_dir(Path(cache).expanduser().absolute() if cache else None)
        return cls(
            device=getattr(section, "device", "auto"),
            working_size=int(getattr(section, "working_resolution", 768)),
            cache=default_cache_dir(),
        )


def _section() -> Any:
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings("napari-landmark").general
    except (ImportError, KeyError, AttributeError):  # napari before 0.9, or a plugin run from a script
        return None
