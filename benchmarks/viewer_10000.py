"""Blocks of the viewer's main thread with many images: run ``xvfb-run -a python benchmarks/viewer_10000.py``.

A timer of 5 ms in the event loop of Qt is the watchdog: what keeps the main thread busy delays its next tick. Each
step of a user's work (opening a study, the next image, a click that places a landmark, ...) is started by the event
loop, as by a key or a mouse, in a window with all landmark widgets open. Printed are, for each step, the number of
ticks, the 99th percentile and the maximum of the time between two ticks in ms, and the same of the time that the main
thread itself computed between two ticks, which other programs of the machine hardly lengthen. The first row is a
viewer at rest.

Images are noise of 48 x 40 pixels: what is measured grows with their number, not with their size.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QEventLoop, QObject, Qt, QTimer

from napari_landmark.data.files import atomic
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.change_landmarks import change_landmarks
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.jobs.predictions import JobPredictions
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session

NAMES = tuple(f"landmark {number}" for number in range(1, 20))
WIDGETS = ("Annotate template", "Train", "Detect and review")
TICK_MS = 5


class Watchdog(QObject):
    """Times between the ticks of a timer of the event loop, in ms: by the clock, and of the main thread's computing."""

    def __init__(self) -> None:
        super().__init__()
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self._last = time.perf_counter(), time.thread_time()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def stop(self) -> None:
        """End the measurement."""
        self._timer.stop()

    def _tick(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self.wall.append(1000 * (now[0] - self._last[0]))
        self.cpu.append(1000 * (now[1] - self._last[1]))
        self._last = now


def run_events(seconds: float) -> None:
    """Run the event loop of Qt for so many seconds."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def measure(name: str, action: Callable[[], object], session: Session, *, times: int, profile: bool) -> None:
    """Print the row of a step: the action is called by the event loop, which then runs until no job does."""
    profiler = cProfile.Profile()
    run_events(0.5)
    watchdog = Watchdog()
    started = time.perf_counter()
    if profile:
        profiler.enable()
    for _ in range(times):
        QTimer.singleShot(0, action)
        run_events(0.2)
        while session.job is not None:
            run_events(0.1)
    run_events(0.3)
    profiler.disable()
    watchdog.stop()
    wall, cpu = np.array(watchdog.wall), np.array(watchdog.cpu)
    print(
        f"| {name:24} | {times:5} | {time.perf_counter() - started:7.1f} | {len(wall):6} | "
        f"{np.percentile(wall, 99):8.1f} | {wall.max():8.1f} | {np.percentile(cpu, 99):8.1f} | {cpu.max():8.1f} |",
        flush=True,
    )
    watchdog.deleteLater()
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)


def make_study(folder: Path, count: int) -> Study:
    """Create a study in which every image has a prediction and every tenth an annotation."""
    images = folder / "images"
    images.mkdir(parents=True)
    study = Study.create(folder / "study", schema=LandmarkSchema(NAMES), images=images)
    noise = np.random.default_rng(0)
    for number in range(count):
        name = f"image_{number:05d}.png"
        Image.fromarray(noise.integers(0, 255, (48, 40), dtype=np.uint8)).save(images / name)
        positions = noise.uniform(2, 38, (len(NAMES), 2))
        errors = noise.uniform(1, 4, len(NAMES))
        marks = LandmarkSet.from_array(
            study.schema, positions, Status.PREDICTED, np.full(len(NAMES), 0.7), errors
        )
        study.save_predictions(name, marks)
        if number % 10 == 0:
            study.save_annotations(name, LandmarkSet.from_array(study.schema, positions))
    return study


def detection(session: Session) -> None:
    """Run a job that ends as a detection in all images does: its predictions are in the study's files."""
    saved = JobPredictions(session)
    job = Job(JobKind.DETECT, saved.read_after(lambda progress, cancel: None))
    job.succeeded.connect(lambda _: saved.show())
    session.run(job)


def rename(session: Session) -> None:
    """Give the fourth landmark another name."""
    schema = session.require_study().schema
    names = list(schema.names)
    old, names[3] = names[3], "another name" if names[3] == NAMES[3] else NAMES[3]
    change_landmarks(session, replace(schema, names=tuple(names)), {old: names[3]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument(
        "--folder", type=Path, help="keep the study here, and use the one that is here already"
    )
    parser.add_argument("--profile", action="store_true", help="print where the main thread spends its time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "work"
        if not folder.exists():
            syncing, atomic.os.fsync = (
                atomic.os.fsync,
                lambda _: None,
            )  # 11,000 files, for the measurement alone
            make_study(folder, options.images)
            atomic.os.fsync = syncing
        preferences = Preferences("cpu", 64, folder / "cache")
        viewer = napari.Viewer()
        for name in WIDGETS:
            viewer.window.add_plugin_dock_widget("napari-landmark", name, tabify=True)
        session = get_session(viewer)
        editor = AnnotationEditor(session)
        marks = iter(range(1000))

        def click() -> None:
            number = next(marks)
            editor.place(NAMES[number % 3], (10 + number / 10, 10))

        steps: dict[str, tuple[int, Callable[[], object]]] = {
            "at rest": (10, lambda: None),
            "opening": (
                1,
                lambda: session.run(open_job(session, folder / "study", preferences=preferences)),
            ),
            "next image": (20, lambda: session.step(1)),
            "a click": (20, click),
            "sorting": (5, session.predictions_changed.emit),
            "study changed": (5, session.study_changed.emit),
            "predictions of a job": (1, lambda: detection(session)),
            "renaming a landmark": (1, lambda: rename(session)),
        }
        print("| step | times | s | ticks | p99 ms | max ms | p99 CPU ms | max CPU ms |")
        print("|---|---|---|---|---|---|---|---|")
        for name, (times, action) in steps.items():
            measure(name, action, session, times=times, profile=options.profile)
        viewer.close()


if __name__ == "__main__":
    main()
