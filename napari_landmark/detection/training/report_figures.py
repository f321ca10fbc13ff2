"""Pictures of a training report: loss curves, template, predictions; each as a data URI that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import disk
from skimage.transform import resize

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.images.display import scale_to_unit
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.loop import History

_DPI = 110
_TEMPLATE_INCHES = 6.5  # longest side
_THUMBNAIL_SIDE = 240  # pixels of the longest side
_THUMBNAIL_RADIUS = 2.0  # pixels of a landmark's disc


def loss_figure(history: History) -> Figure:
    """Curve of the smoothed loss against minutes of a stage."""
    figure = Figure(figsize=(3.4, 2.1), layout="constrained")
    axes = figure.subplots()
    if history.losses:
        _, seconds, losses = np.array(history.losses, float).T
        axes.plot(seconds / 60, losses, color="#1f6fb2", linewidth=1.3)
    axes.set_xlabel("minutes", fontsize=8)
    axes.set_ylabel("loss", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=5)
    axes.grid(alpha=0.3)
    return figure


def landmark_figure(cohort: Cohort, number: int, landmarks: LandmarkSet) -> Figure:
    """Image of a cohort with its landmarks, each with its number (from 1) in the schema."""
    height, width = cohort.canvas
    scale = _TEMPLATE_INCHES / max(height, width)
    figure = Figure(figsize=(scale * width, scale * height), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(scale_to_unit(cohort.working(number)), cmap="gray", vmin=0, vmax=1)
    points = _on_working_grid(cohort, number, landmarks)
    for k, ((y, x), color) in enumerate(zip(points, landmarks.schema.colors, strict=True), start=1):
        if not np.isfinite(y):
            continue
        axes.scatter(x, y, s=26, c=[color], edgecolors="black", linewidths=0.6)
        axes.annotate(
            str(k),
            (x, y),
            (5, 3),
            textcoords="offset points",
            fontsize=9,
            color="white",
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
    return figure


def thumbnail(cohort: Cohort, number: int, landmarks: LandmarkSet) -> NDArray[np.uint8]:
    """(height, width, 3) small picture of an image of a cohort with a coloured disc for each landmark."""
    image = cohort.working(number)
    factor = min(1.0, _THUMBNAIL_SIDE / max(image.shape))
    shape = tuple(max(1, round(side * factor)) for side in image.shape)
    small = scale_to_unit(resize(image, shape, anti_aliasing=factor < 1))
    picture = np.repeat((255 * small).round().astype(np.uint8)[..., None], 3, axis=-1)
    points = (_on_working_grid(cohort, number, landmarks) + 0.5) * np.divide(shape, image.shape) - 0.5
    for point, color in zip(points, landmarks.schema.colors, strict=True):
        if np.isfinite(point).all():
            rgb = tuple(bytes.fromhex(color.removeprefix("#")))
            for radius, value in ((_THUMBNAIL_RADIUS + 1, (0, 0, 0)), (_THUMBNAIL_RADIUS, rgb)):
                picture[disk(point, radius, shape=shape)] = value
    return picture


def figure_pixels(figure: Figure) -> NDArray[np.uint8]:
    """(height, width, 3) picture of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure_uri(figure: Figure) -> str:
    """PNG of a figure as a data URI."""
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return _data_uri("png", stream)


def picture_uri(picture: NDArray[np.uint8]) -> str:
    """JPEG of a picture (height, width, 3) as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="JPEG", quality=88, subsampling=0)
    return _data_uri("jpeg", stream)


def _on_working_grid(cohort: Cohort, number: int, landmarks: LandmarkSet) -> NDArray[np.float64]:
    return cohort.canvas_transform(number).to_working(landmarks.positions(2))


def _data_uri(kind: str, stream: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
