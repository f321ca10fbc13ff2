"""Draw every step of the dock in every state: ``xvfb-run -a -s "-screen 0 2700x1800x24"``
``python docs/make_state_pictures.py --out DIR``.

Pictures of the drawn hands in the states empty, working, done and error, in both themes, in windows of 1280 x 800 and
1920 x 1080 and on a screen of twice as many pixels; and for each of these combinations a sheet of all of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication, QWidget

sys.path.insert(0, str(Path(__file__).parents[1]))
from napari_landmark.gui.widgets.steps import Step
from tests.gui.states import STATES, Scene, draw_images

SIZES = {"1280x800": 1, "1920x1080": 1, "1280x800@2": 2}
_SHEET_WIDTH = 640  # pixels of one picture in a sheet


def wait(until: Callable[[], bool] = lambda: True, seconds: float = 0.0) -> None:
    """Let Qt work until a condition holds, and for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or not until():
        QApplication.processEvents()
        time.sleep(0.01)


def draw(folder: Path, theme: str, size: str, steps: list[Step]) -> None:
    """Draw all steps in all states in one theme and size, and the sheet of them."""
    width, height = map(int, size.split("@")[0].split("x"))
    pictures = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["NAPARI_LANDMARK_CACHE"] = str(work / "cache")
        truth = draw_images(work / "images")
        for state in STATES:
            viewer = napari.Viewer()
            viewer.theme = theme
            viewer.window.resize(width, height)
            scene = Scene(viewer, state, work / f"hands {state}", work / "images", truth, wait)
            for step in steps:
                scene.show(step)
                wait(seconds=0.7)
                for toast in viewer.window._qt_window.findChildren(QWidget):
                    if type(toast).__name__ == "NapariQtNotification":
                        toast.close()
                wait(seconds=0.1)
                pixels = np.ascontiguousarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
                pictures.append(Image.fromarray(pixels))
                pictures[-1].save(folder / f"{str(step).lower()}-{state}-{theme}-{size}.png", optimize=True)
            scene.close()
            viewer.close()
    side = round(_SHEET_WIDTH * height / width)
    sheet = Image.new("RGB", (_SHEET_WIDTH * len(steps), side * len(STATES)))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, len(steps))
        sheet.paste(
            picture.resize((_SHEET_WIDTH, side), Image.Resampling.LANCZOS),
            (column * _SHEET_WIDTH, row * side),
        )
    sheet.save(folder / f"sheet-{theme}-{size}.png", optimize=True)


def main() -> None:
    """Draw the pictures, those of each size in a program of its own: the scale of a screen is fixed at its start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--themes", nargs="+", default=["dark", "light"], choices=["dark", "light"])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--steps", nargs="+", default=list(Step), type=Step)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if len(options.sizes) == 1 and os.environ.get("QT_SCALE_FACTOR", "1") == str(SIZES[options.sizes[0]]):
        for theme in options.themes:
            draw(options.out, theme, options.sizes[0], options.steps)
        return
    for size in options.sizes:
        command = [sys.executable, __file__, "--out", str(options.out), "--sizes", size]
        command += ["--themes", *options.themes, "--steps", *map(str, options.steps)]
        subprocess.run(command, check=True, env={**os.environ, "QT_SCALE_FACTOR": str(SIZES[size])})


if __name__ == "__main__":
    main()
