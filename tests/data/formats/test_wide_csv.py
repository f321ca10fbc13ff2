from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from((2, 3)), st.booleans())
def test_positions_come_back(folder, drawn, data, ndim, spaced):
    sets, geometries = data.draw(drawn.sets(ndim))
    path = folder / "points.wide.csv"
    write_landmarks(path, sets, geometries=geometries if spaced else None)
    found = read_landmarks(path)
    assert list(found) == list(sets)
    for image, before in sets.items():
        assert found[image].schema.names == before.schema.names
        np.testing.assert_allclose(found[image].positions(ndim), before.positions(ndim), atol=1e-6)
        for mark in found[image].values():
            assert mark.status is (Status.MISSING if mark.position is None else Status.PLACED)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_spoiled_files_are_refused_or_read(folder, drawn, survives, data):
    sets, _ = data.draw(drawn.sets(2))
    path = folder / "spoiled.wide.csv"
    write_landmarks(path, sets)
    survives(read_landmarks, path, data.draw(drawn.spoiled(path.read_bytes())))


def test_the_text(tmp_path):
    schema = LandmarkSchema(("tip", "=base(1)"))
    marks = LandmarkSet(schema, [Landmark("tip", (1, 2.5), "placed"), Landmark("=base(1)", status="missing")])
    path = tmp_path / "a.wide.csv"
    write_landmarks(
        path,
        {"a.png": marks, "b.png": LandmarkSet(schema)},
        geometries={"a.png": Geometry((9, 9), (0.5, 0.25))},
    )
    assert path.read_text().splitlines() == [
        "image,spacing_x_mm,spacing_y_mm,tip x,tip y,'=base(1) x,'=base(1) y",
        "a.png,0.25,0.5,2.5,1.0,,",
        "b.png,,,,,,",
    ]
    assert read_landmarks(path)["a.png"]["=base(1)"].status is Status.MISSING


def test_tables_of_statistics_programs(tmp_path):
    path = tmp_path / "a.wide.csv"
    path.write_text("image;age;nasal tip x;nasal tip y\na.png;9;1,5;2\nb.png;8;NA;NA\n")
    found = read_landmarks(path)
    assert found["a.png"]["nasal tip"].position == (2, 1.5)
    assert found["b.png"]["nasal tip"].position is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("tip x,tip y\n1,2\n", "no column 'image'"),
        ("image,age\na,1\n", "no columns of landmarks"),
        ("image,tip x\na,1\n", "has no column 'tip y'"),
        ("image,tip x,tip y,tip x\na,1,2,3\n", "is there twice"),
        ("image,tip x,tip y\na,1,2\na,1,2\n", "image a is there twice"),
        ("image,tip x,tip y\na,1,\n", "tip y is '': expected a number"),
        ("image,tip x,tip y\na,1,inf\n", "expected a number"),
        ("image,tip x,tip y\n,1,2\n", "'image' is empty"),
        ("image,tip x,tip y\na,1,5,2,5\n", "decimal comma"),
        ("image,tip x,tip y\n", "no images"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, words):
    path = tmp_path / "a.wide.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_landmarks(path)


def test_unknown_landmarks_are_refused(tmp_path):
    path = tmp_path / "a.wide.csv"
    path.write_text("image,tip x,tip y\na,1,2\n")
    with pytest.raises(InputError, match="unknown landmark 'tip'"):
        read_landmarks(path, schema=LandmarkSchema(("base",)))
