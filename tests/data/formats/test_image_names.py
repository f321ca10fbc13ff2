from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames, common_schema, find_image, image_stem
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.png", "a"),
        ("x/y.b.nii.gz", "y.b"),
        ("A.JPG", "A"),
        ("c:\\d\\e.tif", "e"),
        ("a.b", "a.b"),
        (".png", ".png"),
    ],
)
def test_stems(name, stem):
    assert image_stem(name) == stem


class TestFinding:
    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ("hand.png", "hand.png"),
            ("C:\\pictures\\hand.png", "hand.png"),
            ("labeled-data/v/hand.png", "hand.png"),
            ("hand", "hand.png"),
            ("HAND.PNG", "hand.png"),
            ("Hand", "hand.png"),
            ("foot", "left/foot.nii.gz"),
            ("arm.png", None),
            ("", None),
        ],
    )
    def test_what_agrees_best(self, wanted, found):
        assert find_image(wanted, ["hand.png", "left/foot.nii.gz"]) == found

    def test_an_exact_name_wins(self):
        assert find_image("a.png", ["b/a.png", "a.png", "a.jpg"]) == "a.png"

    def test_two_that_agree_equally(self):
        with pytest.raises(InputError, match=r"'a' may be the image a\.png or a\.jpg"):
            find_image("a", ["a.png", "a.jpg"])

    def test_the_name_of_the_file_where_no_image_is_known(self):
        assert ImageNames().find_or_keep("b\\a.png") == "b/a.png"
        assert ImageNames({"a.png": Geometry((9, 9))}).find_or_keep("b\\a.png") == "a.png"

    def test_the_known_names_are_listed_once(self):
        class Listed(list):
            times = 0

            def __iter__(self):
                self.times += 1
                return super().__iter__()

        known = Listed(f"scan_{number}.nii.gz" for number in range(1000))
        names = ImageNames(known)
        assert [names.find(f"SCAN_{number}") for number in range(1000)] == list.copy(known)
        assert known.times == 1


class TestCommonSchema:
    def test_one_schema_stays_itself(self):
        schema = LandmarkSchema(("a", "b"), definitions=("x", "y"))
        assert common_schema([LandmarkSet(schema), LandmarkSet(schema)]) is schema

    def test_several_are_put_together_in_order(self):
        schemas = [LandmarkSchema(("b", "a"), definitions=("x", "y")), LandmarkSchema(("c", "a"))]
        shared = common_schema(map(LandmarkSet, schemas))
        assert shared.names == ("b", "a", "c")
        assert shared.definitions == ("x", "y", "")
