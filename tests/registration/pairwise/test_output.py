"""Files of a registered pair."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.images.image import read_image
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.registration.pairwise.output import PAIR_FILES, RegisteredPair, write_pair
from napari_landmark.registration.result import Registration
from napari_landmark.registration.transform.transform import Transform

SHAPE, SHIFT = (40, 50), np.array([3.0, -5.0])
MARKS = LandmarkSchema(("a", "b"))


def marks(*positions):
    return LandmarkSet.from_array(MARKS, np.array(positions, dtype=float))


@pytest.fixture
def pair(drawn):
    """A pair in which x of the fixed image maps to x + SHIFT in the moving one."""

    def build(array=None, *, spacing=(0.5, 0.5), **more):
        moving = drawn.image(drawn.texture(SHAPE) if array is None else array, "moving.png", spacing=spacing)
        shifted = np.roll(moving.array, (-3, 5), (0, 1))
        fixed = drawn.image(shifted, "fixed.png", spacing=spacing)
        offset = SHIFT * (1.0 if spacing is None else spacing)
        transform = Transform.affine(np.eye(2), offset, fixed=fixed.geometry, moving=moving.geometry)
        return RegisteredPair(fixed, moving, Registration(transform, 1.5, {"similarity": 0.25}), **more)

    return build


def test_the_measures_are_those_of_the_known_map(pair, tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[15:25, 20:30] = 7
    known = pair(
        fixed_labels=np.roll(labels, (-3, 5), (0, 1)),
        moving_labels=labels,
        fixed_landmarks=marks((10, 20), (20, 30)),
        moving_landmarks=marks((13, 15), (23, 26)),  # the second is one pixel off
    )
    written = write_pair(known, tmp_path / "out")
    assert sorted(path.name for path in written) == sorted(PAIR_FILES)
    assert all(path.exists() for path in written)
    measures = json.loads((tmp_path / "out" / "measures.json").read_text())
    assert measures["guided_by"] == ["labels", "landmarks"]
    assert measures["dice_per_label"] == {"7": 1.0}
    assert measures["dice_before_per_label"]["7"] < 0.5
    assert measures["tre_px"] == pytest.approx(0.5, abs=1e-3)
    assert measures["tre_mm"] == pytest.approx(0.25, abs=1e-3)
    assert measures["tre_before_px"] == pytest.approx((np.hypot(3, 5) + 5) / 2, abs=1e-3)
    assert measures["correlation"] > 0.99 > measures["correlation_before"]
    assert measures["terms"] == {"similarity": 0.25}
    assert not measures["cancelled"]


def test_landmarks_that_only_measure_do_not_guide(pair):
    judged = pair(
        spacing=None,
        fixed_landmarks=marks((10, 20), (20, 30)),
        moving_landmarks=marks((13, 15), (23, 25)),
        guided=False,
        cancelled=True,
    )
    measures = judged.measures()
    assert measures["guided_by"] == []
    assert measures["tre_px"] == pytest.approx(0, abs=1e-3)
    assert measures["tre_mm"] is None
    assert measures["cancelled"]


def test_a_picture_of_sixteen_bits_keeps_them(pair, drawn, tmp_path):
    array = drawn.texture(SHAPE).astype(np.uint16) * 200
    write_pair(pair(array), tmp_path)
    with Image.open(tmp_path / "warped.png") as picture:
        np.testing.assert_array_equal(np.array(picture), read_image(tmp_path / "warped.nrrd").array)


def test_nothing_is_written_if_something_cannot_be_computed(pair, tmp_path):
    wrong = pair(moving_labels=np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="moving image"):
        write_pair(wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()
