"""Main thread of the viewer with many images: run ``xvfb-run -a python benchmarks/viewer_10000.py``.

Prints the CPU time of the main thread in seconds for opening a study, the next image, a click that places a landmark, a
refresh of the list and renaming a landmark, in a window with all landmark widgets open. Images are noise of 48 x 40
pixels: what is measured grows with their number, not with their size.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.files import atomic
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor

NAMES = tuple(f"landmark {number}" for number in range(1, 20))
WIDGETS = ("Annotate template", "Train", "Detect and review")


def make_study(folder: Path, count: int) -> tuple[Study, Cohort]:
    """Create a study in which every image has a prediction and every hundredth an annotation."""
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
        if number % 100 == 0:
            study.save_annotations(name, LandmarkSet.from_array(study.schema, positions))
    return study, Cohort.from_folder(images, working_size=64, cache_dir=folder / "cache")


def timed(name: str, action: Callable[[], object], *, profile: bool) -> None:
    """Print the CPU and wall time of an action with the events that follow from it."""
    profiler = cProfile.Profile()
    wall, cpu = time.perf_counter(), time.thread_time()
    if profile:
        profiler.enable()
    action()
    QApplication.processEvents()
    profiler.disable()
    print(
        f"{name:24}{time.thread_time() - cpu:8.2f} s CPU{time.perf_counter() - wall:8.2f} s wall", flush=True
    )
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--profile", action="store_true", help="print where the time is spent")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        syncing, atomic.os.fsync = (
            atomic.os.fsync,
            lambda _: None,
        )  # 20,000 files are made for the measurement
        study, cohort = make_study(Path(folder), options.images)
        atomic.os.fsync = syncing
        viewer = napari.Viewer()
        for name in WIDGETS:
            viewer.window.add_plugin_dock_widget("napari-landmark", name, tabify=True)
        QApplication.processEvents()
        session = get_session(viewer)
        predictions = study.predictions()  # read in a thread by the viewer
        editor = AnnotationEditor(session)
        steps: dict[str, Callable[[], object]] = {
            "opening": lambda: session.open(study, cohort, predictions=predictions),
            "next image": lambda: session.step(1),
            "next image again": lambda: session.step(1),
            "a click": lambda: editor.place(NAMES[0], (10, 10)),
            "refresh of all": session.study_changed.emit,
            "predictions reloaded": lambda: session.load_predictions(),
            "rename": lambda: SchemaEditor(session).rename(NAMES[3], "another name"),
        }
        for name, action in steps.items():
            timed(name, action, profile=options.profile)
        viewer.close()


if __name__ == "__main__":
    main()
