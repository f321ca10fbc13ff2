"""Several changes of a layer that are drawn once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from napari.components import ViewerModel
from napari.layers import Layer, Points
from napari.layers.base import ActionType

from napari_landmark.gui.layers.napari_internals import color_managers, slider_setter, undrawn


@contextlib.contextmanager
def drawn_once(layer: Layer) -> Iterator[None]:
    """Change attributes of a layer, which is drawn at the end; may be nested."""
    with undrawn(layer):
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
        held.enter_context(undrawn(layer))
        held.enter_context(layer.events.blocker_all())
        held.enter_context(layer.text.events.blocker_all())
        for colors in color_managers(layer):
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


@contextlib.contextmanager
def sliders_kept(viewer: ViewerModel, *layers: Layer) -> Iterator[None]:
    """Change the data of layers; the viewer's sliders are set at the end, once, where the extent is another.

    napari sets them at every change of data, mostly to what they are: several milliseconds each. Other listeners of
    the data are told as usual.

    Parameters
    ----------
    viewer : ViewerModel
    *layers : Layer
        Layers of the viewer.
    """
    set_sliders = slider_setter(viewer)
    if set_sliders is None:
        yield
        return
    # Disconnected, as a blocked callback stays a key of the emitter and would keep the viewer alive.
    for layer in layers:
        layer.events.data.disconnect(set_sliders)
    try:
        yield
    finally:
        for layer in viewer.layers:
            if layer in layers:
                layer.events.data.connect(set_sliders, position="first")
    extent = viewer.layers.extent
    if viewer.dims.range != tuple(zip(*extent.world, extent.step, strict=True)):
        set_sliders()
