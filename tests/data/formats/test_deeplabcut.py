from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.deeplabcut import read_deeplabcut, write_deeplabcut
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

SCHEMA = LandmarkSchema(("paw", "tail"))
SETS = {
    "img1.png": LandmarkSet(
        SCHEMA, [Landmark("paw", (10, 20.25), "placed"), Landmark("tail", (1, 2), "placed")]
    ),
    "img2.png": LandmarkSet(SCHEMA, [Landmark("paw", (3, 4), "placed")]),
}
OLD = "scorer,me,me,me,me\nbodyparts,paw,paw,tail,tail\ncoords,x,y,x,y\n"


def text_file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


class TestRoundTrip:
    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_positions_and_likelihoods_come_back(self, folder, drawn, data):
        sets, _ = data.draw(drawn.sets(2))
        path = folder / "points.dlc.csv"
        write_landmarks(path, sets)
        found = read_landmarks(path)
        assert list(found) == list(sets)
        for image, before in sets.items():
            np.testing.assert_array_equal(found[image].positions(), before.positions())
            for name, mark in before.items():
                after = found[image][name]
                if mark.status is Status.PREDICTED and mark.confidence is not None:
                    assert (after.status, after.confidence) == (mark.status, mark.confidence)
                else:
                    assert after.status is (Status.UNPLACED if mark.position is None else Status.PLACED)


class TestReading:
    def test_one_column_for_the_image(self, tmp_path):
        path = text_file(tmp_path / "a.csv", OLD + "labeled-data/v/img1.png,20.25,10,,\n")
        found = read_landmarks(path)["img1.png"]
        assert found["paw"] == Landmark("paw", (10, 20.25), Status.PLACED)
        assert found["tail"] == Landmark("tail")

    def test_several_videos_keep_their_folders(self, tmp_path):
        text = OLD + "labeled-data/v/i.png,1,2,3,4\nlabeled-data\\w\\i.png,1,2,3,4\n"
        path = text_file(tmp_path / "a.csv", text)
        assert list(read_deeplabcut(path)) == ["labeled-data/v/i.png", "labeled-data/w/i.png"]
        geometries = {"v/i.png": Geometry((9, 9)), "k.png": Geometry((9, 9))}
        with pytest.raises(InputError, match="twice"):
            read_deeplabcut(path, geometries=geometries)

    @pytest.mark.parametrize("sign", [";", "\t"])
    def test_cells_between_other_signs(self, tmp_path, sign):
        path = text_file(tmp_path / "a.csv", (OLD + "i.png,1,2,3,4\n").replace(",", sign))
        assert read_landmarks(path) == read_landmarks(text_file(tmp_path / "b.csv", OLD + "i.png,1,2,3,4\n"))

    def test_predictions(self, tmp_path):
        text = (
            "scorer,net,net,net\nindividuals,one,one,one\nbodyparts,paw,paw,paw\ncoords,x,y,likelihood\n"
            "0,1.5,2,0.75\n1,,,\n"
        )
        found = read_landmarks(text_file(tmp_path / "a.csv", text))
        assert found["0"]["paw"] == Landmark("paw", (2, 1.5), Status.PREDICTED, 0.75)
        assert found["1"]["paw"] == Landmark("paw")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("scorer,a,a\n", "no line 'bodyparts'"),
            (OLD, "titles and no landmarks"),
            (OLD + "i.png,1,2,3\n", "line 4: has 4 columns, the titles have 5"),
            (OLD + "i.png,1,2,3,q\n", "line 4: y of 'tail' is 'q'"),
            (OLD + "i.png,1,2,3,\n", "line 4: 'tail' has x only"),
            (OLD + "i.png,1,2,3,4\n" * 2, "line 5: the image i.png is there twice"),
            (OLD + ",1,2,3,4\n", "line 4: the image has no name"),
            (OLD.replace("tail,tail", "paw,paw") + "i.png,1,2,3,4\n", "x of 'paw' twice"),
            (OLD.replace("x,y,x,y", "x,y,x,z"), "a column 'z'"),
            (OLD.replace("x,y,x,y", "x,y,x,likelihood"), "'tail' has no column y"),
            (OLD.replace("bodyparts", "individuals,a,a,b,b\nbodyparts"), "2 individuals"),
            (OLD + 'i.png,"1', "not a readable row"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, text, message):
        with pytest.raises(InputError, match=message):
            read_landmarks(text_file(tmp_path / "a.csv", text))

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_spoiled_files(self, folder, drawn, survives, data):
        path = folder / "spoiled.csv"
        path.unlink(missing_ok=True)
        write_deeplabcut(path, SETS)
        survives(read_deeplabcut, path, data.draw(drawn.spoiled(path.read_bytes())))


class TestAgainstPandas:
    """DeepLabCut reads and writes its files with pandas, three levels of titles and of images."""

    def test_it_reads_what_is_written_here(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        path = tmp_path / "mouse" / "CollectedData_ann.csv"
        write_landmarks(path, SETS)
        table = pandas.read_csv(path, header=[0, 1, 2], index_col=[0, 1, 2])
        assert table.index.tolist() == [
            ("labeled-data", "mouse", "img1.png"),
            ("labeled-data", "mouse", "img2.png"),
        ]
        assert table.columns.tolist()[:2] == [("ann", "paw", "x"), ("ann", "paw", "y")]
        np.testing.assert_array_equal(table.to_numpy(), [[20.25, 10, 2, 1], [4, 3, np.nan, np.nan]])

    @pytest.mark.parametrize("levels", [1, 3])
    def test_what_it_writes_is_read_here(self, tmp_path, levels):
        pandas = pytest.importorskip("pandas")
        columns = pandas.MultiIndex.from_product(
            [["ann"], SCHEMA.names, ["x", "y"]], names=["scorer", "bodyparts", "coords"]
        )
        parts = [("labeled-data", "mouse", name) for name in SETS]
        index = pandas.MultiIndex.from_tuples(parts) if levels == 3 else ["/".join(part) for part in parts]
        values = [[20.25, 10, 2, 1], [4, 3, np.nan, np.nan]]
        pandas.DataFrame(values, index=index, columns=columns).to_csv(tmp_path / "CollectedData_ann.csv")
        assert read_landmarks(tmp_path / "CollectedData_ann.csv") == SETS


def test_volumes_are_refused(tmp_path):
    marks = LandmarkSet(SCHEMA, [Landmark("paw", (1, 2, 3), "placed")])
    with pytest.raises(InputError, match="is a volume"):
        write_deeplabcut(tmp_path / "a.dlc.csv", {"v.nii": marks})
