from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.geometry import Geometry
from napari_landmark.detection.pose.candidates import ContentBounds, coarse_poses, quarter_turns

CANVAS = (128, 96)


def letterboxed() -> np.ndarray:
    image = np.zeros(CANVAS, np.float32)
    image[30:98] = np.random.default_rng(0).uniform(0.2, 0.9, (68, 96))
    return image


class TestQuarterTurns:
    @pytest.mark.parametrize(("dims", "count"), [(2, 4), (3, 24)])
    def test_all_of_them_the_identity_first(self, dims, count):
        for mirrored in (False, True):
            turns = quarter_turns(dims, mirrored=mirrored)
            assert len({turn.tobytes() for turn in turns}) == count
            assert all(np.linalg.det(turn) == (-1 if mirrored else 1) for turn in turns)
        np.testing.assert_array_equal(quarter_turns(dims)[0], np.eye(dims))


class TestContentBounds:
    def test_a_whole_image_as_it_is_stays_upright(self):
        bounds = ContentBounds.of_image(Geometry((200, 170)), CANVAS)
        assert bounds.fit(np.eye(2)).is_upright
        assert not bounds.fit(np.eye(2), inverted=True).is_upright

    @pytest.mark.parametrize("shape", [(200, 170), (170, 200), (60, 200)])
    def test_a_turned_image_fills_the_grid(self, shape):
        geometry = Geometry(shape)
        bounds = ContentBounds.of_image(geometry, CANVAS)
        corners = [[-0.5, -0.5], [shape[0] - 0.5, shape[1] - 0.5]]
        for turn in quarter_turns(2) + quarter_turns(2, mirrored=True):
            drawn = fit_canvas_transform(geometry, CANVAS, bounds.fit(turn)).to_working(corners)
            size = abs(drawn[1] - drawn[0])
            assert (size / CANVAS).max() == pytest.approx(1)
            np.testing.assert_allclose(drawn.mean(0), (np.array(CANVAS) - 1) / 2, atol=1e-6)

    def test_borders_are_left_out_of_pictures(self):
        geometry = Geometry(CANVAS)
        bounds = ContentBounds.of_image(geometry, CANVAS, letterboxed())
        assert bounds.is_cut
        turn = quarter_turns(2)[1]
        drawn = fit_canvas_transform(geometry, CANVAS, bounds.fit(turn)).to_working(
            [[29.5, -0.5], [97.5, 95.5]]
        )
        # 96 x 68 pixels that are turned to fill the length of 128.
        np.testing.assert_allclose(abs(drawn[1] - drawn[0]), [128, 68 * 128 / 96], atol=1e-6)
        volume = np.zeros((64, 64, 64), np.float32)
        volume[20:40, 10:50, 10:50] = np.random.default_rng(0).uniform(size=(20, 40, 40))
        assert not ContentBounds.of_image(Geometry(volume.shape), volume.shape, volume).is_cut

    def test_annotated_points_stay_inside(self):
        bounds = ContentBounds.of_image(Geometry(CANVAS), CANVAS, letterboxed())
        wider = bounds.including(np.array([[20.0, 50.0], [np.nan, np.nan]]))
        assert wider.low.tolist() == [20.0, -0.5]
        assert bounds.including(np.full((2, 2), np.nan)) is bounds


class TestCoarsePoses:
    def test_all_kinds(self):
        bounds = [ContentBounds.of_image(Geometry((100, 100)), (96, 96))]
        poses = coarse_poses(bounds, mirror=True)
        kinds = {(pose.is_mirrored, pose.inverted, round(pose.angle) % 360) for pose in poses}
        assert len(poses) == len(kinds) == 16
        assert not any(pose.is_mirrored for pose in coarse_poses(bounds, mirror=False))
        between = coarse_poses(bounds, mirror=True, between=True)
        assert {round(pose.angle) % 90 for pose in between} == {45}
        assert len(coarse_poses(bounds * 2, mirror=True)) == 32
