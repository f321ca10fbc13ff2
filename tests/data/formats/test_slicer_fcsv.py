from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.formats.slicer_fcsv import read_fcsv, write_fcsv
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

VOLUME = {"v.nii.gz": Geometry((10, 20, 30), (2, 1, 1), (5, 6, 7))}
COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
MARKS = LandmarkSet(
    LandmarkSchema(("a, b", "c")),
    [Landmark("a, b", (1, 2, 3), "predicted", 0.5), Landmark("c", None, "missing")],
)


def point_file(path, lines, system="LPS"):
    path.write_text(
        f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n{COLUMNS}{lines}"
    )
    return path


class TestRoundTrip:
    @settings(max_examples=40, deadline=None)
    @given(st.data(), st.sampled_from((2, 3)))
    def test_landmarks_with_a_position_come_back(self, folder, drawn, data, ndim):
        sets, geometries = data.draw(drawn.sets(ndim, 1))
        ((image, before),) = sets.items()
        path = folder / "points.fcsv"
        write_landmarks(path, sets, geometries=geometries)
        after = read_landmarks(path, schema=before.schema, geometries=geometries)[image]
        np.testing.assert_allclose(after.positions(ndim), before.positions(ndim), atol=1e-6)
        for name, mark in before.items():
            if mark.position is not None:
                assert after[name].status is mark.status
                assert after[name].confidence == mark.confidence
            else:
                assert after[name] == Landmark(name)


class TestReading:
    @pytest.mark.parametrize(
        ("system", "x", "y"), [("LPS", 8, 8), ("1", 8, 8), ("RAS", -8, -8), ("0", -8, -8)]
    )
    def test_coordinate_systems_of_all_versions(self, tmp_path, system, x, y):
        path = point_file(tmp_path / "F.fcsv", f"vtkMRMLMarkups_0,{x},{y},9,0,0,0,1,1,1,0,tip,,\n", system)
        found = read_fcsv(path, geometries=VOLUME)["v.nii.gz"]
        assert found["tip"].position == (2, 2, 1)
        assert found["tip"].status is Status.PLACED

    def test_files_without_a_coordinate_system_are_ras(self, tmp_path):
        path = tmp_path / "F.fcsv"
        path.write_text(COLUMNS + "0,-8,-8,9,0,0,0,1,1,1,0,tip,,\n")
        assert read_fcsv(path, geometries=VOLUME)["v.nii.gz"]["tip"].position == (2, 2, 1)

    def test_the_status_that_slicer_5_adds(self, tmp_path):
        lines = "".join(f"{n},8,8,9,0,0,0,1,1,1,0,p{n},,,{n},0\n" for n in range(4))
        found = read_fcsv(point_file(tmp_path / "F.fcsv", lines), geometries=VOLUME)["v.nii.gz"]
        states = [mark.status for mark in found.values()]
        assert states == [Status.UNPLACED, Status.PREDICTED, Status.PLACED, Status.MISSING]

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ("1,a,2,3,0,0,0,1,1,1,0,tip,,\n", "line 4: x is 'a'"),
            ("1,1,nan,3,0,0,0,1,1,1,0,tip,,\n", "line 4: y is 'nan'"),
            ("1,1,2,3,0,0,0,1,1,1,0,,,\n", "line 4: has no label"),
            ("1,1,2\n", "line 4: has no label"),
            ("1,1,5,2,5,3,5,0,0,0,1,1,1,0,tip,,\n", "line 4: has 17 cells, the columns are 14: is a decimal"),
            ("1,1,2,3,0,0,0,1,1,1,0,tip,,,7,0\n", "status '7'"),
            ("", "holds no points"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, lines, message):
        with pytest.raises(InputError, match=message):
            read_fcsv(point_file(tmp_path / "F.fcsv", lines), geometries=VOLUME)

    def test_an_unknown_coordinate_system(self, tmp_path):
        with pytest.raises(InputError, match="line 2: coordinate system 'XYZ'"):
            read_fcsv(point_file(tmp_path / "F.fcsv", "", "XYZ"), geometries=VOLUME)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_spoiled_files(self, folder, drawn, survives, data):
        path = folder / "spoiled.fcsv"
        write_fcsv(path, {"v.nii.gz": MARKS}, geometries=VOLUME)
        survives(read_fcsv, path, data.draw(drawn.spoiled(path.read_bytes())), geometries=VOLUME)


class TestAgainstSlicerio:
    def test_it_reads_what_is_written_here(self, tmp_path):
        slicerio = pytest.importorskip("slicerio")
        path = tmp_path / "v.fcsv"
        plain = LandmarkSet(LandmarkSchema(("tip", "end")), [Landmark("tip", (1, 2, 3), "placed")])
        write_fcsv(path, {"v.nii.gz": plain}, geometries=VOLUME)
        (markup,) = slicerio.read_markups_fcsv(path)["markups"]
        (point,) = markup["controlPoints"]
        assert (markup["coordinateSystem"], point["label"]) == ("LPS", "tip")
        assert point["position"] == [10, 8, 7]

    def test_its_sample_file_and_what_it_makes_of_it(self, tmp_path):
        slicerio = pytest.importorskip("slicerio")
        source = slicerio.get_testdata_file("F_1.fcsv")
        converted = slicerio.fcsv_to_markups_json(source, tmp_path / "v.mrk.json")
        ours, theirs = (read_landmarks(path, geometries=VOLUME)["v.nii.gz"] for path in (source, converted))
        assert len(ours) == 12
        assert dict(ours) == dict(theirs)
        world = VOLUME["v.nii.gz"].to_world([ours["F_1-1"].position])[0]
        np.testing.assert_allclose(world[::-1], [-6.282824184397157, -51.06216973995272, -10.2143])
        assert ours.schema.definitions[1] == "Some description"
