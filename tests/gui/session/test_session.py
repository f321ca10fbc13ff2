"""State of a session: open study, current image, messages."""

from __future__ import annotations

import contextlib

import numpy as np

from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import predict


class TestImages:
    def test_stepping_stops_at_the_ends(self, session):
        session.step(-1)
        assert session.current_image == "hand_000.png"
        session.step(99)
        assert session.current_image == "hand_003.png"

    def test_everything_is_there_again_in_another_session(self, session, cohort, truth):
        AnnotationEditor(session).place("capitate", (5, 5))
        predict(session, "hand_001.png", truth["hand_001.png"])
        again = type(session)()
        again.open(Study.open(session.study.folder), cohort)
        assert again.current_image == "hand_000.png"  # the template
        assert again.result()["capitate"].position == (5, 5)
        np.testing.assert_allclose(again.result("hand_001.png").positions(), truth["hand_001.png"], atol=1e-5)
        again.close()

    def test_what_cannot_be_done_is_told(self, session, messages):
        session.attempt(lambda: session.show("nothing.png"))
        assert messages[0][0] == "error"
        assert "no such image" in messages[0][1]


def test_reading_what_is_not_in_memory_says_that_it_works(session):
    seen = []

    @contextlib.contextmanager
    def waiting():
        seen.append(session.current_image)
        yield

    session.waiting = waiting
    session._prefetcher._reading.clear()
    session.show("hand_003.png")
    session.read_image()  # is in memory by now
    assert len(seen) == 1
