"""The whole job in a viewer, with an installed package alone: sample data, annotate, train, review, export.

``scripts/test_dist.sh`` runs it from the wheel in an empty environment, on a virtual screen. It ends with status 0 and
one line, which names the folder of the package, where everything was done.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

import napari_landmark
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Status
from napari_landmark.gui.dialogs.export import export
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.session import Session
from napari_landmark.synthetic import hand_phantom

LIMIT = 1800  # seconds of one job, on a slow machine


def wait(session: Session, *, least: float = 0.2, until: Callable[[], object] = lambda: True) -> None:
    """Let Qt work until nothing runs and a condition holds."""
    started = time.monotonic()
    while session.job is not None or time.monotonic() - started < least or not until():
        QApplication.processEvents()
        time.sleep(0.01)
        if time.monotonic() - started > LIMIT:
            raise SystemExit(f"a job took more than {LIMIT} s")


def main(minutes: float) -> None:
    """Do the job and check what came of it."""
    folder = Path(tempfile.mkdtemp())
    viewer = napari.Viewer(show=True)
    session, layers = get_session(viewer), get_layer_manager(viewer)

    viewer.open_sample("napari-landmark", "hands")
    _, landmarks = viewer.window.add_plugin_dock_widget("napari-landmark", "Place")
    dialog = NewStudyDialog(viewer, session, landmarks)
    dialog.folder.edit.setText(str(folder / "study"))
    dialog._on_accept()
    dialog.deleteLater()
    wait(session, until=lambda: layers.landmarks.layer is not None)
    study = session.require_study()

    truth = hand_phantom(0).landmarks
    for position in truth.positions(2):
        layers.landmarks.layer.add(position)
        wait(session, least=0.0)
    template = session.names[0]
    placed = study.annotations()[template]
    np.testing.assert_allclose(placed.positions(2), truth.positions(2), atol=1e-3)

    _, landmarks = viewer.window.add_plugin_dock_widget("napari-landmark", "Train")
    train = landmarks.widget
    train.minutes.setValue(minutes)
    train.run.click()
    wait(session, least=1.0)
    if len(study.predictions()) != len(session.names):
        raise SystemExit(f"{len(study.predictions())} of {len(session.names)} images have predictions")

    viewer.window.add_plugin_dock_widget("napari-landmark", "Review")
    other = session.names[1]
    session.show(other)
    wait(session)
    mark = next(iter(session.result().values()))
    AnnotationEditor(session).place(mark.name, np.add(mark.position or (50.0, 50.0), (1.0, 2.0)))
    wait(session)

    export(session, folder / "all.csv", suffix=".csv", whole=True)
    exported = read_landmarks(folder / "all.csv")
    if len(exported) != len(session.names) or exported[other][mark.name].status is not Status.CORRECTED:
        raise SystemExit("the exported table lacks images, or the correction")
    viewer.close()
    print(f"viewer story done with {napari_landmark.__version__} of {Path(napari_landmark.__file__).parent}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.2)
