"""Crops around landmarks."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_landmark.gui.session.crop_reader import (
    CropReader,
    CropRequest,
    place_in_crop,
    position_in_image,
    resampled_crop,
)


def request(**changes) -> CropRequest:
    values = {"image": "a.png", "center": (20.0, 30.0), "axes": (0, 1), "extent": 10.0, "pixels": 40}
    return CropRequest(**{**values, **changes})


def test_pixels_are_where_the_positions_say():
    y, x = np.mgrid[:60, :70]
    for values, axis in ((y, 0), (x, 1)):
        crop = resampled_crop(values.astype(float), request())
        for place in ((0, 0), (7, 33), (39, 20)):
            assert crop[place] == pytest.approx(position_in_image(request(), place)[axis], abs=1e-4)


def test_places_and_positions_are_inverse():
    np.testing.assert_allclose(place_in_crop(request(), position_in_image(request(), (3.5, 38.0))), (3.5, 38))
    np.testing.assert_allclose(place_in_crop(request(), (20.0, 30.0)), (19.5, 19.5))


def test_a_slice_of_a_volume():
    volume = np.zeros((5, 60, 70))
    volume[3] = 1
    asked = request(center=(3.2, 20.0, 30.0), axes=(1, 2))
    assert resampled_crop(volume, asked).min() == 1
    assert position_in_image(asked, (0, 0))[0] == 3.2


def test_beyond_the_border_the_image_goes_on():
    crop = resampled_crop(np.full((60, 70), 5.0), request(center=(0.0, 0.0)))
    np.testing.assert_allclose(crop, 5)


def test_reading_is_done_in_a_thread_and_kept(cohort, truth):
    reader, done = CropReader(cohort), threading.Event()
    asked = request(image="hand_001.png", center=tuple(truth["hand_001.png"][0]))
    assert reader.crop(asked, lambda _: done.set()) is None
    assert done.wait(10)
    crop = reader.crop(asked, lambda _: None)
    assert crop.shape == (40, 40)
    assert 0 <= crop.min() <= crop.max() <= 1
    reader.close()


def test_an_image_that_cannot_be_read_stops_nothing(cohort, monkeypatch):
    from napari_landmark.data.cohort.cohort import Cohort
    from napari_landmark.data.errors import InputError

    def broken(self, number):
        raise InputError("broken")

    monkeypatch.setattr(Cohort, "read", broken)
    reader, done = CropReader(cohort), threading.Event()
    asked = request(image="hand_001.png")
    reader.crop(asked, lambda _: done.set())
    assert done.wait(10)
    assert reader.crop(asked, lambda _: None) is None
    assert reader.is_read(asked)
    reader.close()
