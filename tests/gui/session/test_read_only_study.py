"""A second viewer of a study is read-only, with a message, and never overwrites annotations of the first one."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.session.session import Session


@pytest.fixture
def second(study, cohort, session):
    """Another session with the same study open; `told` are its messages."""
    other, told = Session(), []
    other.message.connect(lambda kind, text: told.append((kind, text)))
    other.told = told
    other.open(Study.open(study.folder), cohort)
    yield other
    other.close()


def test_it_is_told(second):
    ((kind, text),) = second.told
    assert kind == "warning"
    assert "is being annotated by another viewer" in text


def test_it_cannot_annotate(second, study):
    second.step(1)
    with pytest.raises(InputError, match="is being annotated"):
        AnnotationEditor(second).place("capitate", (5, 5))
    with pytest.raises(InputError, match="is being annotated"):
        SchemaEditor(second).add("more")
    assert second.annotation()["capitate"].position is None
    assert study.annotations() == {}


def test_it_goes_on_from_what_the_first_left(second, session, study):
    for one in (session, second):
        one.show("hand_001.png")
    AnnotationEditor(session).place("capitate", (7, 7))
    SchemaEditor(session).add("more")
    session.close()
    with pytest.raises(InputError, match="was annotated by another program and has been read again"):
        AnnotationEditor(second).place("thumb_tip", (5, 5))
    assert "more" in second.schema
    assert second.annotation()["capitate"].position == (7, 7)
    AnnotationEditor(second).place("thumb_tip", (5, 5))
    found = Study.open(study.folder).load_annotations("hand_001.png")
    assert (found["capitate"].position, found["thumb_tip"].position) == ((7, 7), (5, 5))


def test_opening_the_same_study_again_keeps_the_right(session, study, cohort):
    told = []
    session.message.connect(lambda kind, text: told.append(text))
    session.open(Study.open(study.folder), cohort)
    AnnotationEditor(session).place("capitate", (5, 5))
    assert told == []


def test_messages_begin_with_what_matters_and_not_with_the_path(second, study):
    assert second.landmark_store.in_use.startswith("Read only: is being annotated")
    assert str(study.folder) not in second.landmark_store.in_use
