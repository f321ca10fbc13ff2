from __future__ import annotations

import csv
import math
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.landmark_csv import read_csv, write_csv
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

SCHEMA = LandmarkSchema(("sella", "nasion"))

image_names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    str.strip
)
landmark_names = st.text(st.sampled_from(string.printable[:95] + "éß日"), min_size=1, max_size=8).filter(
    lambda name: name == name.strip() and name.isprintable()
)
numbers = st.floats(-1e5, 1e5).map(lambda value: round(value, 6))


@st.composite
def landmark_sets(draw: st.DrawFn) -> dict[str, LandmarkSet]:
    schema = LandmarkSchema(tuple(draw(st.lists(landmark_names, min_size=1, max_size=4, unique=True))))
    ndim = draw(st.sampled_from((2, 3)))
    sets = {}
    for image in draw(st.lists(image_names, min_size=1, max_size=3, unique=True)):
        marks = []
        for name in schema.names:
            status = draw(st.sampled_from(Status))
            position = tuple(draw(numbers) for _ in range(ndim)) if status.has_position else None
            confidence = draw(st.none() | st.floats(0, 1).map(lambda value: round(value, 6)))
            error = draw(st.none() | st.floats(0, 99).map(lambda value: round(value, 6)))
            covariance = None
            if position is not None and draw(st.booleans()):
                root = np.array(draw(st.lists(st.floats(-9, 9), min_size=ndim**2, max_size=ndim**2)))
                root = root.reshape(ndim, ndim)
                covariance = tuple(map(tuple, (root @ root.T + np.eye(ndim)).round(6).tolist()))
            marks.append(Landmark(name, position, status, confidence, error, covariance=covariance))
        sets[image] = LandmarkSet(schema, marks, image_state=draw(st.none() | st.sampled_from(ImageState)))
    return sets


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


class TestRoundTrip:
    @settings(max_examples=60)
    @given(landmark_sets())
    def test_everything_comes_back(self, tmp_path_factory, sets):
        path = tmp_path_factory.getbasetemp() / "round.csv"
        write_csv(path, sets, geometries=None)
        found = read_csv(path)
        assert list(found) == list(sets)
        for image, landmarks in sets.items():
            assert dict(found[image]) == dict(landmarks)
            assert found[image].image_state is landmarks.image_state

    def test_by_the_end_of_the_name(self, tmp_path):
        sets = {"a.png": LandmarkSet.from_array(SCHEMA, [[1, 2], [3, 4]])}
        write_landmarks(tmp_path / "A.CSV", sets)
        assert read_landmarks(tmp_path / "A.CSV") == sets
        with pytest.raises(InputError, match=r"a\.xyz: not a known landmark format; known are .*\.csv"):
            read_landmarks(tmp_path / "a.xyz")


class TestWriting:
    def test_columns(self, tmp_path):
        sets = {
            "a.png": LandmarkSet(
                SCHEMA,
                [
                    Landmark("sella", (10.5, 20), Status.PREDICTED, 0.9, 4),
                    Landmark("nasion", None, Status.MISSING),
                ],
            ),
            "b.png": LandmarkSet.from_array(SCHEMA, [[1, 2], [np.nan, np.nan]]),
        }
        write_csv(tmp_path / "a.csv", sets, geometries={"a.png": Geometry((99, 99), (0.2, 0.1))})
        assert (tmp_path / "a.csv").read_text() == (
            "image,landmark,x,y,x_mm,y_mm,status,confidence,expected_error_mm,expected_error_px,spacing_source\n"
            f"a.png,sella,20.0,10.5,2.0,2.1,predicted,0.9,{round(4 * math.sqrt(0.02), 6)},4.0,user\n"
            "a.png,nasion,,,,,missing,,,,user\n"
            "b.png,sella,2.0,1.0,,,placed,,,,\n"
            "b.png,nasion,,,,,unplaced,,,,\n"
        )

    def test_covariances_are_in_the_order_of_the_columns(self, tmp_path):
        schema = LandmarkSchema(("a", "b"))
        rows = [[[4, 1], [1, 9]], np.full((2, 2), np.nan)]  # of y, x
        marks = LandmarkSet.from_array(schema, [(1, 2), (3, 4)], Status.PREDICTED, covariance=rows)
        write_csv(tmp_path / "t.csv", {"a.png": marks})
        with (tmp_path / "t.csv").open(newline="") as stream:
            first, second = csv.DictReader(stream)
        titles = ("error_cov_xx_px2", "error_cov_xy_px2", "error_cov_yy_px2")
        assert [first[title] for title in titles] == ["9.0", "1.0", "4.0"]
        assert [second[title] for title in titles] == ["", "", ""]

    def test_a_part_of_a_covariance(self, tmp_path):
        text = "image,landmark,x,y,error_cov_xx_px2,error_cov_xy_px2,error_cov_yy_px2\na,b,1,2,3,,1\n"
        with pytest.raises(InputError, match="line 2: error_cov_xy_px2 is empty and others are not"):
            read_csv(write(tmp_path / "t.csv", text))

    def test_volumes_have_z(self, tmp_path):
        geometry = Geometry((9, 9, 9), (3, 2, 1), origin=(10, 0, 0))
        write_csv(
            tmp_path / "a.csv",
            {"v": LandmarkSet.from_array(SCHEMA, [[1, 2, 3]] * 2)},
            geometries={"v": geometry},
        )
        row = next(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
        assert [row[c] for c in ("x", "y", "z", "x_mm", "y_mm", "z_mm")] == [
            "3.0",
            "2.0",
            "1.0",
            "3.0",
            "4.0",
            "13.0",
        ]

    @pytest.mark.parametrize(
        "name", ["=1+1", "@a", "'=a", "''@a", "-1|x!A1", "+f(x)", "=HYPERLINK(1)", "\t=a", "-1", "+a", "'a"]
    )
    def test_names_that_look_like_formulas_come_back_and_are_none_in_between(self, tmp_path, name):
        sets = {
            f"{name}.png": LandmarkSet.from_array(LandmarkSchema((name.strip(),)), [[-1, 2]]),
        }
        write_csv(tmp_path / "a.csv", sets)
        assert read_csv(tmp_path / "a.csv") == sets
        lines = (tmp_path / "a.csv").read_text().splitlines()
        cells = list(csv.reader(lines))[1][:2]
        dangerous = [
            cell for cell in cells if cell[0] in "=@\t\r" or (cell[0] in "+-" and set(cell) & set("(|!"))
        ]
        assert not dangerous

    def test_a_name_that_is_no_text_leaves_the_old_table(self, tmp_path):
        write(tmp_path / "a.csv", "old")
        with pytest.raises(InputError, match="not valid text"):
            write_csv(tmp_path / "a.csv", {"\udce9.png": LandmarkSet(SCHEMA)})
        assert (tmp_path / "a.csv").read_text() == "old"


TWO_ROWS = {
    "a.png": LandmarkSet(SCHEMA, [Landmark("sella", (2.5, 1), "placed"), Landmark("nasion", None, "missing")])
}


class TestReading:
    @pytest.mark.parametrize(
        "text",
        [
            "image,landmark,x,y\na.png,sella,1,2.5\na.png,nasion,,\n",
            "\ufeffimage,landmark,x,y\r\na.png,sella,1,2.5\r\na.png,nasion,,\r\n",
            "image;landmark;x;y\na.png;sella;1,0;2,5\na.png;nasion;;\n",
            "image\tlandmark\tx\ty\na.png\tsella\t1\t2.5\na.png\tnasion\t\t\n",
            " Image , Landmark,X, Y\n\na.png, sella, 1, 2.5\n,,,\na.png,nasion\n",
            'y,note,landmark,image,x\n2.5,"two\nlines",sella,a.png,1e0\n,,nasion,a.png,\n',
            "image,landmark,x,y,status\na.png,sella,1,2.5,Placed\na.png,nasion,,,missing",
        ],
    )
    def test_tables_of_many_makers(self, tmp_path, text):
        assert read_csv(write(tmp_path / "a.csv", text)) == TWO_ROWS

    def test_a_table_above_200_megabytes(self, tmp_path):
        path = tmp_path / "a.csv"
        rows = [f"{number}.png,sella,{number},2,{'x' * 100_000}\n" for number in range(2200)]
        path.write_text("image,landmark,x,y,note\n" + "".join(rows))
        assert path.stat().st_size > 200 * 1024**2
        found = read_csv(path)
        assert len(found) == 2200
        assert found["2199.png"]["sella"].position == (2, 2199)

    def test_order_of_a_schema(self, tmp_path):
        schema = LandmarkSchema(("nasion", "menton", "sella"))
        path = write(tmp_path / "a.csv", "image,landmark,x,y\na,sella,1,2\na,nasion,3,4\n")
        found = read_csv(path, schema=schema)["a"]
        assert found.schema is schema
        np.testing.assert_array_equal(found.positions(), [[4, 3], [np.nan, np.nan], [2, 1]])

    def test_z_makes_a_volume(self, tmp_path):
        path = write(tmp_path / "a.csv", "image,landmark,x,y,z\na,sella,1,2,3\nb,sella,1,2,\n")
        found = read_csv(path)
        assert found["a"]["sella"].position == (3, 2, 1)
        assert found["b"]["sella"].position == (2, 1)


class TestMistakes:
    head = "image,landmark,x,y\n"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", r"a\.csv: is empty"),
            ("\n\n", r"a\.csv: is empty"),
            (head, "has column titles and no landmarks"),
            ("image,landmark,x\na,b,1\n", "line 1: no column 'y'"),
            ("file,name,x,y\na,b,1,2\n", "line 1: no column 'image'"),
            ("image,landmark,x,y,X\na,b,1,2,3\n", "line 1: column 'x' is there twice"),
            (head + "a,sella,1,2\n\na,sella,3,4\n", "line 4: landmark 'sella' of image 'a' is there twice"),
            (head + "a,sella,one,2\n", "line 2: x is 'one': expected a number"),
            (head + "a,sella,1,nan\n", "line 2: y is 'nan'"),
            (head + "a,sella,inf,1\n", "line 2: x is 'inf'"),
            (head + "a,sella,1,\n", "line 2: landmark 'sella' has x and no y"),
            (head + "a,sella,,0\n", "line 2: landmark 'sella' has y and no x"),
            ("image,landmark,x,y,z\na,sella,,,1\n", "line 2: landmark 'sella' has z and no x"),
            (
                "image,landmark,x,y,z\na,b,1,2,3\na,c,1,2,\n",
                "line 3: image 'a' has rows with z and rows without",
            ),
            (head + ",sella,1,2\n", "line 2: the column 'image' is empty"),
            (head + "a,,1,2\n", "line 2: the column 'landmark' is empty"),
            (head + 'a,"sella,1,2\n', "line 2: is not a readable row"),
            (head + "a,sella,12,5,13,5\n", "line 2: has 6 cells and the titles are 4: is a decimal comma"),
            (head + "a,sella,12,5,\na,nasion,1,2,5\n", "line 3: has 5 cells and the titles are 4"),
            ("image,landmark,x,y,status\na,b,1,2,fine\n", "line 2: landmark 'b' has the status 'fine'"),
            ("image,landmark,x,y,status\na,b,1,2,missing\n", "line 2: landmark 'b': status 'missing' with"),
            ("image,landmark,x,y,confidence\na,b,1,2,7\n", "line 2: landmark 'b': a confidence of 7"),
            (head + 'a,"se\nlla",1,2\n', r"a\.csv: landmark name"),
        ],
    )
    def test_file_and_line_are_named(self, tmp_path, text, message):
        with pytest.raises(InputError, match=message) as caught:
            read_csv(write(tmp_path / "a.csv", text))
        assert "a.csv" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unknown_landmark(self, tmp_path):
        with pytest.raises(InputError, match="line 2: unknown landmark 'menton'"):
            read_csv(write(tmp_path / "a.csv", self.head + "a,menton,1,2\n"), schema=SCHEMA)

    def test_other_encodings(self, tmp_path):
        path = write(tmp_path / "a.csv", self.head + "a,sella,1,2\né,sella,1,2\n", "latin-1")
        with pytest.raises(InputError, match="line 3: is not UTF-8 text"):
            read_csv(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(InputError, match=r"gone\.csv: there is no such file"):
            read_csv(tmp_path / "gone.csv")
        with pytest.raises(InputError, match="cannot be read"):
            read_csv(tmp_path)

    def test_a_line_without_end(self, tmp_path):
        with pytest.raises(InputError, match="this is no table of landmarks"):
            read_csv(write(tmp_path / "a.csv", "x" * 5_000_000))

    def test_a_picture_by_mistake(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
        with pytest.raises(InputError, match="not UTF-8 text"):
            read_csv(tmp_path / "a.csv")
