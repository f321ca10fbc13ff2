"""Side and view that DICOM headers state."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.images.dicom_view import (
    NO_VIEW,
    StatedView,
    read_stated_view,
    read_stated_views,
)

pydicom = pytest.importorskip("pydicom")


def write(path, *, code=None, scheme="SCT", **elements):
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = (
        pydicom.uid.ComputedRadiographyImageStorage
    )
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    header.Rows = header.Columns = 2
    header.BitsAllocated, header.SamplesPerPixel, header.PixelData = 8, 1, bytes(4)
    for name, value in elements.items():
        setattr(header, name, value)
    if code is not None:
        item = pydicom.Dataset()
        item.CodeMeaning, item.CodingSchemeDesignator = code, scheme
        header.ViewCodeSequence = [item]
    header.save_as(path, enforce_file_format=True)
    return path


def test_the_side_of_the_image_counts_before_that_of_the_series(tmp_path):
    both = write(tmp_path / "a.dcm", ImageLaterality="R", Laterality="L", ViewPosition="PA")
    assert read_stated_view(both) == StatedView("R", "PA")
    series = write(tmp_path / "b.dcm", Laterality="L", code="antero-posterior")
    assert read_stated_view(series) == StatedView("L", "antero-posterior")


def test_a_series_states_what_its_first_file_states(tmp_path):
    (tmp_path / "series").mkdir()
    write(tmp_path / "series" / "1.dcm", Laterality="L")
    write(tmp_path / "series" / "2.dcm", Laterality="R")
    assert read_stated_view(tmp_path / "series").laterality == "L"


def test_images_that_state_nothing(tmp_path):
    picture, damaged = tmp_path / "a.png", tmp_path / "b.dcm"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(picture)
    damaged.write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    empty = write(tmp_path / "c.dcm")
    stated = write(tmp_path / "d.dcm", ViewPosition="LL")
    for path in (picture, damaged, empty, tmp_path / "not there.dcm"):
        assert read_stated_view(path) == NO_VIEW
    files = [("a", picture), ("b", damaged), ("c", empty), ("d", stated)]
    assert read_stated_views(files) == {"d": StatedView("", "LL")}


def test_nothing_but_codes_is_taken(tmp_path):
    """A name in the wrong place, a local coding scheme, and two lines in one value."""
    odd = write(tmp_path / "a.dcm", Laterality="Doe^John", code="John Doe", scheme="99LOCAL")
    lines = write(tmp_path / "b.dcm", code="left hand\r\nsecond line")
    assert read_stated_view(odd) == read_stated_view(lines) == NO_VIEW


def test_a_folder_may_hold_other_files(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "0.txt").write_text("notes")
    write(tmp_path / "series" / "1.dcm", Laterality="L")
    assert read_stated_view(tmp_path / "series").laterality == "L"
