"""Adding images to the open study, in the viewer."""

from __future__ import annotations

import shutil

import pytest
from napari.components import ViewerModel

from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.add_images import add_images_job, remove_images_job
from napari_landmark.gui.jobs.dropped_files import DropMeaning, drop_meaning
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import NAMES, on_disk


@pytest.fixture
def own(hands, tmp_path):
    """A viewer with a study of two images, and a folder with two others."""
    for folder, numbers in (("own", (0, 1)), ("others", (2, 3))):
        (tmp_path / folder).mkdir()
        for number in numbers:
            shutil.copy(hands[0] / f"hand_00{number}.png", tmp_path / folder)
    from napari_landmark.data.landmarks import LandmarkSchema

    Study.create(tmp_path / "own study", schema=LandmarkSchema(NAMES), images=tmp_path / "own")
    viewer = ViewerModel()
    yield viewer, tmp_path / "others"
    get_session(viewer).close()


def opened(viewer, qtbot, folder):
    session = get_session(viewer)
    session.run(open_job(session, folder))
    qtbot.waitUntil(lambda: session.job is None and bool(session.current_image), timeout=20_000)
    return session


def test_images_come_in_while_landmarks_and_the_image_stay(own, qtbot):
    viewer, others = own
    session = opened(viewer, qtbot, others.parent / "own study")
    heard = []
    session.message.connect(lambda kind, text: heard.append((kind, text)))
    session.show("hand_001.png")
    AnnotationEditor(session).place(NAMES[1], (30.0, 40.0))
    before = session.annotation()
    job = add_images_job(session, [others, others / "hand_002.png"])
    session.run(job)
    AnnotationEditor(session).place(NAMES[2], (50.0, 20.0))  # while the images are read
    qtbot.waitUntil(lambda: session.job is None and len(session.names) == 4, timeout=20_000)
    assert session.current_image == "hand_001.png"
    assert session.annotation()[NAMES[1]] == before[NAMES[1]]
    assert on_disk(session)[NAMES[2]].position == (50.0, 20.0)
    qtbot.waitUntil(lambda: bool(heard), timeout=5000)
    assert heard == [("info", "2 images added: hand_002.png, hand_003.png.")]
    assert [session.undo_stack.undo_label, session.undo_stack.redo_label] == [f"Place {NAMES[2]}", ""]
    AnnotationEditor(session).undo()
    AnnotationEditor(session).undo()
    assert session.annotation()[NAMES[1]].position is None
    session.show("hand_003.png")
    assert session.read_image().array.shape == session.geometry().shape


def test_what_dropped_files_mean(own, qtbot, tmp_path):
    viewer, others = own
    session, image = get_session(viewer), others / "hand_002.png"
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "nothing").mkdir()
    assert drop_meaning(session, [others]) is DropMeaning.NEW_STUDY
    for paths in ([image], [others, image], [tmp_path / "notes.txt"], [tmp_path / "nothing"], []):
        assert drop_meaning(session, paths) is DropMeaning.NONE
    assert drop_meaning(session, [tmp_path / "own study"]) is DropMeaning.OPEN_STUDY
    session = opened(viewer, qtbot, tmp_path / "own study")
    for paths in ([image], [others, image], [others]):
        assert drop_meaning(session, paths) is DropMeaning.ADD_IMAGES
    assert drop_meaning(session, [tmp_path / "a.tps"]) is DropMeaning.IMPORT_LANDMARKS
    assert drop_meaning(session, [tmp_path / "x.landmarks.csv"]) is DropMeaning.IMPORT_LANDMARKS
    for paths in ([tmp_path / "notes.txt"], [image, tmp_path / "notes.txt"], [tmp_path / "nothing"]):
        assert drop_meaning(session, paths) is DropMeaning.NONE
    assert drop_meaning(session, [tmp_path / "own study"]) is DropMeaning.OPEN_STUDY


def test_what_was_added_is_taken_out_again(own, qtbot):
    viewer, others = own
    session = opened(viewer, qtbot, others.parent / "own study")
    AnnotationEditor(session).place(NAMES[0], (10.0, 10.0))
    session.run(add_images_job(session, [others]))
    qtbot.waitUntil(lambda: session.job is None and len(session.names) == 4, timeout=20_000)
    qtbot.waitUntil(lambda: session.added_images == ("hand_002.png", "hand_003.png"), timeout=5000)
    session.show("hand_003.png")
    AnnotationEditor(session).place(NAMES[0], (20.0, 20.0))
    session.show("hand_002.png")
    AnnotationEditor(session).place(NAMES[0], (30.0, 30.0))
    AnnotationEditor(session).clear(NAMES[0])
    heard = []
    session.message.connect(lambda kind, text: heard.append((kind, text)))
    session.run(remove_images_job(session, session.added_images))
    qtbot.waitUntil(lambda: session.job is None and len(session.names) == 3, timeout=20_000)
    qtbot.waitUntil(lambda: bool(heard), timeout=5000)
    ((kind, text),) = heard
    assert kind == "warning"
    assert text.startswith("Taken out of the study: hand_002.png; its file stays where it is.")
    assert "hand_003.png has landmarks or remarks of a person" in text
    assert session.names == ("hand_000.png", "hand_001.png", "hand_003.png")
    assert session.current_image in session.names
    assert (others / "hand_002.png").exists()
    for position in ((20.0, 20.0), (10.0, 10.0)):  # changes of the image that left are not undone
        assert session.undo_stack.undo_label == f"Place {NAMES[0]}"
        AnnotationEditor(session).undo()
        assert session.annotation()[NAMES[0]].position is None, position
    assert session.undo_stack.undo_label == ""
