"""The table of formats: which reader and writer a file's name means."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import (
    BUILT_IN,
    format_of_suffix,
    output_format,
    read_landmarks,
    write_landmarks,
)
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet

SETS = {"a.png": LandmarkSet(LandmarkSchema(("tip",)), [Landmark("tip", (1, 2), "placed")])}
SUFFIXES = [known.suffix for known in BUILT_IN if known.read is not None]
GEOMETRIES = {"a.png": Geometry((9, 9), (0.5, 0.5))}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_writes_and_reads(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_landmarks(path, SETS, geometries=GEOMETRIES)
    schema = SETS["a.png"].schema
    assert read_landmarks(path, schema=schema, geometries=GEOMETRIES) == SETS


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.csv", ".csv"),
        ("A.CSV", ".csv"),
        ("a.mrk.json", ".mrk.json"),
        ("a.json", ".json"),
        ("a.fcsv", ".fcsv"),
        ("a.dlc.csv", ".dlc.csv"),
        ("CollectedData_me.csv", ".dlc.csv"),
    ],
)
def test_the_longest_end_decides(name, suffix):
    assert output_format(name) is format_of_suffix(suffix)


def test_a_table_is_known_by_its_first_line(tmp_path):
    path = tmp_path / "CollectedData_x.csv"
    path.write_text("image,landmark,x,y\na.png,tip,2,1\n")
    assert read_landmarks(path) == SETS
    path.write_text("\ufeffscorer,x,x\nbodyparts,tip,tip\ncoords,x,y\na.png,2,1\n", encoding="utf-8")
    assert read_landmarks(path) == SETS


@pytest.mark.parametrize("name", ["a.txt", "csv", "a.xlsx"])
def test_unknown_formats_name_the_known_ones(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}: not a known landmark format; known are \.csv, .*\.tps"):
        read_landmarks(tmp_path / name)
    with pytest.raises(InputError, match="not a known"):
        write_landmarks(tmp_path / name, SETS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_cannot_be_read(tmp_path, suffix):
    with pytest.raises(InputError, match="there is no such file"):
        read_landmarks(tmp_path / f"none{suffix}", geometries=GEOMETRIES)
    (tmp_path / f"a{suffix}").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_landmarks(tmp_path / f"a{suffix}", geometries=GEOMETRIES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    broken = {"\udcff.png": SETS["a.png"]}
    geometries = {"\udcff.png": GEOMETRIES["a.png"]}
    if suffix == ".fcsv":  # does not hold the name
        return
    with pytest.raises(InputError, match="rename it"):
        write_landmarks(path, broken, geometries=geometries)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"
