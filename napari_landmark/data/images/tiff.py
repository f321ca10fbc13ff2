"""Reader of TIFF, by tifffile; by Pillow for the compressions that only its libtiff reads."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images import raster
from napari_landmark.data.images.image_reader import IS_LOSSY, is_file_named
from napari_landmark.data.images.luminance import luminance
from napari_landmark.data.images.memory_limit import check_fits
from napari_landmark.data.images.tiff_pages import check_pages_end

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES: tuple[str, ...] = (".tif", ".tiff")
_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AXES = {"C": "channels", "T": "moments in time"}
_LOSSY = (6, 7)  # JPEG
_NOT_PACKED, _DEFLATE = 1, (8, 32946)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3
_ALPHA = (1, 2)  # kinds of further samples
_ORIENTATION = 274


def accepts(path: Path) -> bool:
    """Whether a file with the name of any picture begins as a TIFF."""
    if not is_file_named(path, SUFFIXES + raster.SUFFIXES):
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(4) in _MARKS
    except OSError:
        return False


def read_header(path: Path) -> Geometry:
    """Shape of the picture or, for several pages, of the volume."""
    with _opened(path) as (_, geometry):
        return geometry


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance [y, x] or [z, y, x], and its shape."""
    with _opened(path) as (series, geometry):
        page = series.keyframe
        orientation = page.tags.get(_ORIENTATION)
        raster.note_orientation(path, 1 if orientation is None else orientation.value)
        if _is_unpacked_by_tifffile(page):
            _check_segments(series)
            return _luminance(series.asarray(), series, page).reshape(geometry.shape), geometry
        white_is_zero = page.photometric == _WHITE_IS_ZERO
        kind = _kind(page)
    array = _read_by_pillow(path, geometry.shape, kind)
    # Pillow turns bytes and single bits itself.
    return (_inverted(array) if white_is_zero and array.dtype != np.uint8 else array), geometry


def read_labels(path: Path) -> tuple[NDArray, Geometry]:
    """Values of a label map [y, x] or [z, y, x] as stored: indices of a palette, white-is-zero not turned."""
    with _opened(path) as (series, geometry):
        page = series.keyframe
        if page.compression in _LOSSY:
            raise InputError(IS_LOSSY)
        if _is_unpacked_by_tifffile(page):
            _check_segments(series)
            array = series.asarray()
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            if "S" in series.axes:
                array = raster.grey_of_samples(np.moveaxis(array, series.axes.index("S"), -1))
            return array.reshape(geometry.shape), geometry
        turned = page.photometric == _WHITE_IS_ZERO and page.bitspersample == 8
        kind = _kind(page)
    array = _read_by_pillow(path, geometry.shape, kind, raster.picture_labels)
    return (_inverted(array) if turned else array), geometry


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Geometry]]:
    """The one image of a file, as tifffile's series, and its geometry; the file is open in the context."""
    import tifffile

    try:
        check_pages_end(path)
        # Alone: the notes of OME-TIFF may name further files, and an image must not show other files of the disk.
        with tifffile.TiffFile(path, _multifile=False) as file:
            if not file.series:
                raise InputError("holds no picture: save it again or remove it")
            series = file.series[0]
            if len(file.series) > 1:
                raise InputError(
                    f"holds {len(file.pages)} pages of different size or kind: save the one that is meant as a "
                    "file of its own"
                )
            yield series, Geometry(_shape(series))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of a damaged file tifffile raises nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot be read ({error.strerror})") from error
        detail = " ".join(str(error).split())
        raise InputError(
            f"cannot be read, it seems damaged ({detail}): save it again or remove it"
        ) from error


def _shape(series: Any) -> tuple[int, ...]:
    """Shape without the samples of a pixel and without axes of one; InputError where that is no image."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    more = [
        (axis, size)
        for axis, size in zip(series.axes, series.shape, strict=True)
        if axis not in "YXS" and size > 1
    ]
    for axis, size in more:
        if axis in _AXES or len(more) > 1:
            what = f"{size} {_AXES[axis]}" if axis in _AXES else f"an array of {len(more) + 2} axes"
            raise InputError(f"holds {what}: save one picture or one volume as a file of its own")
    if "Y" not in sizes or "X" not in sizes:
        raise InputError("holds no picture of rows and columns: save it again or remove it")
    shape = (*(size for _, size in more), sizes["Y"], sizes["X"])
    samples = sizes.get("S", 1)
    page = series.keyframe
    if page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and samples - len(_alpha(page)) > 1:
        raise InputError(
            f"holds {samples} values in every pixel that are no colours: save one of them as an image"
        )
    # As it is stored, its copy in the machine's byte order, and of colours the numbers that they are mixed in.
    pixel = 2 * samples * series.dtype.itemsize + (4 * samples + 8) * (samples > 1)
    check_fits(shape, pixel)
    return shape


def _alpha(page: Any) -> list[int]:
    """Samples of a pixel that the file declares to be alpha."""
    return [int(kind) for kind in page.extrasamples if int(kind) in _ALPHA]


def _is_unpacked_by_tifffile(page: Any) -> bool:
    """Whether tifffile reads these pixels without further packages, and as luminance or red, green and blue."""
    whole = page.bitspersample in (8, 16, 32, 64) and page.sampleformat != 5 and page.dtype is not None
    packed = page.compression != _NOT_PACKED and page.compression not in _DEFLATE
    kinds = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
    return whole and not packed and page.predictor in (1, 2) and page.photometric in kinds


def _check_segments(series: Any) -> None:
    """Refuse (InputError) pixels that reach beyond the end of the file or unpack to more than they should.

    tifffile fills in zeros for pixels that are missing, and unpacks as much as there is.
    """
    file = series.parent.filehandle
    if series.dataoffset is not None and series.dataoffset + series.nbytes > file.size:
        raise InputError("ends too early, it seems damaged: save it again or remove it")
    for page in series.pages:
        if page is None:
            raise InputError("lacks some of its pages: save it again as one file")
        key = page.keyframe
        most = key.dtype.itemsize * int(np.prod(key.chunks, dtype=np.int64))
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if offset + count > file.size:
                raise InputError("ends too early, it seems damaged: save it again or remove it")
            if key.compression in _DEFLATE and count:
                file.seek(offset)
                _check_unpacks_to(file.read(count), most)


def _check_unpacks_to(data: bytes, most: int) -> None:
    if len(zlib.decompressobj().decompress(data, most + 1)) > most:
        raise InputError("unpacks to more pixels than its header says, it seems damaged: save it again")


def _luminance(array: NDArray, series: Any, page: Any) -> NDArray:
    """Luminance of the pixels as stored, alpha dropped; black is dark."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if page.photometric == _PALETTE and page.colormap is not None:
        return luminance((page.colormap >> 8).astype(np.uint8).T)[array]
    if "S" in series.axes:
        samples = np.moveaxis(array, series.axes.index("S"), -1)
        if page.photometric == _RGB and samples.shape[-1] > 2:
            return luminance(samples)
        array = np.ascontiguousarray(samples[..., 0])
    return _inverted(array) if page.photometric == _WHITE_IS_ZERO else array


def _inverted(array: NDArray) -> NDArray:
    """Pixels of a picture whose white is zero, with bright as the larger number in any type."""
    return ~array if array.dtype.kind in "iu" else -array


def _kind(page: Any) -> str:
    """Compression, photometric interpretation and bits of a page, for a message."""
    compression = getattr(page.compression, "name", page.compression)
    photometric = getattr(page.photometric, "name", page.photometric)
    return f"{compression}, {photometric}, {page.bitspersample} bits"


def _read_by_pillow(
    path: Path,
    shape: tuple[int, ...],
    kind: str,
    read: Callable[[Image.Image], NDArray] = raster.picture_luminance,
) -> NDArray:
    """The pages as Pillow reads them: packed by LZW, JPEG, PackBits or CCITT, in single bits, or in CMYK or YCbCr."""
    unknown = f"is a TIFF of a kind that is not read here ({kind}): save it without compression, in grey or in colours"
    with raster.open_picture(path, unknown=unknown) as picture:
        pages = []
        for number in range(shape[0] if len(shape) == 3 else 1):
            picture.seek(number)
            pages.append(read(picture))
    return np.stack(pages) if len(shape) == 3 else pages[0]
