"""Poses of a cohort of one drawn anatomy, with features by formula: grey value and gradient tell the place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.sides import Mirroring, Sides
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.training.cohort_poses import (
    CohortPoseFinder,
    CohortPoses,
    cut_borders,
    moved_templates,
    read_cohort_poses,
    write_cohort_poses,
)
from napari_landmark.progress import CancelToken

SIZE = (128, 96)
NAMES = ("a_left", "a_right", "b", "c", "d")
POINTS = np.array([[30.0, 25.0], [40.0, 70.0], [64.0, 50.0], [90.0, 30.0], [100.0, 65.0]])
TURNED = {
    "mirrored": lambda a: a[:, ::-1],
    "upside down": lambda a: a[::-1, ::-1],
    "lying": np.rot90,
    "negative": lambda a: 255 - a,
}


def anatomy(seed: int) -> np.ndarray:
    """Smooth picture in which no two places have the same grey value and gradient."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in SIZE], indexing="ij")
    y, x = y + rng.uniform(-0.03, 0.03), x + rng.uniform(-0.03, 0.03)
    value = 0.45 + 0.3 * y + 0.18 * x + 0.12 * np.sin(3 * y + 1) * np.cos(2 * x) + 0.06 * y * x * x
    return np.round(255 * np.clip(value, 0, 1)).astype(np.uint8)


class GradientFeatures:
    """Random Fourier features of grey value and gradient."""

    strides = (4,)
    fingerprint = "gradient"

    def __init__(self) -> None:
        self.frequencies = torch.randn(3, 256, generator=torch.Generator().manual_seed(0)) * 7

    def embed(self, images: torch.Tensor) -> list[torch.Tensor]:
        smooth = F.avg_pool2d(images, 4)
        padded = F.pad(smooth, [1] * 4, mode="replicate")
        along_y = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        along_x = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        features = torch.cat([smooth, 12 * along_y, 12 * along_x], 1).movedim(1, -1)
        phase = features @ self.frequencies
        vectors = torch.cat([phase.cos(), phase.sin()], -1) / math.sqrt(self.frequencies.shape[1])
        return [vectors.movedim(-1, 1)]


@pytest.fixture
def gather(tmp_path):
    """Makes a cohort of twelve images, some of them changed."""

    def make(changed: dict[int, str]) -> Cohort:
        folder = tmp_path / "images"
        folder.mkdir()
        for number in range(12):
            array = TURNED.get(changed.get(number, ""), lambda a: a)(anatomy(number))
            if changed.get(number) == "other":
                noise = np.random.default_rng(number).normal(size=(16, 12)).repeat(8, 0).repeat(8, 1)
                array = np.clip(128 + 60 * noise, 0, 255).astype(np.uint8)
            Image.fromarray(np.ascontiguousarray(array)).save(folder / f"{number:02d}.png")
        return Cohort.from_folder(folder, cache_dir=tmp_path / "cache")

    return make


def finder(cohort: Cohort, cpu, annotated=None, **options) -> CohortPoseFinder:
    return CohortPoseFinder(
        upright=cohort,
        drawn=cohort,
        extractor=GradientFeatures(),
        annotated=annotated or [Template(0, cohort.canvas_transform(0).to_working(POINTS))],
        sides=options.pop("sides", Sides()),
        names=NAMES,
        device=cpu,
        **options,
    )


class TestFinding:
    def test_turned_mirrored_and_negative_images_are_found(self, gather, cpu):
        changed = {2: "mirrored", 5: "upside down", 7: "lying", 9: "negative"}
        found = finder(gather(changed), cpu).find()
        assert set(found.poses) == set(changed)
        assert found.searched == 11
        assert [found.poses[n].is_mirrored for n in changed] == [True, False, False, False]
        assert [found.poses[n].inverted for n in changed] == [False, False, False, True]
        assert [abs(found.poses[n].angle) for n in changed] == pytest.approx([0, 180, 90, 0], abs=8)
        assert not found.aside

    def test_of_an_upright_cohort_few_images_are_searched(self, gather, cpu):
        found = finder(gather({}), cpu).find()
        assert not found.poses
        assert not found.aside
        assert found.searched == 6

    def test_something_else_is_left_aside(self, gather, cpu):
        found = finder(gather({3: "mirrored", 4: "other"}), cpu).find()
        assert set(found.aside) == {4}
        assert "no pose" in found.aside[4]

    def test_annotated_landmarks_tell_the_orientation(self, gather, cpu):
        cohort = gather({6: "mirrored"})
        mirrored = POINTS * [1, -1] + [0, SIZE[1] - 1]
        annotated = [
            Template(0, cohort.canvas_transform(0).to_working(POINTS)),
            Template(6, cohort.canvas_transform(6).to_working(mirrored)),
        ]
        found = finder(cohort, cpu, annotated).find()
        assert set(found.poses) == {6}
        assert found.poses[6].is_mirrored
        never = Sides(Mirroring.NEVER)
        others = finder(cohort, cpu, annotated, sides=never).find().poses
        assert not any(pose.is_mirrored for pose in others.values())

    def test_a_search_without_time_leaves_aside_what_it_did_not_reach(self, gather, cpu):
        found = finder(gather(dict.fromkeys(range(1, 9), "mirrored")), cpu, seconds=0.0).find()
        assert found.searched == 6
        assert len(found.aside) == 5
        assert all("not searched" in reason for reason in found.aside.values())

    def test_cancelled(self, gather, cpu):
        cancel = CancelToken()
        cancel.cancel()
        assert finder(gather({}), cpu, cancel=cancel).find() is None


class TestDrawing:
    def test_borders_are_cut_but_not_annotated_landmarks(self, tmp_path):
        folder = tmp_path / "images"
        folder.mkdir()
        for number in range(2):
            array = np.zeros((160, 96), np.uint8)
            array[16:144] = anatomy(number)
            Image.fromarray(array).save(folder / f"{number}.png")
        cohort = Cohort.from_folder(folder, cache_dir=tmp_path / "cache")
        marks = cohort.canvas_transform(0).to_working([[4.0, 40.0], [100.0, 40.0]])
        drawn = cohort.posed(cut_borders(cohort, [Template(0, marks)]))
        for number, first in enumerate((4.0, 15.5)):
            edges = drawn.canvas_transform(number).to_working([[first, 40.0], [143.5, 40.0]])[:, 0]
            assert edges[0] >= 0
            assert edges[1] <= drawn.canvas[0]
            # Now the width decides, 96 pixels on 128; the whole image of 160 x 96 pixels had 192 for its height.
            assert edges[1] - edges[0] == pytest.approx((143.5 - first) * 128 / 96, abs=0.1)
            np.testing.assert_allclose(edges.mean(), (drawn.canvas[0] - 1) / 2, atol=1)

    def test_landmarks_of_a_mirror_image_get_the_names_of_their_side(self, gather):
        cohort = gather({1: "mirrored"})
        mirror = Pose.of_rotation(np.diag([1.0, -1.0]))
        drawn = cohort.posed({1: mirror})
        native = POINTS * [1, -1] + [0, SIZE[1] - 1]
        template = Template(1, cohort.canvas_transform(1).to_working(native))
        (same,) = moved_templates([template], cohort, drawn, Sides(), NAMES)
        np.testing.assert_allclose(same.positions, cohort.canvas_transform(0).to_working(POINTS), atol=1e-6)
        swapped = Sides.of_names(NAMES, Mirroring.SWAPPED)
        (other,) = moved_templates([template], cohort, drawn, swapped, NAMES)
        np.testing.assert_allclose(other.positions[[1, 0, 2, 3, 4]], same.positions)


class TestKeeping:
    def test_what_is_written_is_read(self, gather, tmp_path):
        cohort = gather({})
        found = CohortPoses({3: Pose.of_rotation(np.eye(2), inverted=True)}, {4: "reason"}, 7)
        write_cohort_poses(tmp_path / "p.json", found, cohort)
        assert read_cohort_poses(tmp_path / "p.json", cohort) == found

    def test_of_other_images_or_damaged_is_none(self, gather, tmp_path):
        cohort = gather({})
        path = tmp_path / "p.json"
        assert read_cohort_poses(path, cohort) is None
        for content in ("", "[]", "{}", '{"images": []}'):
            path.write_text(content)
            assert read_cohort_poses(path, cohort) is None
