"""What a person chose in napari's Preferences for this plugin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.cache import default_cache_dir

DEVICES = ("auto", "cpu", "cuda", "mps")
WORKING_SIZES = (384, 512, 768, 1024)


@dataclass(frozen=True)
class Preferences:
    """Defaults of the widgets.

    Parameters
    ----------
    device : str
        Where to train and detect.
    working_size : int
        Longest side in pixels that images are drawn at for the models.
    cache : Path
        Folder for what is drawn once.
    """

    device: str = "auto"
    working_size: int = 768
    cache: Path = Path()

    @classmethod
    def read(cls) -> Preferences:
        """The preferences as they are now; the defaults where napari has no such page."""
        section = _section()
        cache = str(getattr(section, "cache_folder", "") or "")
        return cls(
            device=getattr(section, "device", "auto"),
            working_size=int(getattr(section, "working_resolution", 768)),
            cache=Path(cache).expanduser() if cache else default_cache_dir(),
        )


def _section() -> Any:
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings("napari-landmark").general
    except (ImportError, KeyError, AttributeError):  # napari before 0.9, or a plugin run from a script
        return None
