from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.curves import Curve
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.formats.tps import read_tps, scale_note, write_tps
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

SCHEMA = LandmarkSchema(("tip", "base"))
PICTURES = {"wing 1.png": Geometry((100, 80), (0.25, 0.25)), "wing 2.png": Geometry((50, 80))}
MARKS = LandmarkSet(SCHEMA, [Landmark("tip", (0, 5), "placed"), Landmark("base", None, "missing")])


def text_file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


class TestRoundTrip:
    @settings(max_examples=40, deadline=None)
    @given(st.data(), st.sampled_from((2, 3)))
    def test_positions_come_back(self, folder, drawn, data, ndim):
        sets, geometries = data.draw(drawn.sets(ndim))
        schema = next(iter(sets.values())).schema
        path = folder / "points.tps"
        write_landmarks(path, sets, geometries=geometries)
        found = read_landmarks(path, schema=schema, geometries=geometries)
        assert list(found) == list(sets)
        for image, before in sets.items():
            np.testing.assert_allclose(found[image].positions(ndim), before.positions(ndim), atol=1e-6)
            for mark in found[image].values():
                assert mark.status is (Status.MISSING if mark.position is None else Status.PLACED)


class TestWriting:
    def test_the_text(self, tmp_path):
        path = tmp_path / "a.tps"
        write_tps(path, {"wing 1.png": MARKS, "wing 2.png": MARKS}, geometries=PICTURES)
        assert path.read_bytes().decode().split("\r\n") == [
            *("LM=2", "5.000000 99.000000", "-1 -1", "IMAGE=wing 1.png", "ID=0"),
            *("LM=2", "5.000000 49.000000", "-1 -1", "IMAGE=wing 2.png", "ID=1", ""),
        ]

    def test_the_scale_is_that_of_all_images_or_of_none(self, tmp_path):
        path, sets = tmp_path / "a.tps", {"wing 1.png": MARKS, "wing 2.png": MARKS}
        note = scale_note(sets, geometries=PICTURES)
        assert "wing 2.png has no known spacing" in note
        known = {image: Geometry((100, 80), (0.25, 0.25)) for image in sets}
        write_tps(path, sets, geometries=known)
        assert path.read_text().count("SCALE=0.25") == 2
        assert not scale_note(sets, geometries=known)
        assert not scale_note(sets, geometries={image: Geometry((100, 80)) for image in sets})
        oblong = {image: Geometry((100, 80), (0.25, 0.5)) for image in sets}
        assert "not square" in scale_note(sets, geometries=oblong)

    def test_no_scale_for_pixels_that_are_not_square(self, tmp_path):
        write_tps(tmp_path / "a.tps", {"a.png": MARKS}, geometries={"a.png": Geometry((9, 9), (1, 2))})
        assert "SCALE" not in (tmp_path / "a.tps").read_text()

    def test_it_needs_the_height(self, tmp_path):
        with pytest.raises(InputError, match=r"wing 1\.png is needed") as caught:
            write_tps(tmp_path / "a.tps", {"wing 1.png": MARKS})
        assert caught.value.code is ErrorCode.NEEDS_IMAGES
        assert not list(tmp_path.iterdir())

    def test_what_would_be_read_as_missing(self, tmp_path):
        marks = LandmarkSet(SCHEMA, [Landmark("tip", (100, -2), "placed")])
        with pytest.raises(InputError, match="'tip' lies outside the image"):
            write_tps(tmp_path / "a.tps", {"wing 1.png": marks}, geometries=PICTURES)


class TestReading:
    def test_a_file_of_tpsdig(self, tmp_path):
        text = (
            "LM=2\r\n5.00000 99.00000\r\n-1.0 -1.0\r\nCURVES=1\r\nPOINTS=2\r\n1 2\r\n3 4\r\n"
            "IMAGE=C:\\pictures\\WING 1.PNG\r\nID=17\r\nSCALE=0.01\r\n\r\nlm=2\n1,5 2,5\nNA NA\nIMAGE=wing 2.png\n"
        )
        found = read_tps(text_file(tmp_path / "a.tps", text), geometries=PICTURES)
        assert list(found) == ["wing 1.png", "wing 2.png"]
        assert found["wing 1.png"].schema.names == ("LM1", "LM2")
        assert found["wing 1.png"]["LM1"].position == (0, 5)
        assert found["wing 1.png"]["LM2"].status is Status.MISSING
        assert found["wing 2.png"]["LM1"].position == (46.5, 1.5)
        assert found["wing 2.png"]["LM2"].status is Status.MISSING

    def test_three_coordinates_need_no_image(self, tmp_path):
        path = text_file(tmp_path / "a.tps", "LM3=2\n1 2 -3\n-1 -1 -1\nID=skull\n")
        found = read_tps(path, schema=SCHEMA)["skull"]
        assert found["tip"].position == (-3, 2, 1)
        assert found["base"].status is Status.MISSING

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no line LM="),
            ("LM=2\n1 2\n", "line 1: says 2 points, and the file ends after 1"),
            ("LM=x\n", "line 1: expected a number of points, got 'x'"),
            ("LM=-1\n", "line 1: expected a number"),
            ("LM=1\n1 2 3\nIMAGE=wing 1.png", "line 2: expected 2 coordinates"),
            ("LM=1\n1 q\nIMAGE=wing 1.png", "line 2: a coordinate is 'q'"),
            ("LM=1\n1 2\nhello\n", "line 3: expected a line such as"),
            ("LM=1\n1 2\nIMAGE=leg.png", "line 1: .*no image 'leg.png' among those given: add it, or remove"),
            (
                "LM=0\nCURVES=1\nPOINTS=2\n1 1\n2 2\nIMAGE=wing 1.png\n",
                "LM=0; curves and outlines are not read",
            ),
            ("LM=1\n1 2\nIMAGE=wing 1.png\n" * 2, r"line 4: the image wing 1\.png is there twice"),
            (
                "LM=3\n1 2\n3 4\n5 6\nIMAGE=wing 1.png\nLM=2\n3 4\n5 6\nIMAGE=wing 2.png\n",
                "line 6: has 2 landmarks, and the specimen in line 1 has 3: .*write NA NA",
            ),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, text, message):
        with pytest.raises(InputError, match=message):
            read_tps(text_file(tmp_path / "a.tps", text), geometries=PICTURES)

    def test_the_end_mark_of_dos_is_none_of_the_content(self, tmp_path):
        path = text_file(tmp_path / "a.tps", "LM=1\r\n1 2\r\nIMAGE=wing 1.png\r\n\x1a")
        assert list(read_tps(path, geometries=PICTURES)) == ["wing 1.png"]

    def test_an_image_that_is_not_there_needs_no_other_command(self, tmp_path):
        path = text_file(tmp_path / "a.tps", "LM=1\n1 2\nIMAGE=leg.png\n")
        with pytest.raises(InputError, match=r"no image 'leg\.png'") as caught:
            read_tps(path, geometries=PICTURES)
        assert caught.value.code is None

    def test_it_needs_the_images(self, tmp_path):
        path = text_file(tmp_path / "a.tps", "LM=1\n1 2\nIMAGE=wing 1.png\n")
        with pytest.raises(InputError, match=r"a\.tps, line 1: .*wing 1\.png' is needed") as caught:
            read_tps(path)
        assert caught.value.code is ErrorCode.NEEDS_IMAGES_TO_READ

    def test_as_many_names_as_landmarks(self, tmp_path):
        path = text_file(tmp_path / "a.tps", "LM=1\n1 2\nIMAGE=wing 1.png\n")
        with pytest.raises(InputError, match="has 1 landmarks, and 2 names"):
            read_tps(path, schema=SCHEMA, geometries=PICTURES)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_spoiled_files(self, folder, drawn, survives, data):
        path = folder / "spoiled.tps"
        write_tps(path, {"wing 1.png": MARKS, "wing 2.png": MARKS}, geometries=PICTURES)
        survives(read_tps, path, data.draw(drawn.spoiled(path.read_bytes())), geometries=PICTURES)


BORDER = Curve("border", "tip", "base", 3)
CURVED = LandmarkSchema(("tip", "border[1]", "border[2]", "border[3]", "base"), curves=(BORDER,))


class TestCurves:
    """Semilandmarks as CURVES=, which other programs read as such."""

    def test_they_are_written_after_the_landmarks(self, tmp_path):
        marks = LandmarkSet.from_array(CURVED, [[0, 0], [0, 10], [0, 20], [np.nan] * 2, [0, 40]])
        path = tmp_path / "a.tps"
        write_tps(path, {"wing 1.png": marks}, geometries=PICTURES)
        assert path.read_text().split() == [
            *("LM=2", "0.000000", "99.000000", "40.000000", "99.000000", "CURVES=1", "POINTS=3"),
            *("10.000000", "99.000000", "20.000000", "99.000000", "-1", "-1"),
            *("IMAGE=wing", "1.png", "ID=0", "SCALE=0.25"),
        ]
        found = read_tps(path, schema=CURVED, geometries=PICTURES)["wing 1.png"]
        np.testing.assert_array_equal(found.positions(), marks.positions())
        assert found["border[3]"].status is Status.MISSING

    def test_volumes(self, tmp_path):
        marks = LandmarkSet.from_array(CURVED, np.arange(15.0).reshape(5, 3))
        write_tps(tmp_path / "a.tps", {"v.nii.gz": marks})
        assert "POINTS3=3" in (tmp_path / "a.tps").read_text()
        found = read_tps(tmp_path / "a.tps", schema=CURVED)["v.nii.gz"]
        np.testing.assert_array_equal(found.positions(), marks.positions())

    @pytest.mark.parametrize(
        ("points", "x"),
        [
            ("3\n10 0\n20 0\n30 0", [10, 20, 30]),
            ("5\n0 0\n9 0\n20 0\n31 0\n40 0", [9, 20, 31]),  # with both ends
            ("7\n40 0\n39 0\n35 0\n22 0\n8 0\n1 0\n0 0", [10, 20, 30]),  # drawn freely, from the end on
        ],
    )
    def test_curves_of_other_programs(self, tmp_path, points, x):
        path = text_file(
            tmp_path / "a.tps", f"LM=2\n0 0\n40 0\nCURVES=1\nPOINTS={points}\nIMAGE=wing 1.png\n"
        )
        found = read_tps(path, schema=CURVED, geometries=PICTURES)["wing 1.png"]
        np.testing.assert_allclose(found.positions()[1:4, 1], x, atol=1e-9)
        np.testing.assert_allclose(found.positions()[:, 0], 99)

    def test_files_with_all_among_the_landmarks_are_read_as_before(self, tmp_path):
        path = text_file(tmp_path / "a.tps", "LM=5\n0 0\n1 0\n2 0\n3 0\n4 0\nIMAGE=wing 1.png\n")
        found = read_tps(path, schema=CURVED, geometries=PICTURES)["wing 1.png"]
        np.testing.assert_allclose(found.positions()[:, 1], range(5))

    def test_specimens_without_curves_have_no_semilandmarks(self, tmp_path):
        path = text_file(tmp_path / "a.tps", "LM=2\n0 0\n4 0\nIMAGE=wing 1.png\n")
        found = read_tps(path, schema=CURVED, geometries=PICTURES)["wing 1.png"]
        assert [found[name].status for name in BORDER.semilandmarks] == [Status.UNPLACED] * 3

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("LM=3\n0 0\n1 1\n4 0\nIMAGE=wing 1.png\n", r"5 names are given \(2 without the semilandmarks\)"),
            (
                "LM=2\n0 0\n4 0\nCURVES=2\nPOINTS=1\n1 1\nPOINTS=1\n1 1\nIMAGE=wing 1.png\n",
                "has 2 curves, and 1 are given",
            ),
            (
                "LM=2\n0 0\n4 0\nCURVES=1\nPOINTS=3\n1 1\nIMAGE=wing 1.png\n",
                "says 3 points|expected a number",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, tmp_path, text, words):
        path = text_file(tmp_path / "a.tps", text)
        with pytest.raises(InputError, match=words):
            read_tps(path, schema=CURVED, geometries=PICTURES)
