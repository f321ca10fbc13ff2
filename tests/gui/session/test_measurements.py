from __future__ import annotations

import math

import numpy as np
import pytest

from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.study.image_facts import ImageFacts
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.measurements import Measurements
from napari_landmark.gui.session.schema_editor import SchemaEditor

from ..conftest import NAMES, on_disk, predict

ROWS = {
    "measurements": [
        {"name": "fan", "angle": [NAMES[0], NAMES[3], NAMES[1]]},
        {"name": "reach", "distance": [NAMES[1], NAMES[2]]},
    ]
}


@pytest.fixture
def measurements(session, truth) -> Measurements:
    for name, points in truth.items():
        predict(session, name, points)
    SchemaEditor(session).set_measurements(MeasurementSchema.from_json(ROWS))
    made = Measurements(session)
    made.refresh()
    return made


def angle(points: np.ndarray) -> float:
    a, b = points[0] - points[3], points[1] - points[3]
    return math.degrees(math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def test_the_current_image_is_measured_as_it_is_shown(session, measurements, truth):
    values = {one.measurement.name: one for one in measurements.current()}
    assert values["fan"].value == pytest.approx(angle(truth[session.current_image]), abs=1e-4)
    assert values["fan"].standard_error > 0
    assert values["reach"].left_out == "needs the spacing, which is unknown"


def test_a_dragged_point_is_measured_and_not_saved(session, measurements, truth):
    points = truth[session.current_image].copy()
    points[0] += [3, 9]
    measurements.refresh({NAMES[0]: tuple(points[0])})
    assert measurements.current()[0].value == pytest.approx(angle(points), abs=1e-4)
    assert on_disk(session).ndim is None
    measurements.refresh()
    assert measurements.current()[0].value == pytest.approx(angle(truth[session.current_image]), abs=1e-4)


def test_all_images_follow_a_correction_of_the_current_one(session, measurements, truth):
    measurements.show(measurements.prepare()())
    assert measurements.cohort.images == session.names
    points = truth[session.current_image].copy()
    points[0] += [3, 9]
    AnnotationEditor(session).place(NAMES[0], points[0])
    measurements.refresh()
    row = measurements.cohort.images.index(session.current_image)
    assert measurements.cohort.column("fan")[row] == pytest.approx(angle(points), abs=1e-4)


def test_measurements_of_earlier_definitions_are_left_aside(session, measurements):
    measured = measurements.prepare()()
    SchemaEditor(session).set_measurements(MeasurementSchema())
    measurements.show(measured)
    assert measurements.cohort is None
    assert measurements.current() == ()


def test_too_few_images_have_no_outliers(measurements):
    measurements.show(measurements.prepare()())
    assert measurements.outliers("fan") == []


def test_facts_are_kept_in_the_study(session, measurements):
    AnnotationEditor(session).set_facts(ImageFacts(remark="blurred", more={"sex": "f"}))
    assert session.study.facts()[session.current_image].remark == "blurred"
    assert session.require_store().fact_columns == ("sex",)


def test_a_covered_landmark_stays_covered_when_it_moves(session, truth):
    editor, name = AnnotationEditor(session), NAMES[0]
    editor.place(name, truth[session.current_image][0])
    editor.set_covered(name, True)
    assert on_disk(session)[name].covered
    editor.place(name, truth[session.current_image][0] + 1)
    assert on_disk(session)[name].covered
    editor.toggle_covered(name)
    assert not on_disk(session)[name].covered
    editor.undo()
    assert on_disk(session)[name].covered
