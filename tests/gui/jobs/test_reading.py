"""Blind readings in a session: what is hidden, what is kept, what comes of it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Status
from napari_landmark.data.study.readers import readers
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.detect import heatmap_job
from napari_landmark.gui.jobs.odd_shapes import odd_shapes_job
from napari_landmark.gui.jobs.reading import FIRST_READER, begin_reading_job, end_reading_job
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor

from ..conftest import NAMES, predict


def run(qtbot, session, job, signal="succeeded"):
    with qtbot.waitSignal(getattr(job, signal), timeout=30_000) as caught:
        session.run(job)
    return caught.args[0]


@pytest.fixture
def annotated(session, truth):
    """Every image annotated, and one predicted as well."""
    for name in session.names:
        session.show(name)
        for landmark, position in zip(NAMES, truth[name], strict=True):
            AnnotationEditor(session).place(landmark, position)
    predict(session, session.names[1], truth[session.names[1]])
    session.show(session.names[2])
    return session


def read_all(session, shift: float) -> None:
    """Place every landmark of every image of the reading, where the first reading has it but for a shift."""
    first = Study.open(session.study.folder).annotations()
    for name in session.names:
        session.show(name)
        for landmark in NAMES:
            AnnotationEditor(session).place(landmark, np.asarray(first[name][landmark].position) + shift)


def test_nothing_of_the_first_reading_is_shown(annotated, qtbot):
    session = annotated
    all_names = session.names
    run(qtbot, session, begin_reading_job(session, "Anna", seed=3))
    assert session.study.reader == "Anna"
    assert sorted(session.names) == sorted(all_names)
    assert session.names != all_names
    for name in session.names:
        assert session.result(name).ndim is None
        assert session.prediction(name).ndim is None
        assert session.require_store().state(name) == ""
    assert not session.require_store().any_prediction
    assert session.placing
    assert session.current_image == session.names[0]


def test_a_reading_changes_nothing_else(annotated, qtbot, messages):
    session = annotated
    folder = session.study.folder
    before = {path: path.read_bytes() for path in folder.rglob("*.csv")}
    settings = (folder / "study.json").read_bytes()
    run(qtbot, session, begin_reading_job(session, "Anna"))
    read_all(session, 1.0)
    AnnotationEditor(session).undo()
    AnnotationEditor(session).redo()
    for refused in (
        lambda: SchemaEditor(session).add("new"),
        lambda: SchemaEditor(session).rename(NAMES[0], "new"),
        lambda: session.run(odd_shapes_job(session)),
        lambda: session.require_study().update(spacing=0.5),
        lambda: AnnotationEditor(session).decide(None),
        lambda: session.run(heatmap_job(session, model=None, device="cpu")),
    ):
        with pytest.raises(InputError):
            refused()
    assert {path: path.read_bytes() for path in before} == before
    assert (folder / "study.json").read_bytes() == settings
    assert readers(Study.open(folder))["Anna"].n_read == len(session.names)


def test_a_reading_is_interrupted_and_goes_on(annotated, qtbot):
    session = annotated
    study, all_names = session.study, session.names
    run(qtbot, session, begin_reading_job(session, "Anna", count=3, seed=5))
    order = session.names
    assert len(order) == 3
    for landmark in NAMES:
        AnnotationEditor(session).place(landmark, (5.0, 6.0))
    ended = run(qtbot, session, end_reading_job(session, finish=False))
    assert ended.readings is None
    assert session.study.reader == ""
    assert session.names == all_names
    assert session.whole_cohort is None
    assert session.annotation(order[0])[NAMES[0]].position != (5.0, 6.0)
    assert session.prediction(all_names[1]).ndim == 2
    run(qtbot, session, begin_reading_job(session, "Anna"))
    assert session.names == order
    assert session.current_image == order[1]
    assert session.annotation(order[0])[NAMES[0]].position == (5.0, 6.0)
    assert session.annotation(order[0])[NAMES[0]].status is Status.PLACED
    assert study.folder == session.study.folder


def test_at_the_end_both_readings_are_compared(annotated, qtbot):
    session = annotated
    run(qtbot, session, begin_reading_job(session, "Anna"))
    read_all(session, 0.5)
    finished = run(qtbot, session, end_reading_job(session, finish=True))
    assert finished.readings.readers == (FIRST_READER, "Anna")
    pair = finished.agreement[NAMES[0]].pairs[FIRST_READER, "Anna"]
    np.testing.assert_allclose(pair.bias, (0.5, 0.5), atol=1e-5)
    assert {path.name for path in finished.folder.iterdir()} >= {
        "landmarks.csv",
        "coordinates.csv",
        "agreement.pdf",
    }
    assert session.study.reader == ""
    AnnotationEditor(session).place(NAMES[0], (7.0, 7.0))  # the study can be annotated again
    job = begin_reading_job(session, "Anna")
    assert "choose another name" in run(qtbot, session, job, "failed")
    assert session.study.reader == ""


def test_without_a_reading_there_is_none_to_end(annotated):
    with pytest.raises(InputError, match="No blind reading"):
        end_reading_job(annotated, finish=True)
