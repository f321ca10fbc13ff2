"""Responsiveness of the viewer: run ``xvfb-run -a python benchmarks/gui_responsiveness.py``.

Two figures: the delay of a 10 ms Qt timer while a training runs (its 99th percentile should stay under 15 ms
with a worker process; ``--workers thread`` is how it was before), and the
time of the step to the next image in a study of 200 large images with predictions (should stay under 0.3 s).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_landmark.backend.machines import WORKERS
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.train import train_job
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.synthetic import SCHEMA, hand_phantom


class Metronome(QObject):
    """Duration of each tick of a 10 ms timer, in ms."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(10)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(1000 * (now - self._last))
        self._last = now


def run_events(seconds: float) -> None:
    """Run the event loop of Qt for so many seconds."""
    from qtpy.QtCore import QEventLoop

    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def make_study(folder: Path, count: int, enlarge: int) -> tuple[Study, Cohort]:
    """Create a study of hands as large as cephalograms, with predictions: eight drawn ones and darker copies."""
    images = folder / "images"
    images.mkdir(parents=True)
    study = Study.create(folder / "study", schema=SCHEMA, images=images)
    for number in range(count):
        phantom = hand_phantom(number % 8)
        array = np.kron(phantom.image.array, np.ones((enlarge, enlarge), np.uint8))
        name = f"image_{number:03d}.png"
        Image.fromarray((array * (1 - 0.002 * number)).astype(np.uint8)).save(images / name, compress_level=1)
        positions = phantom.landmarks.positions(2) * enlarge
        marks = LandmarkSet.from_array(
            SCHEMA, positions, Status.PREDICTED, np.full(len(SCHEMA), 0.7), np.full(len(SCHEMA), 4.0 + number)
        )
        study.save_predictions(name, marks)
        if number == 0:
            study.save_annotations(name, LandmarkSet.from_array(SCHEMA, positions))
    return study, Cohort.from_folder(images, working_size=448, cache_dir=folder / "cache")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="of training")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument(
        "--workers", choices=("process", "thread"), default="process", help="where the training runs"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ[WORKERS] = options.workers
        os.environ["NAPARI_LANDMARK_JOBS"] = str(Path(name) / "jobs")
        study, cohort = make_study(Path(name), options.images, 5)
        viewer = napari.Viewer()
        session = get_session(viewer)
        session.open(study, cohort)
        for widget in ("Place", "Train", "Review"):
            viewer.window.add_plugin_dock_widget("napari-landmark", widget, tabify=True)
        run_events(2)
        result = {
            "workers": options.workers,
            "image": list(session.read_image().array.shape),
            "images": len(cohort),
        }
        result |= steps(session)
        result |= training(session, options.seconds)
        print(json.dumps(result, indent=1))
        viewer.close()


def steps(session) -> dict[str, float]:
    """Milliseconds from the key to the painted image."""
    taken = []
    for _ in range(30):
        started = time.perf_counter()
        session.step(1)
        QApplication.processEvents()
        taken.append(1000 * (time.perf_counter() - started))
        run_events(0.3)  # the user looks at the image
    return {
        "next_image_median_ms": round(float(np.median(taken)), 1),
        "next_image_max_ms": round(max(taken), 1),
    }


def training(session, seconds: float) -> dict[str, float]:
    """Delays of the timer while a training runs and previews are shown."""
    job = train_job(session, device="cpu", minutes=10)
    session.run(job)
    while job.last_event is None or job.last_event.loss is None:
        run_events(0.1)
        if session.job is None:
            raise SystemExit("the training ended before it began")
    metronome = Metronome()
    run_events(seconds)
    job.cancel()
    gaps = np.array(metronome.gaps)
    metronome.deleteLater()
    while session.job is not None:
        run_events(0.1)
    return {
        "timer_ticks": len(gaps),
        "timer_p50_ms": round(float(np.percentile(gaps, 50)), 1),
        "timer_p99_ms": round(float(np.percentile(gaps, 99)), 1),
        "timer_max_ms": round(float(gaps.max()), 1),
    }


if __name__ == "__main__":
    main()
