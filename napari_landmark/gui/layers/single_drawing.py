"""Several changes of a layer that are drawn once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from napari.layers import Layer, Points
from napari.layers.base import ActionType


@contextlib.contextmanager
def drawn_once(layer: Layer) -> Iterator[None]:
    """Change attributes of a layer, which is drawn at the end; may be nested."""
    with _undrawn(layer):
        yield
    layer.refresh()


@contextlib.contextmanager
def points_drawn_once(layer: Points, *, tell: bool = True) -> Iterator[None]:
    """Change attributes of a points layer, which is drawn at the end; may be nested.

    Each assignment to an attribute of a points layer draws it again, with its texts, and one to its data computes the
    sliders of the viewer twice: some 20 ms for a handful of attributes, in which the viewer does not answer.

    Parameters
    ----------
    layer : Points
    tell : bool, optional
        Whether listeners of the layer's data (the viewer, scripts, other plugins) are told at the end where it was
        changed. A layer whose points are within the extent of others may do without.
    """
    data, size = layer.data, layer.size
    with contextlib.ExitStack() as held:
        held.enter_context(_undrawn(layer))
        held.enter_context(layer.events.blocker_all())
        held.enter_context(layer.text.events.blocker_all())
        for name in ("_face", "_border"):
            if (colors := getattr(layer, name, None)) is not None:  # private
                # Not those of the limits and the colormap, which the colour bar needs.
                held.enter_context(colors.events.colors.blocker())
                held.enter_context(colors.events.color_properties.blocker())
        yield
    moved = layer.data is not data
    layer.refresh(extent=moved or layer.size is not size, thumbnail=moved and tell)
    if tell and moved:
        count = len(layer.data)
        layer.events.data(
            value=layer.data,
            action=ActionType.CHANGED,
            data_indices=tuple(range(count)),
            vertex_indices=((),),
        )
        layer.events.features()


def _undrawn(layer: Layer) -> contextlib.AbstractContextManager[None]:
    """Do not draw a layer meanwhile, for which napari has private means only; without those it is drawn more often."""
    block = getattr(layer, "_block_refresh", None)
    return contextlib.nullcontext() if block is None else block()
