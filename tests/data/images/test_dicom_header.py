"""Headers of DICOM files: stated lengths that must not be believed, and each parsed once."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pydicom
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.dicom_header import dicom_header
from napari_landmark.data.images.image import read_geometry, read_image

from .dicom_files import SLOPE, VOLUME, save, save_series


@pytest.mark.parametrize("read", [read_geometry, read_image])
def test_each_header_is_parsed_once(tmp_path, monkeypatch, read):
    save(tmp_path / "one.dcm", SLOPE)
    save_series(tmp_path / "ct", VOLUME)
    parsed, dcmread = [], pydicom.dcmread

    def spy(file, **options):
        parsed.append(file)
        return dcmread(file, **options)

    monkeypatch.setattr(pydicom, "dcmread", spy)
    read(tmp_path / "one.dcm")
    assert len(parsed) == 1
    read(tmp_path / "ct")
    assert len(parsed) == 1 + len(VOLUME)


class TestLengths:
    """A damaged length must not be believed: GDCM would take that much memory and never give it back."""

    @staticmethod
    def spoiled(path: Path, before: bytes, element: bytes) -> Path:
        content = save(path, SLOPE).read_bytes()
        place = content.index(before)
        path.write_bytes(content[:place] + element + content[place:])
        return path

    @pytest.mark.parametrize("before", [b"\x28\x00\x02\x00US", b"\xe0\x7f\x10\x00OW"])
    def test_beyond_the_file(self, tmp_path, before):
        path = self.spoiled(tmp_path / "a.dcm", before, b"\x09\x00\x01\x10OB\0\0\xf0\xff\xff\x7f")
        tracemalloc.start()
        for read in (read_geometry, read_image, dicom_header):
            with pytest.raises(InputError, match="ends at byte"):
                read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**26

    def test_of_the_pixels(self, tmp_path):
        content = save(tmp_path / "a.dcm", SLOPE).read_bytes()
        place = content.index(b"\xe0\x7f\x10\x00OW") + 8
        (tmp_path / "a.dcm").write_bytes(content[:place] + b"\xf0\xff\xff\x7f" + content[place + 4 :])
        with pytest.raises(InputError, match="ends at byte"):
            read_image(tmp_path / "a.dcm")

    def test_an_unknown_kind_of_value_in_the_first_part(self, tmp_path):
        content = save(tmp_path / "a.dcm", SLOPE).read_bytes()
        place = content.index(b"\x02\x00\x10\x00UI") + 4
        (tmp_path / "a.dcm").write_bytes(content[:place] + b"U," + content[place + 2 :])
        with pytest.raises(InputError, match="unknown kind"):
            read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize("read", [read_geometry, read_image])
def test_values_without_kinds_behind_a_first_part_that_promises_them(tmp_path, read):
    """GDCM takes a value for a length then, and a gigabyte of memory."""
    path = save(tmp_path / "a.dcm", SLOPE)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    pydicom.dcmwrite(path, data, implicit_vr=True, little_endian=True, force_encoding=True)
    assert read(path) is not None
    content = path.read_bytes()
    said, true = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0"
    place = content.index(true) - 2
    content = content[:place] + len(said).to_bytes(2, "little") + said + content[place + 2 + len(true) :]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.dcm: is not stored as its transfer syntax says"):
        read(path)
