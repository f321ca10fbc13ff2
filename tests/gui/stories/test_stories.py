"""Stories of five users, through mouse and keyboard in a real viewer, with their actions counted.

The counts are those of the table in ``docs/stories.md``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt

from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.measurement.presets.preset import preset
from napari_landmark.synthetic import hand_phantom, head_phantom

from ...data.images.dicom_files import save
from ..pairs import FIXED_CENTRE, SHIFT, blob
from .user import User

PAGE = Path(__file__).resolve().parents[3] / "docs" / "stories.md"
PRESET = "Lateral cephalogram, 19 landmarks (ISBI 2015)"
COUNT = 19
DRAWN = 6  # different hands; further films are these again
SMALL = 4  # times smaller than they are drawn

pytestmark = pytest.mark.slow


@pytest.fixture
def user(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    return User(viewer, qtbot)


@pytest.fixture(autouse=True)
def few_steps(stage_steps):
    """What a training finds is not of interest here."""
    stage_steps(3, 2, 3, 3, 2, 2)


@pytest.fixture(scope="session")
def drawn():
    """Drawn hands, and positions of as many landmarks as the preset has."""
    hands = [hand_phantom(seed) for seed in range(DRAWN)]
    arrays = [np.ascontiguousarray(hand.image.array[::SMALL, ::SMALL]) for hand in hands]
    return arrays, [hand.landmarks.positions(2)[:COUNT] / SMALL for hand in hands]


def films(folder, count, drawn):
    """Write films; returns the positions of the landmarks by name of the film."""
    folder.mkdir()
    truth = {}
    for number in range(count):
        name = f"film {number:03d}.png"
        Image.fromarray(drawn[0][number % DRAWN]).save(folder / name)
        truth[name] = drawn[1][number % DRAWN]
    return truth


def stated(story):
    """Actions and waits of a story, and the most actions that it may take, as the page has them."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith(story):
            return tuple(int(re.sub(r"\D", "", cell) or 10**6) for cell in cells[2:5])
    raise AssertionError(f"{story}: is not on the page")


def check(user, story):
    """The page tells the truth, and the limit holds."""
    sys.stdout.write(f"\n{story}: {user.actions} actions, {user.waits} waits, {user.seconds:.0f} s\n")
    actions, most, waits = stated(story)
    assert user.actions <= most
    assert (user.actions, user.waits) == (actions, waits)


def test_an_orthodontist_places_the_template_and_trains(user, drawn, tmp_path):
    truth = films(tmp_path / "films", 30, drawn)
    annotate = user.widget("Place")

    def fill(dialog):
        user.drop(dialog, tmp_path / "films")
        user.choose(dialog.landmarks, PRESET)

    user.in_new_study(lambda: user.press(user.header.new), fill)
    user.wait_for_study(30)
    for position in truth["film 000.png"]:
        user.place(position)
    placed = user.session.annotation("film 000.png")
    assert {mark.status for mark in placed.values()} == {Status.PLACED}
    np.testing.assert_allclose(placed.positions(2), truth["film 000.png"], atol=0.5)  # a pixel of the screen
    check(user, "Orthodontist: template")
    train = user.onward(annotate.onward, "Train")
    user.press(train.run)
    user.wait()
    assert len(Study.open(user.session.study.folder).predictions()) == 30
    check(user, "Orthodontist: training")


def test_148_films_are_reviewed_with_20_corrections(user, drawn, tmp_path):
    truth = films(tmp_path / "films", 148, drawn)
    names = list(truth)
    wrong, aside = names[3::7][:20], np.array([0.0, 12.0])
    schema = preset("cephalometric").landmarks
    study = Study.create(tmp_path / "study", schema=schema, images=tmp_path / "films", template=names[0])
    far = {name: farthest(truth[name], aside) for name in wrong}
    found = {}
    for number, name in enumerate(names):
        positions, errors = truth[name].copy(), np.full(COUNT, 0.4 + 0.001 * number)
        if name in wrong:
            positions[far[name]] += aside
            errors[far[name]] = 8.0
        found[name] = LandmarkSet.from_array(schema, positions, Status.PREDICTED, np.full(COUNT, 0.7), errors)
    study.save_all_predictions(found, {name: read_geometry(tmp_path / "films" / name) for name in names})

    review = user.widget("Review")
    user.drop(user.canvas, study.folder)
    user.wait_for_study(148)
    # Each film is looked at in the order of the list, and what is wrong is dragged.
    listed = review.cohort.names
    assert set(listed[:20]) == set(wrong)
    user.pick(review.cohort.view, 0)
    for name in listed:
        assert user.session.current_image == name
        if name in wrong:
            start = found[name].positions(2)[far[name]]
            user.drag(start, start - aside)
        user.key(Qt.Key.Key_K if name in wrong else Qt.Key.Key_Period)
    # What was right is accepted together.
    sheet = user.widget("Contact sheet")
    user.fill(sheet.most.lineEdit(), "1")
    user.confirm(lambda: user.press(sheet.accept))
    user.wait()
    progress = sheet.queue.progress
    assert (progress.reviewed, progress.corrected) == (148, 20)
    saved = Study.open(study.folder).annotations()
    for name in names:
        np.testing.assert_allclose(saved[name].positions(2), truth[name], atol=0.6)
    assert sum(m.status is Status.CORRECTED for marks in saved.values() for m in marks.values()) == 20
    check(user, "Orthodontist: review")


def farthest(positions, aside):
    """Number of the landmark that stays farthest from the others when it is moved."""
    away = [
        np.linalg.norm(np.delete(positions, n, 0) - (positions[n] + aside), axis=1).min()
        for n in range(len(positions))
    ]
    return int(np.argmax(away))


def test_a_morphometrician_has_wings_and_a_tps_file(user, drawn, tmp_path):
    truth = films(tmp_path / "wings", 6, drawn)
    schema = LandmarkSchema(tuple(f"landmark {n + 1}" for n in range(COUNT)))
    placed = {name: LandmarkSet.from_array(schema, truth[name]) for name in list(truth)[:2]}
    geometries = {name: read_geometry(tmp_path / "wings" / name) for name in placed}
    write_landmarks(tmp_path / "wings.tps", placed, geometries=geometries)
    annotate = user.widget("Place")
    user.in_new_study(
        lambda: user.press(user.header.new),
        lambda dialog: user.drop(dialog, tmp_path / "wings", tmp_path / "wings.tps"),
    )
    user.wait_for_study(6)
    saved = Study.open(user.session.study.folder).annotations()
    assert saved.keys() == placed.keys()
    for name, marks in placed.items():
        np.testing.assert_allclose(saved[name].positions(2), marks.positions(2), atol=0.01)
    train = user.onward(annotate.onward, "Train")
    user.press(train.run)
    user.wait()
    assert len(Study.open(user.session.study.folder).predictions()) == 6
    check(user, "Morphometrician")


def test_a_radiologist_marks_six_volumes(user, tmp_path):
    import nibabel as nib

    (tmp_path / "heads").mkdir()
    heads = [head_phantom(seed, size=40) for seed in range(2)]
    for number in range(6):
        image = heads[number % 2].image
        nib.save(
            nib.Nifti1Image(image.array.T, np.diag([2.0, 2.0, 2.0, 1.0])),
            tmp_path / "heads" / f"{number}.nii",
        )
    user.widget("Place")
    user.in_new_study(
        lambda: user.press(user.header.new), lambda dialog: user.drop(dialog, tmp_path / "heads")
    )
    user.wait_for_study(6)
    shape = np.array(user.session.geometry().shape)
    aims = [np.round(shape * share) for share in ((0.3, 0.4, 0.5), (0.5, 0.5, 0.4), (0.7, 0.6, 0.5))]
    for aim in aims:
        user.slide(int(aim[0]))
        user.place(aim)
    placed = user.session.annotation()
    assert len(placed) == 3
    np.testing.assert_allclose(placed.positions(3), aims, atol=0.6)
    check(user, "Radiologist")


def test_someone_has_a_folder_of_dicom_files(user, drawn, tmp_path):
    (tmp_path / "PACS").mkdir()
    for number, array in enumerate(drawn[0][:5]):
        pixels = array.astype(np.uint16) * 16
        save(tmp_path / "PACS" / f"IM{number:04d}", pixels, PixelSpacing=[0.4, 0.4])
    annotate = user.widget("Place")

    def fill(dialog):
        user.choose(dialog.landmarks, PRESET)

    user.in_new_study(lambda: user.drop(user.canvas, tmp_path / "PACS"), fill)
    user.wait_for_study(5)
    assert "0.4 x 0.4 mm (projection" in annotate.spacing.text()
    for position in drawn[1][0]:
        user.place(position)
    assert annotate.onward.isVisible()
    check(user, "DICOM")


def test_someone_registers_two_films(user, known_registration):
    user.viewer.add_image(blob(FIXED_CENTRE), name="first")
    user.viewer.add_image(blob(FIXED_CENTRE + SHIFT), name="second")
    register = user.widget("Register")
    chosen = register.form.chosen()
    assert (chosen.fixed.name, chosen.moving.name) == ("first", "second")
    user.press(register.run)
    user.wait()
    warped = user.viewer.layers["Warped second on first"]
    assert warped.visible
    assert np.unravel_index(warped.data.argmax(), warped.data.shape) == tuple(FIXED_CENTRE)
    check(user, "Registration")
