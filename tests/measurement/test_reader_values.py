"""Measurements of several readers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.measurement.reader_values import reader_values

SCHEMA = LandmarkSchema(("a", "b"))
LENGTH = MeasurementSchema.from_json({"measurements": [{"name": "length", "distance": ["a", "b"]}]})
GEOMETRIES = {"1.png": Geometry((50, 50), spacing=(2.0, 0.5)), "2.png": Geometry((50, 50))}


def placed(*rows):
    return LandmarkSet.from_array(SCHEMA, np.array(rows, dtype=float))


def test_values_by_measurement_reader_and_image():
    readers = {
        "anna": {"1.png": placed((0, 0), (10, 0)), "2.png": placed((0, 0), (10, 0))},
        "ben": {"1.png": placed((0, 0), (0, 10)), "2.png": LandmarkSet(SCHEMA)},
        "carl": {},
    }
    values = reader_values(LENGTH, readers, GEOMETRIES)["length"]
    assert values["anna"] == {"1.png": pytest.approx(20.0), "2.png": None}  # its spacing is not known
    assert values["ben"] == {"1.png": pytest.approx(5.0)}
    assert "carl" not in values
