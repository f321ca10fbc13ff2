"""Windows of CT, and when they are offered."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.images.window import (
    CT_WINDOWS,
    Window,
    looks_like_hounsfield,
    modality,
    stated_window,
)

from .dicom_files import save


def body(air=-1000, tissue=40, dtype=np.int16):
    array = np.full((20, 20, 20), air, dtype)
    array[5:15, 5:15, 5:15] = tissue
    array[8:10, 8:10, 8:10] = 1200
    return array


def test_limits_are_around_the_level():
    assert Window(40, 80).limits == (0, 80)
    assert CT_WINDOWS["Lung"].limits[0] < -1000 < CT_WINDOWS["Lung"].limits[1]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (body(), True),
        (body(dtype=np.float32), True),
        (np.where(np.indices((20, 20, 20)).sum(0) < 5, -2000, body()), True),  # outside of the scanned circle
        (body(air=0), False),  # MR
        ((body() + 1000).astype(np.uint16), False),  # CT with an offset
        (body(tissue=600), False),
        (np.full((9, 9, 9), -1000, np.int16), False),
        (np.where(body() > 1000, 30_000, body()), False),
        (np.full((4, 4, 4), np.nan), False),
    ],
)
def test_values_of_ct_are_recognized(array, expected):
    assert looks_like_hounsfield(array) is expected


def test_modality_of_a_file_and_of_a_series(tmp_path):
    pixels = np.zeros((8, 8), np.uint16)
    save(tmp_path / "series" / "a.dcm", pixels, Modality="CT") if (
        tmp_path / "series"
    ).mkdir() is None else None
    assert modality(tmp_path / "series" / "a.dcm") == modality(tmp_path / "series") == "CT"


def test_other_files_have_no_modality(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"nothing")
    (tmp_path / "b.dcm").write_bytes(b"nothing")
    assert modality(tmp_path / "a.nii") == modality(tmp_path / "b.dcm") == modality(tmp_path / "absent") == ""


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"WindowCenter": "2048", "WindowWidth": "1000"}, Window(2048, 1000)),
        ({"WindowCenter": ["40", "500"], "WindowWidth": ["400", "2000"]}, Window(40, 400)),
        ({"WindowCenter": "2048", "WindowWidth": "0"}, None),
        ({"WindowCenter": "2048"}, None),
        ({}, None),
    ],
)
def test_the_first_window_of_a_file_is_read(tmp_path, tags, expected):
    path = save(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16), **tags)
    assert stated_window(path) == expected


def test_other_files_state_no_window(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    assert stated_window(tmp_path / "a.png") is None
    assert stated_window(tmp_path / "gone.png") is None
