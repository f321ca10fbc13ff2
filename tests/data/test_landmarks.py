from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import (
    Landmark,
    LandmarkSchema,
    LandmarkSet,
    Status,
    check_inside,
    default_colors,
)

SCHEMA = LandmarkSchema(("sella", "nasion", "gonion"))


class TestLandmark:
    def test_takes_numpy_numbers_and_plain_status_words(self):
        landmark = Landmark("sella", tuple(np.array([1, 2])), "placed", np.float32(0.5))
        assert landmark.position == (1.0, 2.0)
        assert landmark.status is Status.PLACED

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (((1, 2), "missing"), "'missing' with a position"),
            ((None, "predicted"), "'predicted' without a position"),
            (((1,), "placed"), "position"),
            (((1, float("nan")), "placed"), "position"),
            (((1, 2), "placed", 1.5), "confidence of 1.5"),
            (((1, 2), "placed", 1, -2), "expected_error of -2"),
        ],
    )
    def test_contradictions_name_the_landmark(self, arguments, message):
        with pytest.raises(InputError, match=f"'sella'.*{message}"):
            Landmark("sella", *arguments)

    def test_manual_statuses(self):
        is_manual = {status for status in Status if status.is_manual}
        assert is_manual == {Status.PLACED, Status.CORRECTED, Status.MISSING}


class TestSchema:
    def test_json_round_trip(self):
        schema = LandmarkSchema(("a", "β"), ("#FF0000", "#00ff00"), ("tip", ""))
        assert LandmarkSchema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
        assert schema.colors[0] == "#ff0000"

    def test_json_needs_names_only(self):
        assert LandmarkSchema.from_json({"landmarks": [{"name": "a"}]}) == LandmarkSchema(("a",))

    @pytest.mark.parametrize("data", [{}, {"landmarks": ["a"]}, {"landmarks": None}, []])
    def test_json_of_something_else(self, data):
        with pytest.raises(InputError, match="landmarks"):
            LandmarkSchema.from_json(data)

    @pytest.mark.parametrize("names", [(), ("a", "a"), ("",), (" a",), ("a\nb",), "abc"])
    def test_names_are_refused(self, names):
        with pytest.raises(InputError, match="name"):
            LandmarkSchema(names)

    def test_colour_names_its_landmark(self):
        with pytest.raises(InputError, match="'b': colour 'red'"):
            LandmarkSchema(("a", "b"), ("#000000", "red"))

    def test_unknown_name_lists_the_known(self):
        with pytest.raises(InputError, match=r"'menton'.*sella, nasion, gonion"):
            SCHEMA.index("menton")

    def test_colours_differ(self):
        colors = default_colors(60)
        assert len(set(colors)) == 60
        assert LandmarkSchema(tuple(map(str, range(60)))).colors == colors


class TestSet:
    def test_order_is_the_schemas_and_everything_is_there(self):
        landmarks = LandmarkSet(SCHEMA, [Landmark("gonion", (1, 2), Status.PLACED)])
        assert list(landmarks) == ["sella", "nasion", "gonion"]
        assert landmarks["sella"].status is Status.UNPLACED
        assert landmarks.ndim == 2
        assert len(landmarks) == 3

    @given(st.lists(st.booleans(), min_size=3, max_size=3), st.sampled_from((2, 3)), st.integers(0, 999))
    def test_array_round_trip(self, placed, ndim, seed):
        rows = np.random.default_rng(seed).normal(size=(3, ndim))
        rows[~np.array(placed)] = np.nan
        landmarks = LandmarkSet.from_array(SCHEMA, rows)
        np.testing.assert_array_equal(landmarks.positions(ndim), rows)
        assert landmarks.ndim == (ndim if any(placed) else None)

    def test_confidence_and_expected_error_come_back(self):
        landmarks = LandmarkSet.from_array(
            SCHEMA, np.ones((3, 2)), Status.PREDICTED, [0.1, np.nan, 1], [3, 4, np.nan]
        )
        np.testing.assert_array_equal(landmarks.confidences(), [0.1, np.nan, 1])
        np.testing.assert_array_equal(landmarks.expected_errors(), [3, 4, np.nan])

    def test_with_landmark_leaves_the_original(self):
        first = LandmarkSet(SCHEMA)
        second = first.with_landmark(Landmark("nasion", (1, 2), Status.PLACED))
        assert first["nasion"].position is None
        assert second["nasion"].position == (1, 2)
        assert first != second

    def test_mistakes(self):
        with pytest.raises(InputError, match="'menton'"):
            LandmarkSet(SCHEMA, [Landmark("menton")])
        with pytest.raises(InputError, match="'sella' is there twice"):
            LandmarkSet(SCHEMA, [Landmark("sella"), Landmark("sella")])
        with pytest.raises(InputError, match="two and with three"):
            LandmarkSet(
                SCHEMA, [Landmark("sella", (1, 2), "placed"), Landmark("gonion", (1, 2, 3), "placed")]
            )
        with pytest.raises(ValueError, match=r"\(3, ndim\)"):
            LandmarkSet.from_array(SCHEMA, np.zeros((2, 2)))


class TestMerging:
    prediction = LandmarkSet.from_array(SCHEMA, [[1, 1], [2, 2], [3, 3]], Status.PREDICTED, [0.5, 0.6, 0.7])

    @pytest.mark.parametrize(
        "manual",
        [
            Landmark("sella", (9, 9), Status.PLACED),
            Landmark("sella", (9, 9), Status.CORRECTED),
            Landmark("sella", None, Status.MISSING),
        ],
    )
    def test_a_manual_landmark_is_kept(self, manual):
        merged = LandmarkSet(SCHEMA, [manual]).merged_with_prediction(self.prediction)
        assert merged["sella"] == manual
        assert merged["nasion"] == self.prediction["nasion"]

    def test_a_newer_prediction_replaces_an_older(self):
        older = LandmarkSet(SCHEMA, [Landmark("sella", (9, 9), Status.PREDICTED)])
        assert older.merged_with_prediction(self.prediction) == self.prediction

    def test_other_schema_and_other_status(self):
        other = LandmarkSchema(("menton", "sella"))
        merged = LandmarkSet(SCHEMA).merged_with_prediction(LandmarkSet.from_array(other, [[1, 1], [2, 2]]))
        assert merged["sella"] == Landmark("sella", (2, 2), Status.PREDICTED)
        assert merged["nasion"].status is Status.UNPLACED


class TestInside:
    geometry = Geometry((64, 48))

    def check(self, *position):
        check_inside(
            [Landmark("nasion"), Landmark("sella", position, "placed")], self.geometry, image="a.png"
        )

    @pytest.mark.parametrize("position", [(0, 0), (63, 47), (-1, -1), (64, 48)])
    def test_half_a_pixel_beyond_the_border_is_allowed(self, position):
        self.check(*position)

    @pytest.mark.parametrize("position", [(70, 10), (10, -3), (10, 49.1)])
    def test_outside(self, position):
        y, x = position
        message = rf"^a\.png: landmark 'sella' at \({x:g}, {y:g}\) lies outside the image of 48 x 64 pixels"
        with pytest.raises(InputError, match=message):
            self.check(*position)

    def test_other_axes(self):
        with pytest.raises(InputError, match="landmark 'sella' has 3 coordinates and the image 2 axes"):
            self.check(1, 2, 3)


class TestCovariance:
    rows = ((4.0, 1.0), (1.0, 2.0))

    def test_in_a_set(self):
        unknown = np.full((2, 2), np.nan)
        made = LandmarkSet.from_array(
            LandmarkSchema(("a", "b")), [(1, 2), (3, 4)], Status.PREDICTED, covariance=[self.rows, unknown]
        )
        assert made["a"].covariance == self.rows
        assert made["b"].covariance is None
        assert np.array_equal(made.covariances(), [self.rows, unknown], equal_nan=True)

    @pytest.mark.parametrize(
        "rows",
        [
            ((1.0,),),
            ((1.0, 0.0), (0.0, -1.0)),
            ((1.0, 0.5), (0.4, 1.0)),
            ((1.0, 2.0), (2.0, 1.0)),
            ((1.0, float("nan")), (float("nan"), 1.0)),
            ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        ],
    )
    def test_what_is_none(self, rows):
        with pytest.raises(InputError, match="landmark 'a': an error covariance"):
            Landmark("a", (1, 2), Status.PREDICTED, covariance=rows)

    def test_without_a_position(self):
        with pytest.raises(InputError, match="error covariance"):
            Landmark("a", covariance=self.rows)


@pytest.mark.parametrize("status", [Status.MISSING, Status.PREDICTED])
def test_only_what_a_person_placed_can_be_covered(status):
    position = (1, 2) if status.has_position else None
    with pytest.raises(InputError, match="covered, with status"):
        Landmark("A", position, status, covered=True)
    assert Landmark("A", (1, 2), Status.CORRECTED, covered=True).covered


# Linear RGB as the colour-blind see it: Machado, Oliveira and Fernandes (2009), severity 1.
_VISIONS = {
    "usual": (np.eye(3), 15.0),
    "without red": (
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        15.0,
    ),
    "without green": (
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        15.0,
    ),
    "without blue": (
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        10.0,
    ),
}


@pytest.mark.parametrize("vision", _VISIONS)
def test_twenty_colours_are_told_apart_by_the_colour_blind(vision):
    matrix, least = _VISIONS[vision]
    colors = default_colors(20)
    rgb = np.array([[int(color[k : k + 2], 16) for k in (1, 3, 5)] for color in colors]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.asarray(matrix).T, 0, 1)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.072175],
            [0.0193339, 0.119192, 0.9503041],
        ]
    )
    xyz = seen @ to_xyz.T / (0.95047, 1.0, 1.08883)
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = root.T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    assert apart[~np.eye(20, dtype=bool)].min() >= least
    assert lab[:, 0].min() > 45  # bright on a dark grey image
