"""Figure for the visual check of a registration: checkerboards, warped grid, change of size."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_landmark.data.images.display import checkerboard, scale_to_unit
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.transform.transform import Transform

_SIDE = 480  # most pixels drawn along an axis
_LINES = 16


def qc_figure_png(fixed: MedicalImage, moving: MedicalImage, before: Transform, after: Transform) -> bytes:
    """Draw four panels as PNG: checkerboards before and after, the grid of the moving image, and the Jacobian.

    A volume is drawn in its middle slice along the first axis.

    Parameters
    ----------
    fixed, moving : MedicalImage
    before, after : Transform
        Both from `fixed` to `moving`.
    """
    points, shape = _slice_points(fixed)
    shown = scale_to_unit(_at(fixed.array, points).reshape(shape))
    height = 3.6 * min(2.5, max(0.4, _aspect(fixed) * shape[0] / shape[1]))
    figure = Figure(figsize=(14.4, height + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 4)
    for axes, transform, title in zip(panels, (before, after), ("before", "after"), strict=False):
        other = scale_to_unit(_at(moving.array, transform.to_moving(points)).reshape(shape))
        axes.imshow(checkerboard(shown, other), cmap="gray", vmin=0, vmax=1, aspect=_aspect(fixed))
        axes.set_title(title)
    _draw_grid(panels[2], after, points, shape, shown, _aspect(fixed))
    _draw_jacobian(figure, panels[3], after, points, shape, _aspect(fixed))
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    figure.suptitle(f"fixed {fixed.name}, moving {moving.name}", fontsize=10, parse_math=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _slice_points(image: MedicalImage) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Index coordinates (n, d) of a picture or of the middle slice of a volume, and their shape (rows, columns)."""
    rows, columns = (np.linspace(0, size - 1, min(size, _SIDE)) for size in image.geometry.shape[-2:])
    first = [] if image.geometry.ndim == 2 else [np.array([(image.geometry.shape[0] - 1) / 2])]
    axes = np.meshgrid(*first, rows, columns, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, image.geometry.ndim), (len(rows), len(columns))


def _aspect(image: MedicalImage) -> float:
    """Height of a drawn pixel divided by its width."""
    spacing = image.geometry.spacing or (1.0,) * image.geometry.ndim
    steps = [length * (size - 1) / max(1, min(size, _SIDE) - 1)
             for length, size in zip(spacing[-2:], image.geometry.shape[-2:], strict=True)]  # fmt: skip
    return steps[0] / steps[1]


def _at(array: NDArray, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (n,) of an array at index coordinates (n, d), linear, the border repeated."""
    source = array.astype(np.float32) if array.dtype.kind not in "iu" else array
    return map_coordinates(source, points.T, output=np.float64, order=1, mode="nearest")


def _draw_grid(
    axes: Axes,
    transform: Transform,
    points: NDArray[np.float64],
    shape: tuple[int, int],
    image: NDArray[np.floating],
    aspect: float,
) -> None:
    """Draw lines that are straight in the moving image."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1.6, aspect=aspect)
    positions = transform.to_moving(points)[:, -2:]
    step = max(transform.moving.shape[-2:]) / _LINES
    for coordinate in positions.T:
        values = coordinate.reshape(shape)
        levels = np.arange(np.ceil(values.min() / step), np.floor(values.max() / step) + 1) * step
        if len(levels):
            axes.contour(values, levels=levels, colors="#4d9fff", linewidths=0.7)
    axes.set_title("grid of the moving image")


def _draw_jacobian(
    figure: Figure,
    axes: Axes,
    transform: Transform,
    points: NDArray[np.float64],
    shape: tuple[int, int],
    aspect: float,
) -> None:
    """Draw the local size in the moving image relative to that of the whole, folds in yellow."""
    determinant = transform.jacobian()
    whole = np.median(determinant)
    relative = determinant / whole if whole else determinant
    cells = transform.grid.to_index(transform.fixed_world.to_world(points))
    values = _at(relative, cells).reshape(shape)
    shown = axes.imshow(np.log2(np.clip(values, 0.125, 8)), cmap="RdBu", vmin=-1.5, vmax=1.5, aspect=aspect)
    if (values <= 0).any():
        axes.contourf(values <= 0, levels=[0.5, 1.5], colors=["#ffd92f"])
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["½", "1", "2"])
    axes.set_title(f"size in the moving image; {transform.folding_percent():.2f}% folded (yellow)")
