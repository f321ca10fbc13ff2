"""Formats of other packages, found by their entry points."""

from __future__ import annotations

import logging

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import (
    BUILT_IN,
    input_format,
    landmark_formats,
    output_format,
    read_landmarks,
    write_landmarks,
)
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet

SETS = {"a.png": LandmarkSet(LandmarkSchema(("tip",)), [Landmark("tip", (1, 2), "placed")])}

MODULE = """
from pathlib import Path
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet

def read(path, *, schema=None, geometries=None):
    image, name, row, column = Path(path).read_text().split()
    mark = Landmark(name, (float(row), float(column)), "placed")
    return {image: LandmarkSet(schema or LandmarkSchema((name,)), [mark])}

def write(path, sets, *, geometries=None):
    ((image, marks),) = sets.items()
    ((name, mark),) = marks.items()
    Path(path).write_text(f"{image} {name} {mark.position[0]} {mark.position[1]}")

PTS = LandmarkFormat(title="Points", suffixes=(".pts",), read=read, write=write, one_image=True)
LONGER = LandmarkFormat(title="Longer", suffixes=(".my.csv",), read=read, write=write)
SHADOW = LandmarkFormat(title="Shadow", suffixes=(".csv",), read=read, write=write)
MUTE = LandmarkFormat(title="Mute", suffixes=(".mute",))
DOTLESS = LandmarkFormat(title="Dotless", suffixes=("csv",), read=read)
GREEDY = LandmarkFormat(title="Greedy", suffixes=(".greedy",), read=read, recognizes_content=lambda path: True)
OTHER = "a text"
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with entry points on the path, as an installer would."""

    def installed(**points):
        site = tmp_path / "site"
        info = site / "landmark_points-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "landmark_points.py").write_text(MODULE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: landmark-points\nVersion: 1.0\n")
        lines = [f"{name} = {target}" for name, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[napari_landmark.formats]", *lines]) + "\n")
        monkeypatch.syspath_prepend(str(site))
        landmark_formats.cache_clear()

    yield installed
    monkeypatch.undo()
    landmark_formats.cache_clear()


def test_a_package_adds_formats(install, tmp_path):
    install(pts="landmark_points:PTS", longer="landmark_points:LONGER")
    assert [known.title for known in landmark_formats()][len(BUILT_IN) :] == ["Longer", "Points"]
    for name in ("a.pts", "a.my.csv"):
        write_landmarks(tmp_path / name, SETS)
        assert (tmp_path / name).read_text() == "a.png tip 1.0 2.0"
        assert read_landmarks(tmp_path / name) == SETS
    with pytest.raises(InputError, match=r"known are \.csv.*\.pts"):
        read_landmarks("a.unknown")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("landmark_points:SHADOW", "the suffix .csv is taken by CSV table"),
        ("landmark_points:MUTE", "neither a reader nor a writer"),
        ("landmark_points:DOTLESS", "must be lower case and begin with a dot"),
        ("landmark_points:OTHER", "is no LandmarkFormat"),
        ("landmark_points:ABSENT", "AttributeError"),
        ("landmark_absent:PTS", "ModuleNotFoundError"),
    ],
)
def test_a_broken_package_is_left_out_with_one_line(install, caplog, target, reason):
    install(bad=target, pts="landmark_points:PTS")
    with caplog.at_level(logging.WARNING):
        assert [known.title for known in landmark_formats()][len(BUILT_IN) :] == ["Points"]
        landmark_formats()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"landmark format bad ({target}) is left out: ")
    assert reason in line
    assert "\n" not in line


def test_the_built_in_formats_are_not_shadowed(install, tmp_path):
    install(greedy="landmark_points:GREEDY")
    (tmp_path / "a.csv").write_text("image,landmark,x,y\na.png,tip,2,1\n")
    assert input_format(tmp_path / "a.csv") is output_format("a.csv") is BUILT_IN[0]


def test_the_help_of_convert_names_them(install, capsys):
    from napari_landmark.cli.app import main

    install(pts="landmark_points:PTS")
    assert main(["convert", "--help"]) == 0
    assert ".pts" in capsys.readouterr().out
