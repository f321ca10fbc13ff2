from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.curves import Curve
from napari_landmark.data.errors import ErrorCode, InputError, UnknownSpacingError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.formats.slicer_json import read_slicer_json, write_slicer_json
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import Link

SCHEMA = LandmarkSchema(("sella", "nasion", "gonion"), (), ("midpoint", "", ""))
PICTURE = {"hand.png": Geometry((100, 80), (0.5, 0.25))}


@pytest.fixture
def marks():
    return LandmarkSet(
        SCHEMA, (Landmark("sella", (10, 20), "predicted", 0.875, 1.5), Landmark("nasion", None, "missing"))
    )


def written(path, sets, geometries=PICTURE):
    write_slicer_json(path, sets, geometries=geometries)
    return json.loads(path.read_text(encoding="utf-8"))


def point_file(path, points, **markup):
    data = {"@schema": "x", "markups": [{"type": "Fiducial", "controlPoints": points, **markup}]}
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


class TestRoundTrip:
    @settings(max_examples=40, deadline=None)
    @given(st.data(), st.sampled_from((2, 3)))
    def test_everything_comes_back(self, folder, drawn, data, ndim):
        sets, geometries = data.draw(drawn.sets(ndim, 1))
        path = folder / "points.mrk.json"
        write_landmarks(path, sets, geometries=geometries)
        found = read_landmarks(path, geometries=geometries)
        assert list(found) == list(sets)
        for image, before in sets.items():
            after = found[image]
            assert after.schema.names == before.schema.names
            np.testing.assert_allclose(after.positions(ndim), before.positions(ndim), atol=1e-6)
            for name, mark in before.items():
                states = [(m.status, m.confidence, m.expected_error) for m in (mark, after[name])]
                if mark.position is not None or mark.confidence is None is mark.expected_error:
                    assert states[0] == states[1]

    def test_definitions_are_descriptions(self, tmp_path, marks):
        path = tmp_path / "hand.mrk.json"
        data = written(path, {"hand.png": marks})
        description = data["markups"][0]["controlPoints"][0]["description"]
        assert description.startswith("midpoint [predicted; confidence 0.875; expected error 1.5 px; at ")
        assert read_slicer_json(path, geometries=PICTURE)["hand.png"].schema.definitions == SCHEMA.definitions


class TestCoordinates:
    def test_a_picture_is_a_slice_at_zero(self, tmp_path, marks):
        (markup,) = written(tmp_path / "a.mrk.json", {"hand.png": marks})["markups"]
        assert markup["coordinateSystem"] == "LPS"
        sella, nasion, gonion = markup["controlPoints"]
        assert sella["position"] == [20 * 0.25, 10 * 0.5, 0]
        assert [p["positionStatus"] for p in (sella, nasion, gonion)] == ["defined", "missing", "undefined"]
        assert "position" not in nasion

    def test_a_volume_agrees_with_itk(self, tmp_path):
        sitk = pytest.importorskip("SimpleITK")
        image = sitk.Image(7, 6, 5, sitk.sitkUInt8)
        image.SetSpacing((0.5, 0.75, 2))
        image.SetOrigin((-10, 20, 5))
        image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
        sitk.WriteImage(image, tmp_path / "v.nrrd")
        from napari_landmark.data.images.image import read_geometry

        geometry = read_geometry(tmp_path / "v.nrrd")
        landmarks = LandmarkSet(LandmarkSchema(("a",)), [Landmark("a", (1.5, 2, 3), "placed")])
        data = written(tmp_path / "v.mrk.json", {"v.nrrd": landmarks}, {"v.nrrd": geometry})
        expected = image.TransformContinuousIndexToPhysicalPoint((3, 2, 1.5))
        np.testing.assert_allclose(data["markups"][0]["controlPoints"][0]["position"], expected)

    def test_ras_and_micrometres(self, tmp_path):
        points = [{"label": "a", "position": [-5000, -5000, 0]}]
        path = point_file(tmp_path / "x.mrk.json", points, coordinateSystem="RAS", coordinateUnits="um")
        assert read_slicer_json(path, geometries=PICTURE)["hand.png"]["a"].position == (10, 20)

    def test_points_of_another_plane_are_no_pictures(self, tmp_path):
        points = [{"label": str(z), "position": [1, 1, z]} for z in (0, 30)]
        path = point_file(tmp_path / "x.mrk.json", points)
        with pytest.raises(InputError, match="several z"):
            read_slicer_json(path, geometries=PICTURE)


class TestStates:
    def test_a_point_moved_since_was_corrected_by_a_person(self, tmp_path, marks):
        path = tmp_path / "hand.mrk.json"
        data = written(path, {"hand.png": marks})
        data["markups"][0]["controlPoints"][0]["position"][0] += 0.25
        path.write_text(json.dumps(data))
        found = read_slicer_json(path, geometries=PICTURE)["hand.png"]["sella"]
        assert found == Landmark("sella", (10, 21), Status.CORRECTED)

    def test_a_preview_is_a_position_that_nobody_confirmed(self, tmp_path):
        points = [
            {"label": "a", "position": [2, 4, 0], "positionStatus": "preview"},
            {"label": "b", "position": "", "positionStatus": "preview"},
        ]
        path = point_file(tmp_path / "x.mrk.json", points)
        found = read_slicer_json(path, geometries={"x.png": Geometry((9, 9), (1, 1))})["x.png"]
        assert found["a"] == Landmark("a", (4, 2), Status.PREDICTED)
        assert found["b"] == Landmark("b")

    def test_what_slicer_itself_writes_for_a_missing_point(self, tmp_path):
        points = [
            {"label": "a", "position": "", "positionStatus": "missing"},
            {"label": "b", "position": [0, 0, 0]},
        ]
        path = point_file(tmp_path / "x.mrk.json", points)
        found = read_slicer_json(path, geometries=PICTURE)["hand.png"]
        assert [mark.status for mark in found.values()] == [Status.MISSING, Status.PLACED]


class TestWhichImage:
    GEOMETRIES = {"a.png": Geometry((9, 9), (1, 1)), "b.png": Geometry((9, 9), (2, 2))}  # noqa: RUF012
    POINTS = [{"label": "p", "position": [2, 4, 0]}]  # noqa: RUF012

    def test_by_the_name_of_the_file(self, tmp_path):
        path = point_file(tmp_path / "b.mrk.json", self.POINTS)
        found = read_slicer_json(path, geometries=self.GEOMETRIES)
        assert found["b.png"]["p"].position == (2, 1)

    def test_by_the_name_inside(self, tmp_path):
        path = point_file(tmp_path / "F.mrk.json", self.POINTS, name="b.png")
        assert list(read_slicer_json(path, geometries=self.GEOMETRIES)) == ["b.png"]

    def test_two_names_that_differ(self, tmp_path):
        path = point_file(tmp_path / "a.mrk.json", self.POINTS, name="b.png")
        with pytest.raises(InputError, match=r"a\.png.*b\.png"):
            read_slicer_json(path, geometries=self.GEOMETRIES)

    def test_no_name(self, tmp_path):
        path = point_file(tmp_path / "F.mrk.json", self.POINTS)
        with pytest.raises(InputError, match=r"none of the 2 images is called 'F'.*a\.mrk\.json for a\.png"):
            read_slicer_json(path, geometries=self.GEOMETRIES)


class TestRefusals:
    def test_writing_needs_millimetres(self, tmp_path, marks):
        path = tmp_path / "a.mrk.json"
        with pytest.raises(InputError, match=r"hand\.png is needed") as caught:
            write_slicer_json(path, {"hand.png": marks})
        assert caught.value.code is ErrorCode.NEEDS_IMAGES_AND_SPACING
        with pytest.raises(UnknownSpacingError, match=r"hand\.png is not known") as caught:
            write_slicer_json(path, {"hand.png": marks}, geometries={"hand.png": Geometry((100, 80))})
        assert caught.value.code is ErrorCode.NEEDS_SPACING
        with pytest.raises(InputError, match="one image, here are 2"):
            write_slicer_json(path, {"a": marks, "b": marks}, geometries=PICTURE)
        assert not path.exists()

    def test_reading_needs_the_image(self, tmp_path):
        path = point_file(tmp_path / "a.mrk.json", [{"label": "p", "position": [2, 4, 0]}])
        with pytest.raises(InputError, match="the image is needed") as caught:
            read_slicer_json(path)
        assert caught.value.code is ErrorCode.NEEDS_IMAGES_TO_READ
        with pytest.raises(UnknownSpacingError, match=r"a\.png is not known") as caught:
            read_slicer_json(path, geometries={"a.png": Geometry((9, 9))})
        assert caught.value.code is ErrorCode.NEEDS_SPACING

    @pytest.mark.parametrize(
        ("points", "markup", "message"),
        [
            ([{"position": [1, 2, 3]}], {}, "point 1: has no label"),
            ([{"label": "a", "position": [1, 2]}], {}, "point 1: a position of 2 values"),
            ([{"label": "a", "position": [1, "q", 3]}], {}, "y is 'q'"),
            ([{"label": "a", "position": [1, True, 3]}], {}, "y is True"),
            ([{"label": "a"}], {}, "has no position"),
            ([{"label": "a", "position": [1, 2, 0]}] * 2, {}, "there twice"),
            ([{"label": "a", "positionStatus": "odd"}], {}, "status 'odd'"),
            ([{"label": "a", "position": [1, 2, 0]}], {"coordinateSystem": "XYZ"}, "LPS or RAS"),
            ([{"label": "a", "position": [1, 2, 0]}], {"coordinateUnits": "inch"}, "mm or um"),
            ([{"label": "a", "position": [1, 2, 0]}], {"type": "Line"}, "no point list"),
            ([], {}, "no point list"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, points, markup, message):
        path = point_file(tmp_path / "a.mrk.json", points, **markup)
        with pytest.raises(InputError, match=message):
            read_slicer_json(path, geometries=PICTURE)

    def test_names_outside_the_schema(self, tmp_path):
        path = point_file(tmp_path / "a.mrk.json", [{"label": "elbow", "position": [2, 4, 0]}])
        with pytest.raises(InputError, match="point 1: unknown landmark 'elbow'"):
            read_slicer_json(path, schema=SCHEMA, geometries=PICTURE)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_spoiled_files(self, folder, drawn, survives, data):
        path = folder / "spoiled.mrk.json"
        marks = LandmarkSet(SCHEMA, [Landmark("sella", (10, 20), "predicted", 0.5)])
        write_slicer_json(path, {"hand.png": marks}, geometries=PICTURE)
        content = path.read_bytes()
        spoiled = data.draw(drawn.spoiled(content) | drawn.spoiled_json(content))
        survives(read_slicer_json, path, spoiled, geometries=PICTURE)


def test_the_schema_of_slicer_accepts_it(tmp_path, marks):
    """The names and kinds of values of markups schema 1.0.3."""
    data = written(tmp_path / "a.mrk.json", {"hand.png": marks})
    assert "markups-schema-v1.0.3.json" in data["@schema"]
    for point in data["markups"][0]["controlPoints"]:
        assert all(isinstance(point[key], str) for key in ("id", "label", "description", "associatedNodeID"))
        assert all(isinstance(point[key], bool) for key in ("selected", "locked", "visibility"))
        assert len(point["orientation"]) == 9
        assert len(point.get("position", (0, 0, 0))) == 3


class TestPeers:
    """slicerio turns the older file of 3D Slicer into this one: both must mean the same places."""

    GEOMETRY = Geometry(
        (20, 30, 40),
        (2.0, 0.5, 0.25),
        origin=(-30, 12, 7),
        direction=((0.0, 0.0, 1.0), (0.6, 0.8, 0.0), (0.8, -0.6, 0.0)),
    )

    def test_as_slicerio_writes_it(self, tmp_path):
        slicerio = pytest.importorskip("slicerio")
        geometries = {"v.nrrd": self.GEOMETRY}
        before = LandmarkSet.from_array(SCHEMA, [[3, 4.5, 20], [19, 0, 39.25], [0, 29, 1]])
        write_landmarks(tmp_path / "v.fcsv", {"v.nrrd": before}, geometries=geometries)
        path = slicerio.fcsv_to_markups_json(str(tmp_path / "v.fcsv"), str(tmp_path / "v.mrk.json"))
        found = read_landmarks(path, schema=SCHEMA, geometries=geometries)["v.nrrd"]
        np.testing.assert_allclose(found.positions(), before.positions(), atol=1e-5)
        own = written(tmp_path / "own" / "v.mrk.json", {"v.nrrd": before}, geometries)["markups"][0]
        theirs = json.loads(path.read_text())["markups"][0]
        assert own["coordinateSystem"] == theirs["coordinateSystem"] == "LPS"
        for mine, other in zip(own["controlPoints"], theirs["controlPoints"], strict=True):
            assert mine["label"] == other["label"]
            assert mine["positionStatus"] == "defined"
            np.testing.assert_allclose(mine["position"], other["position"], atol=1e-6)


BORDER = Curve("border", "tip", "base", 3)
CURVED = LandmarkSchema(("tip", "base", *BORDER.semilandmarks), curves=(BORDER,))
CURVE_GEOMETRY = {"a.png": Geometry((100, 100), (0.5, 2.0), (3.0, 4.0))}


class TestCurves:
    """Semilandmarks as markups curves."""

    def written(self, tmp_path):
        marks = LandmarkSet.from_array(CURVED, [[0, 0], [40, 0], [10, 1], [20, 2], [30, 1]])
        path = tmp_path / "a.mrk.json"
        write_landmarks(path, {"a.png": marks}, geometries=CURVE_GEOMETRY)
        return path, json.loads(path.read_text()), marks

    def test_they_come_back_with_their_curve(self, tmp_path):
        path, data, marks = self.written(tmp_path)
        assert [markup["type"] for markup in data["markups"]] == ["Fiducial", "Curve"]
        assert [point["label"] for point in data["markups"][1]["controlPoints"]] == list(BORDER.chain)
        for schema in (CURVED, None):
            found = read_landmarks(path, schema=schema, geometries=CURVE_GEOMETRY)["a.png"]
            np.testing.assert_allclose(found.positions(), marks.positions(), atol=1e-9)
            assert found.schema.curves == (BORDER,)

    @pytest.mark.parametrize("through", [("tip", "side", "base"), ("tip", "border[1]", "base")])
    def test_a_link_of_the_name_of_a_curve_is_no_curve(self, tmp_path, through):
        names = ("tip", "base", *BORDER.semilandmarks, "side")
        schema = LandmarkSchema(names, curves=(BORDER,), links=(Link(through, name="border"),))
        positions = [[0, 0], [40, 0], [10, 1], [20, 2], [30, 1], [20, 9]]
        path = tmp_path / "a.mrk.json"
        sets = {"a.png": LandmarkSet.from_array(schema, positions)}
        write_landmarks(path, sets, geometries=CURVE_GEOMETRY)
        for known in (schema, None):
            found = read_landmarks(path, schema=known, geometries=CURVE_GEOMETRY)["a.png"]
            np.testing.assert_allclose(found.positions(), positions, atol=1e-9)
            assert found.schema.curves == (BORDER,)

    def test_a_curve_alone_has_its_semilandmarks(self, tmp_path):
        path, data, marks = self.written(tmp_path)
        data["markups"][0]["controlPoints"] = data["markups"][0]["controlPoints"][:2]
        path.write_text(json.dumps(data))
        found = read_landmarks(path, schema=CURVED, geometries=CURVE_GEOMETRY)["a.png"]
        np.testing.assert_allclose(found.positions(), marks.positions(), atol=1e-9)

    def test_a_point_that_was_moved_on_one_of_both_is_refused(self, tmp_path):
        path, data, _ = self.written(tmp_path)
        data["markups"][1]["controlPoints"][2]["position"][0] += 1
        path.write_text(json.dumps(data))
        with pytest.raises(
            InputError, match=r"'border\[2\]' is at one position in the point list and at another"
        ):
            read_landmarks(path, schema=CURVED, geometries=CURVE_GEOMETRY)

    def test_a_curve_drawn_in_slicer_is_resampled_in_millimetres(self, tmp_path):
        path, data, _ = self.written(tmp_path)
        corners = [[0, 0, 0], [0, 10, 0], [10, 10, 0]]  # 10 mm down, then 10 mm across
        data["markups"][1]["controlPoints"] = [
            {"id": str(n), "label": f"C-{n}", "position": xyz, "positionStatus": "defined"}
            for n, xyz in enumerate(corners)
        ]
        data["markups"][0]["controlPoints"] = data["markups"][0]["controlPoints"][:2]
        path.write_text(json.dumps(data))
        found = read_landmarks(path, schema=CURVED, geometries=CURVE_GEOMETRY)["a.png"]
        world = CURVE_GEOMETRY["a.png"].to_world(found.positions()[2:])
        np.testing.assert_allclose(world, [[5, 0], [10, 0], [10, 5]], atol=1e-9)
        without = read_landmarks(path, geometries=CURVE_GEOMETRY)["a.png"]
        assert without.schema.names == ("tip", "base")
