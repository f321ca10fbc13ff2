"""Images whose files disappear while their study is open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from napari.components import ViewerModel

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.cohort_table import CohortTable
from napari_landmark.gui.widgets.study_bar import StudyBar

from ..conftest import NAMES


class TestUnreadable:
    """An image whose file went away while the study is open."""

    @pytest.fixture
    def broken(self, hands, tmp_path, preferences):
        """A viewer at the first image of a study; the third one cannot be read any more."""
        folder = Path(shutil.copytree(hands[0], tmp_path / "images"))
        viewer = ViewerModel()
        session = get_session(viewer)
        study = Study.create(tmp_path / "some", schema=LandmarkSchema(NAMES), images=folder)
        session.open(study, Cohort.from_folder(folder, working_size=128, cache_dir=preferences.cache))
        (folder / "hand_002.png").unlink()
        (folder / "hand_003.png").write_bytes(b"")
        session.step(1)
        yield viewer
        session.close()

    def test_clicks_stay_with_the_picture_that_is_seen(self, broken):
        session, seen = get_session(broken), []
        session.image_changed.connect(lambda: seen.append(session.current_image))
        with pytest.raises(InputError, match=r"hand_002\.png"):
            session.step(1)
        broken.layers["Landmarks"].add([20, 15])
        assert session.current_image == "hand_001.png"
        assert seen == []
        assert list(session.study.annotations()) == ["hand_001.png"]

    def test_the_next_one_that_can_be_read_is_shown(self, broken, hands):
        session, heard = get_session(broken), []
        shutil.copy(hands[0] / "hand_003.png", session.study.images / "hand_003.png")
        session.message.connect(lambda kind, text: heard.append((kind, text)))
        session.step(1)
        assert session.current_image == "hand_003.png"
        ((kind, text),) = heard
        assert kind == "warning"
        assert "hand_002.png" in text
        session.step(-1)
        assert session.current_image == "hand_001.png"

    def test_the_arrow_and_the_lists_tell_and_stay(self, broken, qtbot):
        session, heard = get_session(broken), []
        session.message.connect(lambda kind, text: heard.append(kind))
        bar, table = StudyBar(broken, session), CohortTable(session)
        qtbot.addWidget(bar)
        qtbot.addWidget(table)
        bar.next.click()
        bar.images.setCurrentIndex(3)
        bar._on_chosen(3)
        table.view.selectRow(2)
        table.view.clicked.emit(table.view.model().index(2, 0))
        assert heard == ["error"] * 3
        assert bar.images.currentIndex() == 1
        assert table.view.currentIndex().row() == 1

    def test_undoing_there_is_saved_though_it_cannot_be_shown(self, broken, hands):
        session = get_session(broken)
        lost = session.study.images / "hand_002.png"
        shutil.copy(hands[0] / lost.name, lost)
        session.step(1)
        AnnotationEditor(session).place("capitate", (5, 5))
        session.step(-1)
        lost.unlink()
        session._prefetcher._reading.clear()  # read ahead, it could still be shown
        with pytest.raises(InputError, match=r"hand_002\.png"):
            AnnotationEditor(session).undo()
        assert session.current_image == "hand_001.png"
        assert session.result("hand_002.png")["capitate"].status is Status.UNPLACED

    def test_opening_begins_with_the_next_that_can_be_read(self, broken, tmp_path):
        session, heard = get_session(broken), []
        session.message.connect(lambda kind, text: heard.append(text))
        session.open(session.study, session.cohort, image="hand_003.png")
        assert session.current_image == "hand_000.png"
        assert "hand_003.png" in heard[0]
        for path in session.study.images.iterdir():
            path.write_bytes(b"")
        other = Study.create(tmp_path / "other", schema=LandmarkSchema(("one",)))
        with pytest.raises(InputError, match=r"hand_000\.png"):
            session.open(other, session.cohort)
        assert session.study is not other
