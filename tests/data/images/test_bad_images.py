"""Images that are wrong in one way each: either the right answer, or one clear line that names the file.

Every kind is a function that writes into a folder and gives the path to read, with a pattern of the line that
refuses it, or a function that checks what was read.
"""

from __future__ import annotations

import gzip
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage, read_geometry, read_image

from ...bad_files import huge, one_line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")

GREY = (np.arange(32 * 24) % 251).astype(np.uint8).reshape(32, 24)
VOLUME = np.arange(6 * 30 * 40, dtype=np.int16).reshape(6, 30, 40)


class Kind(NamedTuple):
    make: Callable[[Path], Path]
    refused: str = ""
    right: Callable[[MedicalImage], bool] | None = None


KINDS: dict[str, Kind] = {}


def kind(refused: str = "", right: Callable[[MedicalImage], bool] | None = None) -> Callable:
    def add(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        KINDS[make.__name__] = Kind(make, refused, right)
        return make

    return add


def raw(name: str, content: bytes | str, refused: str = "", right=None, *, what: str) -> None:
    """A kind that is one file with this content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    KINDS[what] = Kind(make, refused, right)


def pillow(name: str, array: np.ndarray, refused: str = "", right=None, *, what: str, **options) -> None:
    def make(folder: Path) -> Path:
        Image.fromarray(array).save(folder / name, **options)
        return folder / name

    KINDS[what] = Kind(make, refused, right)


def tiff(array: np.ndarray, refused: str = "", right=None, *, what: str, **options) -> None:
    def make(folder: Path) -> Path:
        tifffile.imwrite(folder / "a.tif", array, **options)
        return folder / "a.tif"

    KINDS[what] = Kind(make, refused, right)


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def nifti(
    size: tuple[int, ...] = (10, 10, 10),
    *,
    steps: tuple[float, ...] = (1, 1, 1),
    start: float = 352,
    datatype: tuple[int, int] = (4, 16),
    length: int = 2000,
    count: int | None = None,
    rows: tuple[float, ...] | None = None,
) -> bytes:
    """A NIfTI file with any header, and so many bytes behind it."""
    head = bytearray(348)
    dims = (count if count is not None else len(size), *size, *(1,) * (7 - len(size)))
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, *dims)
    struct.pack_into("<hh", head, 70, *datatype)
    struct.pack_into("<8f", head, 76, 1, *steps, *(1,) * (7 - len(steps)))
    struct.pack_into("<f", head, 108, start)
    head[123] = 2
    if rows is not None:
        struct.pack_into("<h", head, 254, 1)
        struct.pack_into("<12f", head, 280, *rows)
    head[344:348] = b"n+1\0"
    return bytes(head) + bytes(4) + b"\1" * length


def meta(data: str = "LOCAL", *, size: str = "24 32", kind: str = "MET_UCHAR", more: str = "") -> bytes:
    axes = len(size.split())
    text = f"ObjectType = Image\nNDims = {axes}\n{more}DimSize = {size}\nElementType = {kind}\n"
    text += f"ElementDataFile = {data}\n"
    return text.encode() + (GREY.tobytes() if data == "LOCAL" else b"")


def nrrd(more: str = "", *, sizes: str = "24 32", data: bytes = GREY.tobytes()) -> bytes:
    axes = len(sizes.split())
    return (
        f"NRRD0004\ntype: uint8\ndimension: {axes}\nsizes: {sizes}\nencoding: raw\n{more}\n".encode() + data
    )


def same(image: MedicalImage) -> bool:
    return np.array_equal(image.array, GREY)


def without_spacing(image: MedicalImage) -> bool:
    return image.geometry.spacing is None


# -- pictures -------------------------------------------------------------------------------------------------

raw("a.png", b"", "save it again or remove it", what="an empty picture")
raw("a.png", png(24, 32, GREY.tobytes()[:300]), "save it again or remove it", what="a truncated picture")
raw("a.png", png(200_000, 200_000), "is too large for this machine: 200000 x 200000", what="a picture bomb")
raw("a.png", png(0, 10), "save it again or remove it", what="a picture of no width")
raw(
    "a.png",
    "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "is not a picture",
    what="a drawing called a picture",
)
raw("a.webp", b"RIFF", "is not an image of a kind that is read here", what="a kind that is not read")
raw(
    "a.gif",
    b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";",
    "is not a picture",
    what="a huge gif",
)
raw(
    "a.gif",
    b"GIF89a" + struct.pack("<HHBBB", 20_000, 20_000, 0, 0, 0)
    + b"," + struct.pack("<HHHHB", 0, 0, 20_000, 20_000, 0) + bytes([2, 2, 0x4C, 1, 0]) + b";",
    "has far fewer bytes than its size needs",
    what="a gif of many pixels in few bytes",
)  # fmt: skip
raw(
    "a.png",
    png(9000, 9000, bytes(9001 * 9000)),
    right=lambda i: i.array.shape == (9000, 9000),
    what="a large blank picture",
)
raw(
    "a.bmp",
    b"BM"
    + struct.pack("<IHHI", 100, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 10**6, 10**6, 1, 24, 0, 0, 0, 0, 0, 0),
    "is too large for this machine",
    what="a bmp with a huge header",
)
pillow("a.png", GREY, right=same, what="a jpeg's name is not needed", format="PNG")
pillow("a.jpg", GREY, right=same, what="a png called jpg", format="PNG")
pillow("a.tif", GREY, right=same, what="a png called tif", format="PNG")
pillow("a.png", GREY, "is not a picture", what="a webp called png", format="WEBP")
pillow("a.dcm", GREY, "cannot be read", what="a png called dcm", format="PNG")
pillow(
    "a.png",
    GREY > 100,
    right=lambda i: np.array_equal(i.array, (GREY > 100) * 255),
    what="a picture of 1 bit",
)
pillow("a.png", GREY[:2, :2], "is only 2 x 2 pixels", what="a picture of four pixels")
pillow("ein Bild mit ä, 日 und 'so'.png", GREY, right=same, what="spaces and letters of all kinds in a name")
tiff(GREY.astype(np.complex64), "holds complex values", what="complex tiff")
tiff(np.full((9, 9), np.nan, np.float32), "holds no finite value", what="nothing but nan")
tiff(
    np.where(GREY == 5, np.inf, GREY).astype(np.float32),
    right=lambda i: bool(np.isfinite(i.array).all()),
    what="some infinite pixels",
)
tiff(GREY.astype(np.float16), right=lambda i: np.array_equal(i.array, GREY), what="half precision")
tiff((GREY // 2).astype(np.int8) - 100, right=lambda i: i.array.min() == -100, what="signed bytes")
tiff(
    np.zeros((2, 5, 20, 20), np.uint8),
    "holds an array of 4 axes",
    what="a tiff of four axes",
    photometric="minisblack",
)
tiff(
    np.zeros((1, 5, 20, 20), np.uint8),
    "holds 5 channels",
    what="channels",
    imagej=True,
    metadata={"axes": "ZCYX"},
)
tiff(
    np.zeros((4, 20, 20), np.uint8),
    "holds 4 moments in time",
    what="a film",
    imagej=True,
    metadata={"axes": "TYX"},
)
tiff(
    GREY, right=lambda i: np.array_equal(255 - i.array, GREY), what="white is zero", photometric="miniswhite"
)
tiff(np.tile(GREY, (9, 9)), right=lambda i: i.array.shape == (288, 216), what="tiles", tile=(16, 16))


@kind("is an animation of 2 pictures")
def an_animation(folder: Path) -> Path:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(folder / "a.png", save_all=True, append_images=frames[1:])
    return folder / "a.png"


@kind("holds 2 pages of different size")
def pages_of_different_size(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "a.tif") as writer:
        writer.write(GREY)
        writer.write(GREY[:9])
    return folder / "a.tif"


@kind(right=lambda i: abs(i.array.astype(int) - 96).max() < 6)
def printers_colours(folder: Path) -> Path:
    Image.fromarray(np.full((40, 40, 3), 96, np.uint8)).convert("CMYK").save(folder / "a.jpg", quality=98)
    return folder / "a.jpg"


@kind("cannot be read|save it again")
def a_tiff_that_points_to_itself(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", GREY)
    content = bytearray((folder / "a.tif").read_bytes())
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * count, first)  # the next page is this one
    struct.pack_into("<I", content, 4, len(content) + 10)  # and the first lies behind the end
    (folder / "a.tif").write_bytes(content)
    return folder / "a.tif"


# -- places that are no files -----------------------------------------------------------------------------------


@kind("is a link to nothing")
def a_link_to_itself(folder: Path) -> Path:
    os.symlink("a.png", folder / "a.png")
    return folder / "a.png"


@kind("is a link to nothing")
def a_link_to_nothing(folder: Path) -> Path:
    os.symlink("gone.png", folder / "a.png")
    return folder / "a.png"


@kind("is no ordinary file")
def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.png")
    return folder / "a.png"


@kind("is no ordinary file|is not an image")
def a_pipe_without_an_end(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@kind("there is no such file")
def nothing(folder: Path) -> Path:
    return folder / "a.png"


@kind("there is no such file")
def nothing_in_no_folder(folder: Path) -> Path:
    return folder / "none" / "a.nii"


# -- NIfTI ------------------------------------------------------------------------------------------------------

ENDS = "ends too early"
raw("a.nii", nifti(length=1000), ENDS, what="a truncated volume")
raw("a.nii", nifti()[:200], "is not an image of the kind", what="a truncated header")
raw("a.nii", nifti((32_000, 32_000, 32_000)), "is too large for this machine", what="a huge volume")
raw(
    "a.nii.gz",
    gzip.compress(nifti((32_000, 32_000, 32_000))),
    "is too large for this machine",
    what="a huge packed volume",
)
raw(
    "a.nii.gz",
    gzip.compress(nifti())[:-20],
    ENDS + "|not an image of the kind",
    what="a truncated packed volume",
)
raw(
    "a.nii.gz",
    nifti(),
    right=lambda i: i.array.shape == (10, 10, 10),
    what="not packed whatever the name says",
)
raw("a.nii.gz", gzip.compress(nifti()) + b"garbage", ENDS, what="garbage behind a packed volume")
raw("a.nii", nifti((-5, 10, 10)), "has a size that cannot be", what="a negative size")
raw("a.nii", nifti(count=9), "has a size that cannot be", what="nine axes")
raw("a.nii", nifti(count=0), "has a size that cannot be", what="no axes")
raw("a.nii", nifti((10, 10, 10, 3), length=6000), "is a series of volumes", what="four axes")
raw("a.nii", nifti((10, 10, 10, 1, 3), length=6000), "is a series of volumes", what="five axes")
raw("a.nii", nifti((1000,)), "is only a row of 1000 values", what="one axis")
raw(
    "a.nii",
    nifti((10, 10, 10, 1, 1, 3), length=6000),
    "is a series of volumes|cannot be read",
    what="six axes",
)
raw("a.nii", nifti(steps=(-1, 1, 1)), "expected positive millimetres", what="a negative spacing")
raw("a.nii", nifti(steps=(0, 0.5, 0.5)), right=without_spacing, what="a spacing of zero")
raw("a.nii", nifti(steps=(float("nan"), 0.5, 0.5)), right=without_spacing, what="a spacing of nan")
raw("a.nii", nifti(steps=(float("inf"), 0.5, 0.5)), right=without_spacing, what="an infinite spacing")
raw("a.nii", nifti(start=1e18), "where its pixels begin", what="pixels behind the end")
raw("a.nii", nifti(start=-1e9), "where its pixels begin", what="pixels before the start")
raw("a.nii", nifti(start=float("nan")), "where its pixels begin", what="pixels nowhere")
raw("a.nii", nifti(datatype=(999, 16)), "of a kind that is not known", what="an unknown number type")
raw("a.nii", nifti(datatype=(1, 1)), "of a kind that is not known", what="a volume of single bits")
raw("a.nii", nifti(datatype=(32, 64), length=8000), "complex values", what="a complex volume")
sheared = (1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
raw("a.nii", nifti(rows=sheared), "not at right angles", what="a sheared volume")
flat = (1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0)
raw("a.nii", nifti(rows=flat), "not at right angles", what="a volume without depth in the world")
raw("a.nii", "hello", "is not an image of the kind", what="text called nii")
raw("a.nii", nrrd(), "is not an image of the kind", what="nrrd called nii")

# -- NRRD and MetaImage -----------------------------------------------------------------------------------------

raw("a.nrrd", nrrd(), right=lambda i: same(i) and without_spacing(i), what="nrrd without a spacing")
raw(
    "a.nrrd",
    nrrd().replace(b"encoding: raw", b"encoding: bzip2"),
    "is packed with bzip2, which is not read here: save it with gzip or unpacked",
    what="nrrd packed with bzip2",
)
raw("a.nrrd", nrrd("spacings: nan nan\n"), right=without_spacing, what="nrrd with a spacing of nan")
raw("a.nrrd", nrrd("spacings: -1 1\n"), "expected positive millimetres", what="nrrd with a negative spacing")
raw("a.nrrd", nrrd("spacings: 0 1\n"), "spacing", what="nrrd with a spacing of zero")
raw("a.nrrd", nrrd(sizes="100000 100000 100000"), "is too large for this machine", what="a huge nrrd")
raw("a.nrrd", nrrd(sizes="-24 32"), "has a size that cannot be", what="nrrd of negative size")
raw(
    "a.nhdr",
    nrrd("data file: ../../etc/passwd\n", data=b""),
    "outside of its own folder",
    what="nrrd of another file",
)
raw("a.nhdr", nrrd("data file: gone.raw\n", data=b""), "is not there", what="nrrd without its pixels")
raw("a.nhdr", nrrd("data file: x%03d.raw 1 3 1\n", data=b""), "in several files", what="nrrd of many files")
raw("a.mhd", meta("/etc/passwd"), "outside of its own folder", what="metaimage of another file")
raw("a.mhd", meta("LIST\n/etc/passwd"), "in several files", what="metaimage of a list of files")
raw("a.mhd", meta("%s%s%s%n.raw 1 2 1"), "in several files", what="metaimage with a pattern")
raw("a.mhd", meta("gone.raw"), "is not there", what="metaimage without its pixels")
raw("a.mha", meta()[:-9], ENDS, what="a truncated metaimage")
raw("a.mha", meta(size="-24 32"), "has a size of", what="metaimage of negative size")
raw("a.mha", meta(size="90000 90000 90000"), "is too large for this machine", what="a huge metaimage")
raw("a.mha", meta(kind="MET_STRING"), "of a kind that is not known", what="metaimage of text")
raw(
    "a.mha",
    meta(more="ElementSpacing = -1 0\n"),
    "expected positive millimetres",
    what="metaimage spacing below 0",
)
raw("a.mha", meta(size="24 32").replace(b"NDims = 2", b"NDims = 300"), "number of axes", what="300 axes")

# -- DICOM ------------------------------------------------------------------------------------------------------

raw("a.dcm", b"\x80\x04cos\nsystem\n(S'true'\ntR.", "cannot be read", what="a pickle called dicom")
raw("a.dcm", bytes(128) + b"DICM", "holds no pixels", what="dicom with nothing in it")
raw("a", bytes(128) + b"DICM\2\0\0\0UL\4\0\xff\xff\xff\xff", "holds no pixels", what="truncated dicom")


@kind("in every pixel")
def two_numbers_in_every_pixel(folder: Path) -> Path:
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((9, 9, 2), np.float32), isVector=True), str(folder / "a.mha")
    )
    return folder / "a.mha"


class TestImages:
    @pytest.mark.parametrize("name", KINDS)
    def test_refused_in_one_line_or_right(self, tmp_path, capfd, caplog, name):
        kind = KINDS[name]
        path = kind.make(tmp_path)
        if kind.right is not None:
            image = read_image(path)
            assert kind.right(image)
            assert read_geometry(path) == image.geometry
        else:
            with pytest.raises(InputError, match=kind.refused) as caught:
                read_image(path)
            assert str(path) in one_line(caught.value, path)
        # Nothing of the libraries underneath reaches the terminal.
        assert capfd.readouterr() == ("", "")

    def test_a_folder_of_all_of_them(self, tmp_path):
        """None of them keeps the good image beside them from being used."""
        Image.fromarray(GREY).save(tmp_path / "good.png")
        for number, kind in enumerate(KINDS.values()):
            (tmp_path / "made").mkdir()
            made = kind.make(tmp_path / "made")
            if made.parent.is_dir() and (made.exists() or made.is_symlink()) and kind.right is None:
                made.rename(tmp_path / f"{number}_{made.name}")
            for rest in (tmp_path / "made").iterdir():
                rest.unlink()
            (tmp_path / "made").rmdir()
        cohort = Cohort.from_folder(tmp_path, cache_dir=tmp_path.parent / f"{tmp_path.name}-cache")
        assert "good.png" in cohort.names
        assert len(cohort.skipped_files) > 40
        assert all("\n" not in problem.reason for problem in cohort.skipped_files)

    def test_a_gigabyte_of_nothing(self, tmp_path):
        for ending in ("png", "jpg", "tif", "nii", "nrrd", "mha", "dcm"):
            with pytest.raises(InputError) as caught:
                read_image(huge(tmp_path / f"a.{ending}"))
            one_line(caught.value, tmp_path / f"a.{ending}")


def test_a_bomb_of_pages(tmp_path):
    """Many pages of a few bytes each must not become terabytes."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(3):
            writer.write(np.zeros((4, 4), np.uint8))
    content = bytearray((tmp_path / "a.tif").read_bytes())
    offset = struct.unpack_from("<I", content, 4)[0]
    while offset:  # each page says that it is a million pixels wide and high
        count = struct.unpack_from("<H", content, offset)[0]
        for entry in range(count):
            place = offset + 2 + 12 * entry
            if struct.unpack_from("<H", content, place)[0] in (256, 257):
                struct.pack_into(
                    "<HHII", content, place, struct.unpack_from("<H", content, place)[0], 4, 1, 10**6
                )
        offset = struct.unpack_from("<I", content, offset + 2 + 12 * count)[0]
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match="is too large for this machine"):
        read_image(tmp_path / "a.tif")


def test_there_are_enough_kinds():
    assert len(KINDS) > 80
