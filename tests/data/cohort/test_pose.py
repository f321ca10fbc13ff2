from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry


def turn(degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@st.composite
def poses(draw: st.DrawFn, dims: int | None = None) -> Pose:
    dims = dims or draw(st.sampled_from((2, 3)))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    rotation = turn(rng.uniform(0, 360)) if dims == 2 else Rotation.random(random_state=seed).as_matrix()
    rotation = rotation @ np.diag([*[1.0] * (dims - 1), draw(st.sampled_from((1.0, -1.0)))])
    return Pose(rng.uniform(0.3, 3) * rotation, rng.uniform(-0.5, 0.5, dims), draw(st.booleans()))


class TestPose:
    @settings(max_examples=30)
    @given(poses())
    def test_survives_json_to_the_last_digit(self, pose):
        import json

        assert Pose.from_json(json.loads(json.dumps(pose.to_json()))) == pose

    @settings(max_examples=30)
    @given(poses(2), poses(2))
    def test_one_pose_then_another_is_both_transforms_one_after_the_other(self, outer, inner):
        geometry, canvas = Geometry((130, 90)), (192, 128)
        upright = fit_canvas_transform(geometry, canvas)
        both = fit_canvas_transform(geometry, canvas, outer.then(inner))
        np.testing.assert_allclose(both.matrix, upright.posed(outer).posed(inner).matrix, atol=1e-9)
        centre = (np.array(canvas) - 1) / 2
        points = np.random.default_rng(0).uniform(0, 128, (5, 2))
        middle = inner.matrix @ (points - centre).T + (centre + inner.shift * 192)[:, None]
        expected = fit_canvas_transform(geometry, canvas, outer).to_native(middle.T)
        np.testing.assert_allclose(both.to_native(points), expected, atol=1e-6)
        assert both.inverted == (outer.inverted != inner.inverted)

    @pytest.mark.parametrize("degrees", [0, 30, 90, -135])
    def test_angle_of_a_picture_is_counterclockwise_after_the_reflection(self, degrees):
        assert Pose.of_rotation(turn(degrees)).angle == pytest.approx(degrees)
        mirrored = Pose.of_rotation(turn(degrees) @ np.diag([1.0, -1.0]), scale=1.5)
        assert mirrored.is_mirrored
        assert mirrored.angle == pytest.approx(degrees)
        assert mirrored.scale == pytest.approx(1.5)
        # Counterclockwise on the screen: what is to the right of the centre goes up, to smaller rows.
        right = turn(degrees) @ [0.0, 1.0]
        assert right[0] == pytest.approx(-math.sin(math.radians(degrees)))

    def test_angle_of_a_volume(self):
        rotation = Rotation.from_rotvec([0.3, 0, 0]).as_matrix()
        assert Pose.of_rotation(rotation).angle == pytest.approx(math.degrees(0.3))

    def test_upright(self):
        assert Pose.upright(3).is_upright
        assert not Pose.of_rotation(np.eye(2), inverted=True).is_upright
        assert not Pose.of_rotation(np.eye(2), scale=1.1).is_upright
        assert not Pose(np.eye(2), np.array([0.1, 0])).is_upright

    @pytest.mark.parametrize(
        "data",
        [
            None,
            [],
            {},
            {"matrix": [[1, 0], [0, 1]], "shift": [0, 0]},
            {"matrix": [[1, 0], [0, 1]], "shift": [0, 0], "inverted": 1},
            {"matrix": [[1, 0], [0, 2]], "shift": [0, 0], "inverted": False},
            {"matrix": [[0, 0], [0, 0]], "shift": [0, 0], "inverted": False},
            {"matrix": [[1e9, 0], [0, 1e9]], "shift": [0, 0], "inverted": False},
            {"matrix": [[1, 0], [0, 1]], "shift": [math.nan, 0], "inverted": False},
            {"matrix": [[1, 0], [0, 1]], "shift": [1e300, 0], "inverted": False},
            {"matrix": [[1, 0], [0, 1]], "shift": [0, 0, 0], "inverted": False},
            {"matrix": [[1]], "shift": [0], "inverted": False},
            {"matrix": "x", "shift": [0, 0], "inverted": False},
            {"matrix": [[1, 0], [0]], "shift": [0, 0], "inverted": False},
        ],
    )
    def test_anything_else_is_refused(self, data):
        with pytest.raises(InputError, match="pose"):
            Pose.from_json(data)
