"""Heatmap files: an NRRD in the space of the image, and an overlay picture of a 2-D image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write, replace_file
from napari_landmark.data.files.file_stem import file_stem
from napari_landmark.data.images.display import display_range
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.detection.model.detection import Detection


def write_heatmaps(folder: Path, image: MedicalImage, detection: Detection) -> None:
    """Write `<image>.heatmaps.nrrd` (one 8-bit component per landmark, 255 at its peak) and `<image>.png`.

    The NRRD has origin, spacing and direction in world coordinates, so that viewers overlay it on the image. The
    picture is written for 2-D images only.

    Raises
    ------
    InputError
        A file cannot be written.
    ValueError
        The detection was made without heatmaps.
    """
    if detection.heatmaps is None:
        raise ValueError(f"{image.name}: the detection has no heatmaps")
    stem = file_stem(image.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_nrrd(folder / f"{stem}.heatmaps.nrrd", image, detection, detection.heatmaps)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error}); choose a folder you may write to"
        ) from error
    if image.geometry.ndim == 2:
        atomic_write(folder / f"{stem}.png", _overlay(image, detection, detection.heatmaps))


def _write_nrrd(path: Path, image: MedicalImage, detection: Detection, heatmaps: np.ndarray) -> None:
    import SimpleITK as sitk

    geometry, matrix = image.geometry, detection.heatmap_matrix
    heat = np.round(255 * np.moveaxis(heatmaps, 0, -1)).astype(np.uint8)
    file = sitk.GetImageFromArray(heat, isVector=True)
    # Viewers take one pixel as one unit where the spacing is not known.
    spacing = np.array(geometry.spacing or (1.0,) * geometry.ndim)
    direction = np.array(geometry.direction)
    step = direction @ np.diag(spacing) @ matrix
    length = np.linalg.norm(step, axis=0)
    origin = np.array(geometry.origin) + direction @ (spacing * detection.heatmap_offset)
    file.SetSpacing(length[::-1].tolist())
    file.SetOrigin(origin[::-1].tolist())
    file.SetDirection((step / length)[::-1, ::-1].ravel().tolist())
    for number, name in enumerate(detection.landmarks):
        file.SetMetaData(f"landmark_{number}", name)
    temporary = path.with_name(f".{path.name}.part.nrrd")
    try:
        sitk.WriteImage(file, str(temporary), useCompression=True)
        replace_file(temporary, path)
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be written; choose a folder you may write to") from error
    finally:
        temporary.unlink(missing_ok=True)


def _overlay(image: MedicalImage, detection: Detection, heatmaps: np.ndarray) -> bytes:
    """PNG of a 2-D image with its heatmaps and landmarks."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

    height, width = image.geometry.shape
    figure = Figure(figsize=(7 * width / max(height, width), 7 * height / max(height, width)), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    low, high = display_range(image.array)
    axes.imshow(image.array, cmap="gray", vmin=low, vmax=high)
    heat = heatmaps.max(0)
    shown = axes.imshow(heat, cmap="inferno", alpha=np.clip(heat, 0, 0.75))
    to_image = np.eye(3)  # in x, y
    to_image[:2, :2] = detection.heatmap_matrix[::-1, ::-1]
    to_image[:2, 2] = detection.heatmap_offset[::-1]
    shown.set_transform(Affine2D(to_image) + axes.transData)
    positions = detection.landmarks.positions(2)
    axes.scatter(
        positions[:, 1], positions[:, 0], s=14, marker="+", c=detection.landmarks.schema.colors, linewidths=1
    )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
