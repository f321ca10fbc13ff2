from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.detection.pose.similarity import fit_similarity


def case(dims: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, tuple[int, ...], Pose]:
    rng = np.random.default_rng(seed)
    canvas = (120, 100, 80)[:dims]
    template = rng.uniform(10, 70, (12, dims))
    rotation = Rotation.from_rotvec([0, 0, 0.6]).as_matrix()[:dims, :dims]
    pose = Pose(1.4 * rotation, rng.uniform(-0.1, 0.1, dims))
    centre = (np.array(canvas) - 1) / 2
    found = (template - centre) @ pose.matrix.T + centre + pose.shift * max(canvas)
    return template, found, canvas, pose


class TestFitSimilarity:
    @pytest.mark.parametrize("dims", [2, 3])
    def test_finds_the_pose_although_some_positions_are_wrong(self, dims):
        template, found, canvas, pose = case(dims)
        found[:3] += 40
        found[5] = np.nan
        result = fit_similarity(template, found, canvas)
        np.testing.assert_allclose(result.matrix, pose.matrix, atol=0.05)
        np.testing.assert_allclose(result.shift, pose.shift, atol=0.05)

    def test_never_reflects(self):
        template, found, canvas, _ = case(2)
        assert not fit_similarity(template, found[:, ::-1], canvas).is_mirrored

    def test_too_few_or_equal_positions(self):
        template, found, canvas, _ = case(2)
        found[2:] = np.nan
        assert fit_similarity(template, found, canvas) is None
        assert fit_similarity(template, np.full_like(template, 30.0), canvas) is None
