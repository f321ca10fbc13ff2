"""Help of `napari-landmark convert`, with the registered landmark formats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

if TYPE_CHECKING:
    from napari_landmark.data.formats.landmark_format import LandmarkFormat


class ConvertCommand(TyperCommand):
    """Command whose help lists formats.

    The registry is read when the help is shown: it loads code of other packages.
    """

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override] # click's own context by its public name
        """The help, with suffixes instead of their placeholders."""
        placeholders = _placeholders()
        for parameter in self.params:
            if isinstance(parameter, TyperArgument | TyperOption) and parameter.help:
                for placeholder, suffixes in placeholders.items():
                    parameter.help = parameter.help.replace(placeholder, suffixes)
        return super().get_help(ctx)


def _placeholders() -> dict[str, str]:
    """Text by placeholder; a placeholder that contains another one comes first."""
    from napari_landmark.data.formats.registry import landmark_formats

    known = landmark_formats()
    return {
        "WRITING_NEEDS_IMAGES": _listed(
            f for f in known if f.writing_needs_images and not f.reading_needs_images
        ),
        "NEEDS_IMAGES": _listed(f for f in known if f.reading_needs_images),
        "NAMELESS": _listed(f for f in known if not f.has_names),
        "WRITABLE": ", ".join(
            f"{f.suffix} ({f.program})" if f.program else f.suffix for f in known if f.write is not None
        ),
    }


def _listed(formats: Iterable[LandmarkFormat]) -> str:
    """Suffixes as in a sentence: '.a, .b and .c'."""
    suffixes = [known.suffix for known in formats]
    return " and ".join([", ".join(suffixes[:-1]), suffixes[-1]] if len(suffixes) > 1 else suffixes)
