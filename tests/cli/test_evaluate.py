"""Radii as text, and the table for people."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.cli.evaluate import evaluation_table, parse_radii
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.metrics import evaluate

SCHEMA = LandmarkSchema(("nasion", "a name that is much too long for its column"))


def test_radii():
    assert parse_radii("2, 2.5,3") == [2, 2.5, 3]


@pytest.mark.parametrize("text", ["", "nonsense", "2,,3", "2;3", "2,3,"])
def test_radii_that_are_none(text):
    with pytest.raises(InputError, match="--radii"):
        parse_radii(text)


def sets(**images):
    return {name: LandmarkSet.from_array(SCHEMA, np.array(rows, float)) for name, rows in images.items()}


class TestTable:
    truth = sets(a=[[10, 10], [20, 20]], b=[[10, 10], [np.nan, np.nan]])
    found = sets(a=[[10, 13], [24, 20]], b=[[10, 11], [3, 3]])

    def rows(self, **options):
        lines = evaluation_table(evaluate(self.found, self.truth, radii=(2, 3.5), **options)).splitlines()
        return {line[:28].strip(): line[28:].split() for line in lines if not line.startswith("-")}

    def test_in_pixels(self):
        rows = self.rows()
        assert rows["nasion"] == ["2.00", "50.0%", "100.0%", "2"]
        assert rows["all"] == ["2.67", "33.3%", "66.7%", "3"]  # three true positions in all

    def test_in_millimetres(self):
        rows = self.rows(spacing=0.5)
        assert rows["nasion"][0] == "1.00"
        assert rows["all"][:2] == ["1.33", "100.0%"]

    def test_long_names_keep_the_columns(self):
        table = evaluation_table(evaluate(self.found, self.truth)).splitlines()
        assert len({len(line) for line in table[:-1]}) == 1

    def test_nothing_found(self):
        nowhere = sets(a=[[np.nan, np.nan], [1, 1]])
        only = sets(a=[[10, 10], [20, 20]])
        assert "-" in evaluation_table(evaluate(nowhere, only))
