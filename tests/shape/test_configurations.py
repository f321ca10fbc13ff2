from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet
from napari_landmark.shape.configurations import Configurations, LengthUnit, MissingLandmarks

from .shapes import cohort


def sets(positions: np.ndarray) -> dict[str, LandmarkSet]:
    schema = LandmarkSchema(tuple("abcdefghijklmn"[: positions.shape[1]]))
    return {f"{n}.png": LandmarkSet.from_array(schema, rows) for n, rows in enumerate(positions)}


def test_millimetres_where_every_spacing_is_known():
    given = sets(cohort(4, 6))
    geometries = {image: Geometry((900, 900), (0.5, 0.25)) for image in given}
    found = Configurations.from_landmarks(given, geometries=geometries)
    assert found.unit is LengthUnit.MILLIMETRES
    np.testing.assert_allclose(found.positions, cohort(4, 6) * (0.5, 0.25))


def test_pixels_where_no_spacing_is_known():
    found = Configurations.from_landmarks(sets(cohort(4, 6)))
    assert found.unit is LengthUnit.PIXELS
    np.testing.assert_array_equal(found.positions, cohort(4, 6))


def test_mixed_spacing_is_refused_by_name_unless_pixels_are_wanted():
    given = sets(cohort(5, 6))
    geometries = {image: Geometry((900, 900), (0.5, 0.5)) for image in given if image != "2.png"}
    with pytest.raises(InputError, match=r"1 of 5 images is not known \(2.png\)"):
        Configurations.from_landmarks(given, geometries=geometries)
    found = Configurations.from_landmarks(given, geometries=geometries, unit=LengthUnit.PIXELS)
    np.testing.assert_array_equal(found.positions, cohort(5, 6))
    with pytest.raises(InputError, match="not known"):
        Configurations.from_landmarks(sets(cohort(5, 6)), unit=LengthUnit.MILLIMETRES)


def test_pixels_that_are_not_square_are_no_unit():
    given = sets(cohort(4, 6))
    geometries = {image: Geometry((900, 900), (0.5, 0.25)) for image in given}
    with pytest.raises(InputError, match="not square"):
        Configurations.from_landmarks(given, geometries=geometries, unit=LengthUnit.PIXELS)


def test_one_spacing_for_all():
    found = Configurations.from_landmarks(sets(cohort(4, 6)), spacing=0.2)
    assert found.unit is LengthUnit.MILLIMETRES
    np.testing.assert_allclose(found.positions, 0.2 * cohort(4, 6))


def test_pictures_and_volumes_are_not_mixed():
    given = sets(cohort(4, 6)) | {"v.nii.gz": LandmarkSet(
        LandmarkSchema(("a",)), [Landmark("a", (1, 2, 3), "placed")])}  # fmt: skip
    with pytest.raises(InputError, match=r"v.nii.gz: its landmarks have 3 coordinates"):
        Configurations.from_landmarks(given)


def test_landmarks_can_be_left_aside():
    found = Configurations.from_landmarks(sets(cohort(4, 6)), without=["b", "e"])
    assert found.names == ("a", "c", "d", "f")
    with pytest.raises(InputError, match="unknown landmark 'z'"):
        Configurations.from_landmarks(sets(cohort(4, 6)), without=["z"])


@pytest.fixture
def with_gaps() -> Configurations:
    positions = cohort(8, 7, scatter=0.002)
    positions[1, 2] = positions[6, [0, 4]] = np.nan
    return Configurations.from_landmarks(sets(positions))


def test_missing_landmarks_are_named_and_their_images_left_out(with_gaps):
    assert with_gaps.missing == {"1.png": ("c",), "6.png": ("a", "e")}
    complete = with_gaps.complete()
    assert complete.images == ("0.png", "2.png", "3.png", "4.png", "5.png", "7.png")
    assert not complete.estimated


def test_missing_landmarks_are_estimated_on_request(with_gaps):
    truth = cohort(8, 7, scatter=0.002)
    complete = with_gaps.complete(MissingLandmarks.ESTIMATE)
    assert complete.estimated == {"1.png": ("c",), "6.png": ("a", "e")}
    there = ~with_gaps.is_missing
    np.testing.assert_array_equal(complete.positions[there], truth[there])
    sizes = np.linalg.norm(truth - truth.mean(1, keepdims=True), axis=(1, 2))
    errors = np.linalg.norm(complete.positions - truth, axis=2) / sizes[:, None]
    assert errors.max() < 0.03


def test_too_few_complete_images_are_told_with_the_landmark(with_gaps):
    positions = with_gaps.positions.copy()
    positions[:6, 3] = np.nan
    with pytest.raises(InputError, match=r"1 of 8 images have all landmarks.*d \(6 of 8\)"):
        Configurations.from_landmarks(sets(positions)).complete()


def test_an_image_with_hardly_a_landmark_is_not_estimated(with_gaps):
    positions = with_gaps.positions.copy()
    positions[2, :5] = np.nan
    with pytest.raises(InputError, match=r"2.png: has 2 landmarks, too few"):
        Configurations.from_landmarks(sets(positions)).complete(MissingLandmarks.ESTIMATE)
