"""Ten of 148 real cephalograms are corrected as the tool proposes, and the model learns from them.

    NAPARI_LANDMARK_STORY=STUDY NAPARI_LANDMARK_TRUTH=landmarks.csv pytest -s tests/gui/stories/test_correcting_ten.py

STUDY is trained from one template; it is copied, never changed. The CSV holds the true landmarks of its images, as for
`benchmarks/cephalometric.py`. Writes actions and waits for `docs/stories.md`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_landmark.data.study.study import Study
from napari_landmark.gui.preferences import Preferences

from .user import User

STUDY, TRUTH = (os.environ.get(f"NAPARI_LANDMARK_{name}", "") for name in ("STORY", "TRUTH"))
BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
COUNT = 10
RIGHT = 1.0  # mm within which nobody drags a point
PIXEL = 0.2  # mm
ROUNDS = 3
APART = 5.0  # mm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (STUDY and TRUTH), reason="needs a trained study and its truth"),
]


@pytest.fixture
def usual_preferences(monkeypatch, preferences):
    """The preferences of a new user; other tests have a coarser working grid."""
    chosen = replace(preferences, working_size=Preferences.working_size)
    monkeypatch.setattr(Preferences, "read", classmethod(lambda cls: chosen))


@pytest.mark.usefixtures("usual_preferences")
def test_ten_are_corrected_as_proposed(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from cephalometric import read_truth

    truth, _ = read_truth(Path(TRUTH))
    folder = shutil.copytree(STUDY, tmp_path / "study")
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    user = User(viewer, qtbot)
    review = user.widget("Review")
    user.drop(user.canvas, folder)
    user.wait(lambda: len(user.session.names) > 100 and user.marks is not None)
    opened = user.seconds
    found = Study.open(folder).predictions()
    begun, dragged, corrected = time.monotonic(), 0, []
    while len(corrected) < COUNT:
        qtbot.waitUntil(lambda: "href" in review.advice.text(), timeout=60_000)
        proposed = [
            name for name in re.findall(r'href="([^"]+)"', review.advice.text()) if name not in corrected
        ]
        assert proposed
        name = proposed[0]
        user.actions += 1
        review.advice.linkActivated.emit(name)
        qtbot.waitUntil(lambda name=name: user.session.current_image == name, timeout=20_000)
        qtbot.wait(100)
        aim = truth[name].positions(2)
        for _ in range(ROUNDS):  # where two marks lie on each other, the wrong one may be taken
            now = placed(user.session.annotation(), found[name])
            off = np.flatnonzero(np.linalg.norm(now - aim, axis=1) * PIXEL > RIGHT)
            for number in off:
                user.session.select_landmark(found[name].schema.names[number])
                user.actions += 1
                user.drag(placed(user.session.annotation(), found[name])[number], aim[number])
            dragged += len(off)
        user.key(Qt.Key.Key_K)
        corrected.append(name)
        qtbot.wait(400)
    correcting = time.monotonic() - begun
    study = Study.open(folder)
    others = [n for n in user.session.names if n not in corrected and n != study.template]
    before = radial(study, truth, others)
    user.press(review.again)
    since = time.monotonic()
    qtbot.waitUntil(lambda: user.session.job is not None, timeout=30_000)
    qtbot.waitUntil(lambda: user.session.job is None, timeout=1_800_000)
    learning = time.monotonic() - since
    after = radial(Study.open(folder), truth, others)
    sys.stderr.write(
        f"\n{len(corrected)} images, {dragged} landmarks dragged, {user.actions} actions; opened in {opened:.1f} s, "
        f"corrected by the script in {correcting:.0f} s, learned in {learning:.0f} s; "
        f"{before:.3f} -> {after:.3f} mm in {len(others)} others\n"
    )
    saved = Study.open(folder).annotations()
    for name in corrected:
        aim = truth[name].positions(2)
        # Tips of incisors nearly coincide: a drag at the scale of the window may take the other one.
        away = np.linalg.norm(aim[:, None] - aim, axis=-1) + np.diag(np.full(len(aim), np.inf))
        alone = away.min(axis=1) * PIXEL > APART
        assert (np.linalg.norm(saved[name].positions(2) - aim, axis=1)[alone] * PIXEL).max() < RIGHT + 0.3
    assert after < before


def placed(marks, predicted):
    """Positions that are shown: those that a person placed, of the others the predictions."""
    own = marks.positions(2)
    return np.where(np.isfinite(own), own, predicted.positions(2))


def radial(study, truth, names):
    """Mean radial error of the predictions that have a position, in mm."""
    found = study.predictions()
    errors = [np.linalg.norm(found[name].positions(2) - truth[name].positions(2), axis=1) for name in names]
    return float(np.nanmean(errors)) * PIXEL
