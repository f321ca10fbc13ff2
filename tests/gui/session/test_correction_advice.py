"""Advice on corrections from what the session has in memory."""

from __future__ import annotations

import numpy as np

from napari_landmark.data.image_state import ImageState
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.correction_advice import session_advice

from ..conftest import NAMES, predict


def predict_all(session, truth, shift=(0.0, 0.0)):
    for name in session.names:
        predict(session, name, truth[name] + np.array(shift))


class TestAdvice:
    def test_nothing_without_predictions(self, session):
        assert session_advice(session) is None

    def test_predicted_images_are_proposed_and_annotated_ones_are_not(self, session, truth):
        predict_all(session, truth)
        first = session.names[0]
        session.show(first)
        for landmark, position in zip(NAMES, truth[first], strict=True):
            AnnotationEditor(session).place(landmark, position)
        advice = session_advice(session)()
        assert advice.images
        assert first not in advice.images
        assert set(advice.images) <= set(session.names)

    def test_left_out_images_are_not_proposed(self, session, truth):
        predict_all(session, truth)
        session.require_store().decide(session.names[2], ImageDecision.LEFT_OUT)
        assert session.names[2] not in session_advice(session)().images

    def test_nothing_where_every_prediction_is_of_a_flagged_image(self, session, truth):
        predict(session, session.names[0], truth[session.names[0]], image_state=ImageState.SEVERAL)
        assert session_advice(session) is None

    def test_a_correction_is_never_moved(self, session, truth):
        predict_all(session, truth, shift=(4, 0))
        name = session.names[1]
        session.show(name)
        AnnotationEditor(session).place(NAMES[0], (31.25, 17.5))
        session_advice(session)()
        np.testing.assert_allclose(session.annotation(name)[NAMES[0]].position, (31.25, 17.5))
