from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.sides import Mirroring, Sides

NAMES = ("left hip", "sacrum", "right hip", "condyle_L", "condyle_R", "leftover", "L", "Right knee")


class TestSides:
    def test_pairs_follow_from_a_word_for_the_side(self):
        assert Sides.of_names(NAMES).pairs == (("left hip", "right hip"), ("condyle_L", "condyle_R"))

    def test_names_are_exchanged_in_mirror_images_where_the_user_says_so(self):
        swapped = Sides.of_names(NAMES, Mirroring.SWAPPED)
        assert swapped.rows(NAMES, mirrored=True).tolist() == [2, 1, 0, 4, 3, 5, 6, 7]
        for sides, mirrored in ((swapped, False), (Sides.of_names(NAMES), True), (Sides(), True)):
            np.testing.assert_array_equal(sides.rows(NAMES, mirrored=mirrored), np.arange(len(NAMES)))

    def test_a_pair_of_which_one_name_is_unknown_stays(self):
        sides = Sides(Mirroring.SWAPPED, (("a", "b"), ("c", "d")))
        assert sides.rows(("a", "c", "d"), mirrored=True).tolist() == [0, 2, 1]

    def test_renamed_landmarks_stay_pairs(self):
        sides = Sides(Mirroring.SWAPPED, (("a", "b"),)).renamed({"a": "x"})
        assert sides.pairs == (("x", "b"),)

    def test_json(self):
        sides = Sides(Mirroring.SWAPPED, (("a", "b"),))
        assert Sides.from_json(sides.to_json()) == sides

    @pytest.mark.parametrize(
        "data",
        [
            None,
            {},
            {"mirrored": "same"},
            {"mirrored": "maybe", "pairs": []},
            {"mirrored": "same", "pairs": [["a"]]},
            {"mirrored": "same", "pairs": [["a", 1]]},
            {"mirrored": "same", "pairs": 3},
            {"mirrored": ["same"], "pairs": []},
        ],
    )
    def test_anything_else_is_refused(self, data):
        with pytest.raises(InputError, match="sides were expected"):
            Sides.from_json(data)

    def test_a_name_in_two_pairs_is_refused(self):
        with pytest.raises(InputError, match="'a' is in two pairs"):
            Sides(pairs=(("a", "b"), ("c", "a")))
