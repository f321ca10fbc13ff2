"""Blocks of the viewer's main thread with many images: run ``xvfb-run -a python benchmarks/viewer_10000.py``.

A timer of 5 ms in the event loop of Qt is the watchdog: what keeps the main thread busy delays its next tick. Each
step of a user's work (opening a study, the next image, a click that places a landmark, ...) is started by the event
loop, as by a key or a mouse, in a window with all landmark widgets open. Printed are, for each step, the median, the
99th percentile and the maximum in ms of

- the time between two ticks,
- the time that the main thread itself computed between two ticks, which other programs of the machine hardly lengthen,
- and the same without what it computed while napari drew its canvas (`paintGL`): without a graphics card that is OpenGL
  on the processor.

Percentiles are of the blocks longer than a tick, of which a step has one or a few; those of a viewer at rest are the
first row. The canvas drawn again, unchanged, is napari's own in every step. A study is opened twice: the first time
in a program napari makes its layers, their controls and shaders. What those cost without this package is measured
first, in a program of its own: the rows of "napari alone" are an image and two layers of as many points with names,
each of them added by one call in a bare window, then new pixels and new points in these layers.

Images are noise of 48 x 40 pixels: what is measured grows with their number, not with their size (others:
`--size`).
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QEventLoop, QObject, Qt, QTimer
from qtpy.QtWidgets import QWidget

from napari_landmark.data.files import atomic
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.change_landmarks import change_landmarks
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.jobs.predictions import JobPredictions
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.layers.warm_up import warm_up
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session

NAMES = tuple(f"landmark {number}" for number in range(1, 20))
WIDGETS = ("Place", "Train", "Review")
TICK_MS = 5


class Watchdog(QObject):
    """Times between the ticks of a timer of the event loop, in ms.

    Attributes
    ----------
    blocks : list of tuple of float
        By the clock, of the main thread's computing, and of that without `canvas_time`.
    """

    canvas_time = 0.0  # seconds that the main thread computed in the drawing of the canvas

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[tuple[float, float, float]] = []
        self._last = self._now()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def stop(self) -> None:
        """End the measurement."""
        self._timer.stop()

    def _tick(self) -> None:
        now = self._now()
        wall, computed, canvas = (1000 * (new - old) for new, old in zip(now, self._last, strict=True))
        self.blocks.append((wall, computed, computed - canvas))
        self._last = now

    @staticmethod
    def _now() -> tuple[float, float, float]:
        return time.perf_counter(), time.thread_time(), Watchdog.canvas_time


def time_canvas(canvas: type) -> None:
    """Add the time of each drawing by the Qt widget of that type to `Watchdog.canvas_time`."""
    draw = canvas.paintGL

    def timed(widget: QObject) -> None:
        started = time.thread_time()
        draw(widget)
        Watchdog.canvas_time += time.thread_time() - started

    canvas.paintGL = timed


def run_events(seconds: float) -> None:
    """Run the event loop of Qt for so many seconds."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def measure(
    name: str, action: Callable[[], object], session: Session | None, *, times: int, profile: bool
) -> None:
    """Print the row of a step: the action is called by the event loop, which then runs until no job does."""
    profiler = cProfile.Profile(time.thread_time)
    run_events(0.5)
    watchdog = Watchdog()
    started = time.perf_counter()
    if profile:
        profiler.enable()
    for _ in range(times):
        QTimer.singleShot(0, action)
        run_events(0.2)
        while session is not None and session.job is not None:
            run_events(0.1)
    run_events(0.3)
    profiler.disable()
    watchdog.stop()
    cells = [f"{name:33}", f"{times:2}", f"{time.perf_counter() - started:6.1f}"]
    for column in np.array(watchdog.blocks).T:
        long = column[column > TICK_MS + 1]
        long = long if len(long) else column
        cells.append(" / ".join(f"{value:.0f}" for value in (*np.percentile(long, (50, 99)), long.max())))
    print(f"| {' | '.join(cells)} |", flush=True)
    watchdog.deleteLater()
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)


def make_study(folder: Path, count: int, size: tuple[int, int]) -> Study:
    """Create a study in which every image has a prediction and every tenth an annotation."""
    images = folder / "images"
    images.mkdir(parents=True)
    study = Study.create(folder / "study", schema=LandmarkSchema(NAMES), images=images)
    noise = np.random.default_rng(0)
    for number in range(count):
        name = f"image_{number:05d}.png"
        Image.fromarray(noise.integers(0, 255, size, dtype=np.uint8)).save(images / name)
        positions = noise.uniform(2, min(size) - 2, (len(NAMES), 2))
        errors = noise.uniform(1, 4, len(NAMES))
        marks = LandmarkSet.from_array(
            study.schema, positions, Status.PREDICTED, np.full(len(NAMES), 0.7), errors
        )
        study.save_predictions(name, marks)
        if number % 10 == 0:
            study.save_annotations(name, LandmarkSet.from_array(study.schema, positions))
    return study


def measure_napari_alone(size: tuple[int, int]) -> None:
    """Print rows of what napari itself needs for layers of that size, in a window without anything of this package."""
    viewer = napari.Viewer()
    viewer.window.add_dock_widget(QWidget(), name="empty", tabify=True)
    time_canvas(type(viewer.window._qt_viewer.canvas._scene_canvas.native))
    # Loaded before a study is shown, hence not a part of any step; see `warm_up`.
    warm_up()
    noise, points = np.random.default_rng(0), np.empty((0, 2))

    def pixels() -> np.ndarray:
        return noise.integers(0, 255, size, dtype=np.uint8)

    def add_points() -> None:
        layer = viewer.add_points(points, ndim=2, features={"name": np.array([], object)}, text="{name}")
        layer.data = noise.uniform(2, min(size) - 2, (len(NAMES), 2))
        layer.features = {"name": np.array(NAMES, object)}

    def move_points() -> None:
        for layer in viewer.layers[1:]:
            layer.data = noise.uniform(2, min(size) - 2, (len(NAMES), 2))

    for name, times, action in (
        ("image layer", 1, lambda: viewer.add_image(pixels())),
        ("first points layer", 1, add_points),
        ("second points layer", 1, add_points),
        ("other pixels", 10, lambda: setattr(viewer.layers[0], "data", pixels())),
        ("other points", 10, move_points),
    ):
        measure(f"napari alone: {name}", action, None, times=times, profile=False)
    viewer.close()


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
    parser.add_argument("--size", type=int, nargs=2, default=(48, 40), help="height and width of the images")
    parser.add_argument("--steps", nargs="*", help="names of the steps to measure, besides the opening")
    parser.add_argument("--profile", action="store_true", help="print where the main thread spends its time")
    parser.add_argument("--napari-alone", action="store_true", help="measure napari's own part alone")
    options = parser.parse_args()
    if options.napari_alone:
        measure_napari_alone(tuple(options.size))
        return
    print("p50 / p99 / max in ms")
    print("| step | times | s | by the clock | computing | without the canvas |")
    print("|---|---|---|---|---|---|", flush=True)
    subprocess.run(
        [sys.executable, __file__, "--napari-alone", "--size", *map(str, options.size)], check=True
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "work"
        if not folder.exists():
            syncing, atomic.os.fsync = (
                atomic.os.fsync,
                lambda _: None,
            )  # 11,000 files, for the measurement alone
            make_study(folder, options.images, tuple(options.size))
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

        def open_study() -> None:
            session.run(open_job(session, folder / "study", preferences=preferences))

        canvas = viewer.window._qt_viewer.canvas._scene_canvas
        time_canvas(type(canvas.native))
        steps: dict[str, tuple[int, Callable[[], object]]] = {
            "at rest": (10, lambda: None),
            "opening": (1, open_study),
            "first image with a bar": (1, lambda: session.step(1)),
            "canvas drawn again": (20, canvas.update),
            "opening again": (1, open_study),
            "next image": (20, lambda: session.step(1)),
            "a click": (20, click),
            "sorting": (5, session.predictions_changed.emit),
            "study changed": (5, session.study_changed.emit),
            "after a training": (1, lambda: detection(session)),
            "renaming a landmark": (1, lambda: rename(session)),
        }
        for name, (times, action) in steps.items():
            if options.steps and name not in (*options.steps, "opening"):
                continue
            measure(name, action, session, times=times, profile=options.profile)
        viewer.close()


if __name__ == "__main__":
    main()
