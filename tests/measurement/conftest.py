from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
from napari_landmark.data.study.study import Study

ROWS = [
    {"name": "corner", "analyses": ["Angles"], "text": "At B.", "source": "own", "angle": ["A", "B", "C"],
     "norms": [{"mean": 88, "sd": 2, "source": "men", "sex": "m"},
               {"mean": 90, "sd": 1, "source": "women", "sex": "f"}],
     "classes": [{"name": "sharp", "below": 90}, {"name": "blunt", "from": 90}]},
    {"name": "side", "distance": ["A", "B"], "norms": [{"range": [3, 4]}]},
    {"name": "other side", "distance": ["B", "C"]},
]  # fmt: skip


@pytest.fixture
def schema() -> SchemaFile:
    landmarks = LandmarkSchema(("A", "B", "C"), links=(Link(("A", "B", "C"), closed=True, name="triangle"),))
    measurements = MeasurementSchema.from_json(
        {"measurements": ROWS, "constructions": [{"name": "base", "line": ["A", "B"]}]}
    )
    return SchemaFile(landmarks, measurements, title="triangles")


@pytest.fixture
def study(tmp_path, schema) -> Study:
    """Seven pictures of 40 x 60 pixels: one annotated, five predicted, one left out; one lacks a landmark."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(7):
        picture = (np.arange(40 * 60).reshape(40, 60) % 255).astype(np.uint8)
        Image.fromarray(picture).save(images / f"{number}.png")
    study = Study.create(
        tmp_path / "study",
        schema=schema.landmarks,
        images=images,
        spacing=0.5,
        measurements=schema.measurements,
    )
    for number in range(7):
        points = {"A": (5, 10), "B": (5 + number, 20), "C": (25, 20)}
        if number == 3:
            points.pop("C")
        status = Status.PLACED if number == 0 else Status.PREDICTED
        error = None if number == 0 else 1.0
        marks = LandmarkSet(
            study.schema, [Landmark(name, at, status, expected_error=error) for name, at in points.items()]
        )
        (study.save_annotations if number == 0 else study.save_predictions)(f"{number}.png", marks)
    study.set_facts("0.png", ImageFacts(None, "first", "MK", {"sex": "f", "age": "12"}))
    study.decide("6.png", ImageDecision.LEFT_OUT)
    return study


@pytest.fixture
def table(study, tmp_path) -> Path:
    """The same landmarks as a table beside the study."""
    from napari_landmark.data.formats.registry import write_landmarks

    path = tmp_path / "landmarks.csv"
    sets = {f"{number}.png": study.result(f"{number}.png") for number in range(7)}
    write_landmarks(path, sets)
    return path
