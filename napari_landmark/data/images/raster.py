"""Reading PNG, JPEG, BMP, GIF and TIFF. Used through `napari_landmark.data.images.image`."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Pillow comes with scikit-image. It reads a 968x1200 JPEG in 4 ms, against 10 ms for SimpleITK, has the size
# from the header, and handles palettes, CMYK and single bits, which ITK gives as they are stored.
from PIL import Image, UnidentifiedImageError

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.luminance import REC_709, luminance
from napari_landmark.data.images.memory_limit import check_fits
from napari_landmark.data.images.tiff_pages import check_pages_end

logger = logging.getLogger(__name__)

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF")
_NATIVE_MODES = ("L", "I", "F")
_EXIF_ORIENTATION = 0x0112
_OPENING = threading.Lock()
_BITS, _SAMPLE_FORMAT = 258, 339  # TIFF tags


def read_header(path: Path) -> Geometry:
    """Shape of the picture or, for several pages, of the volume."""
    with _opened(path) as picture:
        if picture is not None:
            return Geometry(_shape(picture))
    return Geometry(_read_rare_tiff(path, pixels=False)[0])


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance and geometry."""
    with _opened(path) as picture:
        if picture is not None:
            shape = _shape(picture)
            if picture.format in ("JPEG", "MPO", "TIFF") and picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
                logger.info("%s: is read as it is stored; its EXIF note about turning is left aside", path)
            if len(shape) == 2:
                return _luminance(picture), Geometry(shape)
            pages = []
            for page in range(shape[0]):
                picture.seek(page)
                pages.append(_luminance(picture))
            return np.stack(pages), Geometry(shape)
    shape, array = _read_rare_tiff(path, pixels=True)
    return array, Geometry(shape)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image | None]:
    """The picture; None for a TIFF of a kind Pillow does not know, such as numbers of eight bytes."""
    try:
        try:
            picture = _open(path)
        except UnidentifiedImageError:
            if path.suffix.lower() not in (".tif", ".tiff"):
                raise
            picture = None
        if picture is None:
            yield None
        else:
            with picture:
                yield picture
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError("is not a picture, whatever its name says: save it again or remove it") from error
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot be read ({error.strerror})") from error
        # Decoders of damaged files raise nearly anything: OSError, SyntaxError, ValueError, struct.error ...
        raise InputError(f"cannot be read, it seems damaged ({error}): save it again or remove it") from error


def _open(path: Path) -> Image.Image:
    """The header of a picture of any size that fits into memory.

    Pillow's own limit is made for pictures from the web; it is a setting of the whole process, so it is put
    aside only for as long as the header is read.
    """
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    try:
        width, height = picture.size
        per_pixel = 4 if picture.mode[0] in "IF" else len(picture.getbands())
        # As it is decoded, as luminance, and as the array.
        check_fits((height, width), per_pixel + 2 * (per_pixel if picture.mode[0] in "IF" else 1))
    except BaseException:
        picture.close()
        raise
    return picture


def _shape(picture: Image.Image) -> tuple[int, ...]:
    width, height = picture.size
    count = getattr(picture, "n_frames", 1)
    if count == 1 or picture.format == "MPO":  # the second picture of an MPO is a preview or another eye
        return height, width
    if picture.format != "TIFF":
        raise InputError(f"is an animation of {count} pictures: save the one that is meant")
    for page in range(count):
        picture.seek(page)
        if picture.size != (width, height):
            raise InputError(
                f"holds {count} pages of different size: save the one that is meant as a file of its own"
            )
    picture.seek(0)
    per_pixel = 4 if picture.mode[0] in "IF" else 1
    check_fits((count, height, width), 2 * per_pixel)
    _check_pages_are_slices(Path(picture.filename))
    return count, height, width


def _check_pages_are_slices(path: Path) -> None:
    """Refuse pages that are channels or moments in time, where the file says so."""
    import tifffile  # comes with scikit-image

    check_pages_end(path)
    sizes: list[tuple[str, int]] = []
    with contextlib.suppress(Exception), tifffile.TiffFile(path) as file:
        series = file.series[0]
        axes = zip(series.axes, series.shape, strict=True)
        sizes = [(axis, size) for axis, size in axes if size > 1 and axis not in "YXS"]
    kinds = {"C": "channels", "T": "moments in time"}
    for axis, size in sizes:
        if axis in kinds or len(sizes) > 1:
            what = f"{size} {kinds[axis]}" if axis in kinds else f"an array of {len(sizes) + 2} axes"
            raise InputError(f"holds {what}: save one picture or one volume as a file of its own")


def _luminance(picture: Image.Image) -> NDArray:
    """Luminance [y, x]; alpha is dropped."""
    mode = picture.mode
    if mode in _NATIVE_MODES or mode.startswith("I;16"):
        array = np.array(picture)
        if mode == "I" and _tiff_tag(picture, _BITS) == 32 and _tiff_tag(picture, _SAMPLE_FORMAT) == 1:
            array = array.view(np.uint32)  # Pillow has the bits right and takes them for a signed number
        elif mode == "L" and _tiff_tag(picture, _SAMPLE_FORMAT) == 2:
            array = array.view(np.int8)
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if mode == "1":
        return np.array(picture.convert("L"))
    if mode in ("LA", "La", "LAB"):
        return np.array(picture.getchannel(0))
    rgb = picture if mode == "RGB" else picture.convert("RGB")
    return np.array(rgb.convert("L", matrix=(*REC_709, 0)))


def _tiff_tag(picture: Image.Image, tag: int) -> int:
    """First value of a TIFF tag, 1 (the standard's default for both in use) where there is none."""
    value = getattr(picture, "tag_v2", {}).get(tag, 1)
    return int(value[0] if isinstance(value, tuple) else value)


def _read_rare_tiff(path: Path, *, pixels: bool) -> tuple[tuple[int, ...], NDArray]:
    """Shape and, where asked for, luminance of a TIFF that Pillow does not know."""
    import tifffile  # comes with scikit-image; cannot unpack what Pillow can, hence only the second choice

    check_pages_end(path)
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            shape = tuple(n for n, axis in zip(series.shape, series.axes, strict=True) if axis != "S")
            if len(shape) not in (2, 3):
                raise InputError(f"holds an array of {len(shape)} axes: save one picture or one volume")
            check_fits(series.shape, 2 * series.dtype.itemsize)
            array = series.asarray() if pixels else np.empty(0)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of a damaged file it raises nearly anything
        raise InputError("is not a picture, whatever its name says: save it again or remove it") from error
    if pixels and "S" in series.axes:
        array = luminance(np.moveaxis(array, series.axes.index("S"), -1))
    return shape, array
