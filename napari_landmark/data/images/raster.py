"""Reader of PNG, JPEG, BMP and GIF, by Pillow; of PNG in colours of 16 bits by SimpleITK."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image_reader import HAS_COLOURS, IS_LOSSY, is_file_named
from napari_landmark.data.images.itk_file import itk_reader, quiet_itk
from napari_landmark.data.images.luminance import REC_709, luminance
from napari_landmark.data.images.memory_limit import check_fits

# Pillow reads a 968x1200 JPEG in 4 ms, against 10 ms for SimpleITK, has the size from the header, and handles
# palettes, CMYK and single bits, which ITK gives as they are stored.
if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_OTHER_NAMES = (".tif", ".tiff")  # a picture of these kinds under the name of a TIFF is read, too
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF")
_NATIVE_MODES = ("L", "I", "F")
_PNG_COLOURS, _PNG_GREY_ALPHA = (2, 6), 4
_EXIF_ORIENTATION = 0x0112
_NO_PICTURE = "is not a picture, whatever its name says: save it again or remove it"
_SMALL = 2**22  # pixels
_PIXELS_OF_A_BYTE = 10_000  # deflate holds 8,256 of one bit, LZW of GIF 2,731
_OPENING = threading.Lock()


def accepts(path: Path) -> bool:
    """Whether the file has the name of a picture."""
    return is_file_named(path, SUFFIXES + _OTHER_NAMES)


def read_header(path: Path) -> Geometry:
    """Shape of the picture."""
    with open_picture(path) as picture:
        _has_deep_samples(path, picture)
        return Geometry(_shape(picture))


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance [y, x] and its shape."""
    with open_picture(path) as picture:
        geometry = Geometry(_shape(picture))
        if picture.format in ("JPEG", "MPO"):
            note_orientation(path, picture.getexif().get(_EXIF_ORIENTATION, 1))
        if _has_deep_samples(path, picture):
            return luminance(_deep_samples(path, geometry)), geometry
        return picture_luminance(picture), geometry


def read_labels(path: Path) -> tuple[NDArray, Geometry]:
    """Values of a label map [y, x]: indices of a palette, or greys; InputError for colours and for JPEG."""
    with open_picture(path) as picture:
        geometry = Geometry(_shape(picture))
        if _has_deep_samples(path, picture):
            return grey_of_samples(_deep_samples(path, geometry)), geometry
        return picture_labels(picture), geometry


@contextmanager
def open_picture(path: Path, *, unknown: str = _NO_PICTURE) -> Iterator[Image.Image]:
    """Open a picture for as long as the context lasts; whatever its decoder raises becomes an InputError.

    Parameters
    ----------
    path : Path
    unknown : str, optional
        Message of the error for a file that Pillow does not know.
    """
    from PIL import UnidentifiedImageError

    try:
        with _open(path) as picture:
            yield picture
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(unknown) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot be read ({error.strerror})") from error
        # Decoders of damaged files raise nearly anything: OSError, SyntaxError, ValueError, struct.error ...
        raise InputError(f"cannot be read, it seems damaged ({error}): save it again or remove it") from error


def picture_luminance(picture: Image.Image) -> NDArray:
    """Luminance [y, x] of the current page of a picture; alpha is dropped."""
    mode = picture.mode
    if mode in _NATIVE_MODES or mode.startswith("I;16"):
        array = np.array(picture)
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if mode == "1":
        return np.array(picture.convert("L"))
    if mode in ("LA", "La", "LAB"):
        return np.array(picture.getchannel(0))
    rgb = picture if mode == "RGB" else picture.convert("RGB")
    return np.array(rgb.convert("L", matrix=(*REC_709, 0)))


def picture_labels(picture: Image.Image) -> NDArray:
    """Values [y, x] of the current page of a picture as a label map; InputError for colours and for JPEG."""
    if picture.format in ("JPEG", "MPO"):
        raise InputError(IS_LOSSY)
    if picture.mode in ("1", "P"):
        return np.array(picture).astype(np.uint8, copy=False)
    if picture.mode in ("RGB", "RGBA"):
        return grey_of_samples(np.array(picture))
    if picture.mode in ("LA", "La"):
        return np.array(picture.getchannel(0))
    if picture.mode in _NATIVE_MODES or picture.mode.startswith("I;16"):
        return picture_luminance(picture)
    raise InputError(HAS_COLOURS)


def grey_of_samples(samples: NDArray) -> NDArray:
    """The value that red, green and blue share in every pixel; InputError where they differ.

    Parameters
    ----------
    samples : (y, x, n) array
        Grey (and alpha), or red, green and blue (and alpha).
    """
    colours = samples[..., :3] if samples.shape[-1] > 2 else samples[..., :1]
    if (colours != colours[..., :1]).any():
        raise InputError(HAS_COLOURS)
    return np.ascontiguousarray(colours[..., 0])


def _has_deep_samples(path: Path, picture: Image.Image) -> bool:
    """Whether a PNG has colours of 16 bits, of which Pillow keeps 8; InputError for greys with alpha."""
    if picture.format != "PNG":
        return False
    with path.open("rb") as stream:  # the header's chunk is always the first (PNG specification, 5.6)
        depth, kind = stream.read(26)[24:]
    if depth == 16 and kind == _PNG_GREY_ALPHA:
        raise InputError("holds greys of 16 bits with transparency: save it without transparency")
    return depth == 16 and kind in _PNG_COLOURS


def _deep_samples(path: Path, geometry: Geometry) -> NDArray:
    """Samples [y, x, n] of such a PNG, read by ITK."""
    import SimpleITK as sitk

    check_fits(geometry.shape, 4 * (2 * 2 + 4) + 8)
    try:
        with quiet_itk():
            samples = sitk.GetArrayFromImage(itk_reader(path, image_io="PNGImageIO").Execute())
    except RuntimeError as error:
        raise InputError("cannot be read, it seems damaged: save it again or remove it") from error
    if samples.ndim != 3 or samples.shape[:2] != geometry.shape:
        raise InputError(
            "has other pixels than its header says, it seems damaged: save it again or remove it"
        )
    return samples


def note_orientation(path: Path, orientation: int) -> None:
    """Log that a picture with an EXIF or TIFF note about turning (other than 1) is read as it is stored."""
    if orientation != 1:
        logger.info("%s: is read as it is stored; its EXIF note about turning is left aside", path)


def _open(path: Path) -> Image.Image:
    """The header of a picture of any size that fits into memory.

    Pillow's own limit is made for pictures from the web; it is a setting of the whole process, so it is put
    aside only for as long as the header is read.
    """
    from PIL import Image

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
        if picture.format != "TIFF":  # of blank pages in fax, a byte holds more
            _check_file_size(path, width * height)
    except BaseException:
        picture.close()
        raise
    return picture


def _check_file_size(path: Path, pixels: int) -> None:
    """Refuse (InputError) more pixels than the file can hold: decoders fill in what is missing."""
    if pixels > max(_SMALL, _PIXELS_OF_A_BYTE * path.stat().st_size):
        raise InputError(
            "has far fewer bytes than its size needs, it seems damaged: save it again or remove it"
        )


def _shape(picture: Image.Image) -> tuple[int, int]:
    count = getattr(picture, "n_frames", 1)
    if count > 1 and picture.format != "MPO":  # the second picture of an MPO is a preview or another eye
        raise InputError(f"is an animation of {count} pictures: save the one that is meant")
    width, height = picture.size
    return height, width
