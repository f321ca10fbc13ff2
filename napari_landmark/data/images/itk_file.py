"""Read image files with SimpleITK: header, checks of what it holds, pixels, and its errors in one line."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.header_geometry import header_geometry
from napari_landmark.data.images.image_reader import HAS_COLOURS
from napari_landmark.data.images.luminance import luminance
from napari_landmark.data.images.memory_limit import check_fits

_LOCK = threading.Lock()
_inside = 0  # threads in `quiet_itk`
_shown_before = True


def itk_reader(path: Path, *, image_io: str = "") -> Any:
    """A SimpleITK `ImageFileReader` for a file; nothing is read yet.

    Parameters
    ----------
    path : Path
    image_io : str, optional
        ITK class that must read the file; found by its content where not given.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if image_io:
        reader.SetImageIO(image_io)
    return reader


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's warnings off the terminal, for as long as a thread is inside; then as it was.

    ITK writes them straight to the terminal; what matters of them is raised here as an InputError.
    """
    import SimpleITK as sitk

    global _inside, _shown_before
    with _LOCK:
        if _inside == 0:
            _shown_before = sitk.ProcessObject.GetGlobalWarningDisplay()
            sitk.ProcessObject.SetGlobalWarningDisplay(False)
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                sitk.ProcessObject.SetGlobalWarningDisplay(_shown_before)


def open_itk(path: Path, *, image_io: str = "") -> Any:
    """Like `itk_reader`, with the header read and checked.

    Raises
    ------
    InputError
        Where the file is damaged, too large for this machine, or holds other pixels than numbers or colours.
    """
    import SimpleITK as sitk

    reader = itk_reader(path, image_io=image_io)
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(_reason(error)) from error
    components = reader.GetNumberOfComponents()
    if components not in (1, 3, 4) or "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise InputError(
            f"holds {components} values or complex ones in every pixel: save one channel as an image"
        )
    # ITK's own image and the array copied out of it; of colours also the numbers that they are mixed in.
    pixel = components * bytes_of_number(reader)
    check_fits(reader.GetSize()[::-1], 2 * pixel + (4 * components + 8) * (components > 1))
    return reader


def bytes_of_number(reader: Any) -> int:
    """Bytes of one component of a pixel, of a reader that has read the header."""
    import SimpleITK as sitk

    smallest = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    return smallest.GetSizeOfPixelComponent()


def itk_geometry(reader: Any) -> Geometry:
    """Geometry in array axis order, axes of one pixel dropped, of a reader that has read the header."""
    size = reader.GetSize()
    direction = np.reshape(reader.GetDirection(), (len(size), len(size)))
    return header_geometry(size, reader.GetSpacing(), reader.GetOrigin(), direction)


def itk_luminance(reader: Any, *, colours: bool = True) -> NDArray:
    """Read the pixels of a reader's file: luminance [..., z, y, x], single slices kept.

    Without `colours`, pixels of more than one value are refused (InputError), as those of a label map.
    """
    import SimpleITK as sitk

    try:
        with quiet_itk():
            image = reader.Execute()
    except RuntimeError as error:
        raise InputError(_reason(error)) from error
    array = sitk.GetArrayFromImage(image)
    components = image.GetNumberOfComponentsPerPixel()
    if components not in (1, 3, 4):
        raise InputError(f"holds {components} values in every pixel: save one channel as an image")
    if components > 1 and not colours:
        raise InputError(HAS_COLOURS)
    return luminance(array) if components > 1 else array


def _reason(error: RuntimeError) -> str:
    """One line out of ITK's several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = lines[-1] if lines else "no reason given"
    if "Unable to determine ImageIO reader" in detail:
        return "is not an image of the kind its name says: save it again or remove it"
    # ITK puts the file, its own class with an address, and the system's last error (of whatever) around it.
    detail = re.sub(r"^.*?(sitk::ERROR|Error|ERROR):\s*|\w+\(0x[0-9a-f]+\):\s*", "", detail)
    if "orthonormal" in detail:
        return "has axes that are not at right angles (sheared): resample it onto a regular grid"
    if "allocate memory" in detail:
        return "does not fit into the memory that is free: close other programs or save a smaller one"
    if detail.startswith("Reason:"):
        detail = "it ends too early or its pixels are not there"
    return f"cannot be read, it seems damaged ({detail}): save it again or remove it"
