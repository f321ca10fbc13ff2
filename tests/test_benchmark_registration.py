"""Pairs, measures and the direction of the baselines' transforms in benchmarks/registration.py."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.transform.transform import Transform

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name.startswith(("registration", "cephalometric"))]:
        del sys.modules[name]


def textured(shape: tuple[int, int], shift: tuple[int, int] = (0, 0)) -> MedicalImage:
    """A picture of smooth noise, its content shifted by some pixels."""
    noise = np.random.default_rng(5).normal(size=tuple(n + 40 for n in shape))
    cloud = gaussian_filter(noise, 4)
    cloud = 255 * (cloud - cloud.min()) / np.ptp(cloud)
    y, x = (20 - step for step in shift)
    part = cloud[y : y + shape[0], x : x + shape[1]]
    return MedicalImage(part.astype(np.uint8), Geometry(shape), "cloud.png")


class TestPairs:
    def test_fewer_pairs_are_the_first_of_many(self):
        from registration_pairs import random_pairs

        names = [f"{i}.png" for i in range(12)]
        many = random_pairs(names, 30, np.random.default_rng(1))
        assert random_pairs(names, 10, np.random.default_rng(1)) == many[:10]
        assert len(set(many)) == 30
        assert all(a != b for a, b in many)

    def test_images_of_the_pairs_are_not_trained_on(self):
        from registration_pairs import phantoms

        data = phantoms(Path(), 30)
        seen = {name for pair in data.pairs for name in pair}
        assert len(data.pairs) == 30
        assert not seen & set(data.learning)
        assert set(data.labelled) <= set(data.learning)
        assert all(data.labels(name).shape == data.image(name).geometry.shape for name in sorted(seen)[:2])


class TestMeasures:
    def test_a_fold_between_coarse_grid_points_is_counted_at_the_pixels(self):
        from registration_measures import on_pixels

        fixed = Geometry((40, 40))
        grid = Geometry((5, 5), spacing=(9.75, 9.75))
        field = np.zeros((5, 5, 2), np.float32)
        field[2, :, 0] = 12  # the rows before stretch, those behind turn back
        coarse = Transform(fixed, fixed, grid, field)
        assert coarse.folding_percent() == 0
        # A quarter of the rows, but for the two at whose ends central differences see the stretched side, too.
        assert 18 < on_pixels(coarse).folding_percent() < 26

    def test_times_of_this_run_replace_cached_ones(self):
        from registration_measures import PairMeasures, summary

        cached = [
            PairMeasures("a", str(i), {1: 0.5, 2: 1.0}, [2.0, 4.0], 0, 0.0, 90.0, False) for i in range(3)
        ]
        fresh = PairMeasures("a", "b", {1: 0.9}, [6.0, 8.0], 1, 4.0, 3.0)
        found = summary([*cached, fresh])
        assert found["seconds_per_pair"] == 3.0
        assert found["dice"] == pytest.approx((3 * 0.75 + 0.9) / 4)
        assert found["dice_per_label"] == {"1": pytest.approx(0.6), "2": 1.0}
        assert found["tre"] == pytest.approx((3 * 6 + 14) / 8)
        assert found["lost_percent"] == 12.5
        assert summary(cached)["seconds_per_pair"] == 90.0

    def test_groups_of_labels_have_a_mean_of_their_own(self):
        from registration_measures import PairMeasures, summary

        rows = [
            PairMeasures("a", "b", {1: 0.5, 2: 1.0, 3: 0.0}, [], 0, 0.0, 1.0),
            PairMeasures("a", "c", {1: 0.7, 3: 0.2}, [], 0, 0.0, 1.0),
        ]
        found = summary(rows, {"two": [1, 2]})
        assert found["dice two"] == pytest.approx((0.75 + 0.7) / 2)
        assert found["dice"] == pytest.approx((0.5 + 0.45) / 2)

    def test_unknown_measures_are_none(self):
        from registration_measures import PairMeasures, summary

        found = summary([PairMeasures("a", "b", {}, [], 0, 0.0, 1.0)])
        assert found["dice"] is None and found["tre"] is None and found["lost_percent"] is None


class TestBaselines:
    def test_corner_to_corner_before_registration(self):
        from registration_baselines import nothing

        field = nothing(textured((40, 60)), textured((80, 60)))
        # Pixel edges lie on pixel edges: row 0 of 40 covers rows 0 and 1 of 80.
        assert field[0, 0].tolist() == pytest.approx([0.5, 0], abs=1e-4)
        assert field[39, 59].tolist() == pytest.approx([39.5, 0], abs=1e-4)

    def test_simpleitk_maps_fixed_to_moving(self):
        from registration_baselines import simpleitk

        field = simpleitk(textured((64, 56)), textured((64, 56), shift=(5, -3)))
        inner = field[16:-16, 16:-16].reshape(-1, 2)
        assert np.abs(inner.mean(axis=0) - (5, -3)).max() < 0.3

    def test_spacing_origin_and_direction_are_kept(self):
        from registration_baselines import to_itk

        geometry = Geometry((4, 6), spacing=(2, 3), origin=(10, 20), direction=((0, 1), (-1, 0)))
        image = to_itk(MedicalImage(np.zeros((4, 6), np.uint8), geometry, "a.nrrd"))
        for row, column in ((0, 0), (3, 1), (2, 5)):
            point = image.TransformContinuousIndexToPhysicalPoint((float(column), float(row)))
            assert point[::-1] == pytest.approx(geometry.to_world([[row, column]])[0])

    def test_the_best_rigid_initialization_turns_a_volume(self):
        from registration_baselines import from_best_rigid, rigid

        noise = np.random.default_rng(2).normal(size=(36, 36, 36))
        ball = np.sqrt(sum(axis**2 for axis in np.ogrid[-1:1:36j, -1:1:36j, -1:1:36j])) < 0.8
        array = (gaussian_filter(noise, 4) * ball * 1e4).astype(np.float32)
        turned = np.ascontiguousarray(np.rot90(array, axes=(1, 2)))
        geometry = Geometry(array.shape, spacing=(1, 1, 1))
        images = [MedicalImage(part, geometry, "a.nii.gz") for part in (array, turned)]
        field = from_best_rigid(rigid)(*images)
        z, y, x = np.indices(array.shape)
        expected = np.stack([z, 35 - x, y], -1)  # rot90 carries axis 2 to axis 1
        inner = (slice(10, -10),) * 3
        off = np.linalg.norm((np.stack([z, y, x], -1) + field - expected)[inner], axis=-1)
        assert off.mean() < 3  # an initialization; unturned it is 8.6 voxels

    def test_greedy_maps_fixed_to_moving(self):
        pytest.importorskip("picsl_greedy")
        from registration_baselines import as_they_are
        from registration_diffeomorphic import greedy

        noise = np.random.default_rng(3).normal(size=(56, 48, 52))
        cloud = 1000 * gaussian_filter(noise, 3)
        direction = ((0, 1, 0), (1, 0, 0), (0, 0, -1))
        geometry = Geometry((40, 36, 38), spacing=(1.5, 1, 1), origin=(5, -8, 20), direction=direction)
        first, second = cloud[8:48, 6:42, 7:45], cloud[6:46, 6:42, 10:48]  # shifted by 2, 0 and -3 voxels
        fixed, moving = (
            MedicalImage(np.ascontiguousarray(part.astype(np.float32)), geometry, "a.nii.gz")
            for part in (first, second)
        )
        field = as_they_are(greedy)(fixed, moving)[12:-12, 12:-12, 12:-12].reshape(-1, 3)
        expected = geometry.to_world([[2, 0, -3]]) - geometry.to_world([[0, 0, 0]])
        assert np.linalg.norm(np.median(field, 0) - expected) < 0.5


class TestRecord:
    def test_a_section_is_replaced_and_others_stay(self):
        from registration import with_section

        text = "# Measured\n\n## A\n\nold\n\n## A, more\n\nstays\n"
        found = with_section(text, "A", "new")
        assert found == "# Measured\n\n## A\n\nnew\n\n## A, more\n\nstays\n"
        assert with_section(found, "A", "new") == found

    def test_a_new_section_goes_to_the_end(self):
        from registration import with_section

        assert with_section("# Measured\n", "B", "x\n") == "# Measured\n\n## B\n\nx\n"
        assert with_section(with_section("# M\n", "B", "x"), "B", r"\1 y") == "# M\n\n## B\n\n\\1 y\n"


class TestLabelFusion:
    def test_touching_labels_are_in_different_groups_and_background_stays(self):
        from registration_label_fusion import colouring

        blocks = 1 + np.arange(60).reshape(3, 4, 5)  # 60 blocks, of which each touches up to six
        label_map = np.pad(np.kron(blocks, np.ones((4, 4, 4), int)), 2).astype(np.uint8)
        groups = colouring(label_map, 4)
        assert groups[0] == 0
        assert set(groups[1:61]) == {1, 2, 3, 4}
        for axis in range(3):
            first, second = np.delete(blocks, 0, axis), np.delete(blocks, -1, axis)
            assert (groups[first] != groups[second]).all()
