"""Which images are listed in review, and in which order."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.odd_shapes import OddShapes
from napari_landmark.gui.session.review_filter import ReviewFilter, ReviewState, listed_images
from napari_landmark.shape.analysis import OddShape

from ..conftest import predict

ZERO, ONE, TWO, THREE = (f"hand_00{number}.png" for number in range(4))


@pytest.fixture
def errors(session, truth) -> dict[str, np.ndarray]:
    """Expected errors in pixels: the mean grows with the image, the thumb has its largest one in the first image."""
    made = {}
    for number, name in enumerate(session.names):
        made[name] = np.array([4.0 - number, *(3 * [2.0 + number])])
        marks = LandmarkSet.from_array(
            session.schema, truth[name], Status.PREDICTED, np.full(4, 0.5), made[name]
        )
        session.study.save_predictions(name, marks, session.geometry(name))
    session.load_predictions()
    return made


def listed(session, **wanted):
    return listed_images(session, ReviewFilter(**wanted))


def test_all_images_the_largest_expected_error_first(session, errors):
    assert listed(session) == [THREE, TWO, ONE, ZERO]


def test_a_landmark_has_an_order_of_its_own(session, errors):
    assert listed(session, landmark="thumb_tip") == [ZERO, ONE, TWO, THREE]
    with pytest.raises(InputError, match="nose"):
        listed(session, landmark="nose")


def test_the_least_error_is_that_of_any_landmark_or_of_the_chosen_one(session, errors):
    length = session.pixel_lengths[ZERO]  # the images are of one size
    assert listed(session, least_error=3.5 * length) == [THREE, TWO, ZERO]
    assert listed(session, least_error=3.5 * length, landmark="thumb_tip") == [ZERO]
    assert listed(session, least_error=3.5 * length, landmark="capitate") == [THREE, TWO]
    session.show(THREE)
    AnnotationEditor(session).accept()  # what a person decided on has no expected error any more
    assert listed(session, least_error=3.5 * length) == [TWO, ZERO]


def test_images_to_review_and_reviewed_ones(session, errors):
    session.show(TWO)
    editor = AnnotationEditor(session)
    editor.place("thumb_tip", (5, 5))
    assert listed(session, state=ReviewState.TO_REVIEW) == [THREE, TWO, ONE, ZERO]
    assert listed(session, state=ReviewState.TO_REVIEW, landmark="thumb_tip") == [ZERO, ONE, THREE]
    assert listed(session, state=ReviewState.REVIEWED) == []
    assert listed(session, state=ReviewState.REVIEWED, landmark="thumb_tip") == [TWO]
    editor.accept()
    assert listed(session, state=ReviewState.REVIEWED) == [TWO]
    assert TWO not in listed(session, state=ReviewState.TO_REVIEW)


def test_corrected_and_missing_landmarks(session, errors):
    editor = AnnotationEditor(session)
    session.show(ONE)
    editor.place("thumb_tip", (5, 5))
    session.show(TWO)
    editor.mark_missing("capitate")
    assert listed(session, state=ReviewState.CORRECTED) == [ONE]
    assert listed(session, state=ReviewState.CORRECTED, landmark="capitate") == []
    assert listed(session, state=ReviewState.MISSING) == [TWO]
    assert listed(session, state=ReviewState.MISSING, landmark="thumb_tip") == []


def test_doubtful_images_and_those_left_out(session, errors, truth):
    predict(session, ZERO, truth[ZERO], error=0.1, image_state=ImageState.FOREIGN)
    assert listed(session)[0] == ZERO
    assert listed(session, state=ReviewState.DOUBTFUL) == [ZERO]
    session.show(ZERO)
    AnnotationEditor(session).decide(ImageDecision.LEFT_OUT)
    assert listed(session, state=ReviewState.DOUBTFUL) == []
    assert listed(session, state=ReviewState.LEFT_OUT) == [ZERO]


def test_odd_shapes_by_landmark(session, errors):
    assert listed(session, state=ReviewState.ODD) == []
    far = OddShape(ZERO, 9.0, "thumb_tip", 12.0, ("thumb_tip",), (), False, False)
    exchanged = OddShape(ONE, 9.0, "", 12.0, (), (("index_tip", "capitate"),), False, False)
    mirrored = OddShape(TWO, 9.0, "", 12.0, (), (), False, True)
    usual = OddShape(THREE, 1.0, "thumb_tip", 1.0, (), (), False, False)
    shapes = {shape.image: shape for shape in (far, exchanged, mirrored, usual)}
    session.set_odd_shapes(OddShapes(tuple(shapes), shapes))
    assert set(listed(session, state=ReviewState.ODD)) == {ZERO, ONE, TWO}
    assert set(listed(session, state=ReviewState.ODD, landmark="thumb_tip")) == {ZERO, TWO}
    assert set(listed(session, state=ReviewState.ODD, landmark="capitate")) == {ONE, TWO}
