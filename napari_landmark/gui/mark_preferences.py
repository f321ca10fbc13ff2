"""Marks, names and loupe as the user wants them, kept in napari's Preferences."""

from __future__ import annotations

from typing import Any

from napari_landmark.gui.session.mark_options import MAGNIFICATIONS, MarkOptions, MarkShape, NameMode


def read_marks(options: MarkOptions) -> None:
    """Take over what is kept; nothing changes where napari has no page for the plugin."""
    section = _section()
    if section is None:
        return
    shape, names = str(getattr(section, "mark_shape", "")), str(getattr(section, "mark_names", ""))
    magnification = getattr(section, "magnification", None)
    options.set(
        shape=MarkShape(shape) if shape in set(MarkShape) else None,
        names=NameMode(names) if names in set(NameMode) else None,
        magnification=magnification if magnification in MAGNIFICATIONS else None,
    )


def keep_marks(options: MarkOptions) -> None:
    """Keep the options for the next viewer."""
    section = _section()
    if section is None:
        return
    values = {
        "mark_shape": str(options.shape),
        "mark_names": str(options.names),
        "magnification": options.magnification,
    }
    for name, value in values.items():
        if getattr(section, name, None) not in (None, value):
            setattr(section, name, value)


def _section() -> Any:
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings("napari-landmark").general
    except (ImportError, KeyError, AttributeError):  # napari before 0.9, or a plugin run from a script
        return None
