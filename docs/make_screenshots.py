"""Draw the pictures of the documentation from the sample data: ``xvfb-run -a -s "-screen 0 1400x900x24"``
``python docs/make_screenshots.py``.

Every picture shows the drawn hand radiographs, which are nobody's. Training takes ``--minutes``; with ``--study`` an
earlier run is shown again. Pictures are named after their theme where that is not the dark one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QWidget

from napari_landmark.backend.hosts import Host, save_host
from napari_landmark.gui.dialogs.hosts import HostsDialog
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.registration_layers import LABELS, POINTS
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.presets import PRESETS
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.widgets.landmarks_dock import LandmarksDock
from napari_landmark.gui.widgets.measure import MeasureWidget
from napari_landmark.gui.widgets.register import RegisterWidget
from napari_landmark.gui.widgets.review import ReviewWidget
from napari_landmark.synthetic import hand_phantom

DOCS = Path(__file__).parent
SAMPLE = DOCS.parent / "sample_data"
_PAUSE = 10.0  # seconds between pictures of a training
_SIDE = 420  # pixels of the widgets at the right, so that nothing of the review is cut
WIDGETS = {
    "annotate": "Place",
    "train": "Train",
    "review": "Review",
    "measure": "Measure",
    "register": "Register",
    "planes": "Planes",
}


class Camera:
    """A viewer of fixed size that writes pictures of itself."""

    def __init__(self, folder: Path, theme: str, size: tuple[int, int] = (1280, 800)) -> None:
        self.folder, self.suffix = folder, "" if theme == "dark" else f"-{theme}"
        self.viewer = napari.Viewer()
        self.viewer.theme = theme
        self.viewer.window.resize(*size)
        self.session, self.layers = get_session(self.viewer), get_layer_manager(self.viewer)
        self.wait(0.5)

    def wait(self, seconds: float) -> None:
        """Let Qt work."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wait_for_job(self) -> None:
        """Let Qt work until nothing runs."""
        while self.session.job is not None:
            self.wait(0.1)
        self.wait(0.3)

    def wait_for_study(self) -> None:
        """Let Qt work until a study is open and its layers are made."""
        self.wait_for_job()
        while self.layers.landmarks.layer is None:
            self.wait(0.1)
        self.wait(0.3)

    def dock(self, which: str) -> QWidget:
        """Bring a widget to the front."""
        dock, widget = self.viewer.window.add_plugin_dock_widget(
            "napari-landmark", WIDGETS[which], tabify=True
        )
        dock.show()
        dock.raise_()
        self.wait(0.2)
        return widget.widget if isinstance(widget, LandmarksDock) else widget

    def pixels(self, pause: float) -> np.ndarray:
        """The whole window without notifications, after so many seconds."""
        for toast in self.viewer.window._qt_window.findChildren(QWidget):
            if type(toast).__name__ == "NapariQtNotification":
                toast.close()
        self.wait(pause)
        return np.ascontiguousarray(self.viewer.screenshot(canvas_only=False, flash=False)[..., :3])

    def take(self, name: str) -> None:
        """Write a picture of the whole window."""
        save(self.pixels(0.5), self.folder / f"{name}{self.suffix}.png")


def save(pixels: np.ndarray, path: Path) -> None:
    """Write a picture with a palette, to keep it small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    # Octree keeps the few bright colours that a median cut would mix into the grey of the radiograph.
    picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)


class Film:
    """Frames of a window as one moving picture (WebP), small enough for a page.

    Parameters
    ----------
    camera : Camera
    width : int
        Of the moving picture, in pixels.
    """

    def __init__(self, camera: Camera, width: int = 900) -> None:
        self._camera, self._width = camera, width
        self._frames: list[Image.Image] = []
        self._milliseconds: list[int] = []

    def take(self, milliseconds: int) -> None:
        """Add the window as it is now, to be shown for so long."""
        frame = Image.fromarray(self._camera.pixels(0.3))
        height = round(frame.height * self._width / frame.width)
        self._frames.append(frame.resize((self._width, height), Image.Resampling.LANCZOS))
        self._milliseconds.append(milliseconds)

    def thin(self, start: int, count: int) -> None:
        """Keep so many frames, evenly spread, of those from number `start` on."""
        kept = np.unique(np.linspace(start, len(self) - 1, count).round().astype(int))
        numbers = [*range(start), *kept]
        self._frames = [self._frames[number] for number in numbers]
        self._milliseconds = [self._milliseconds[number] for number in numbers]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def write(self, path: Path) -> None:
        """Write the moving picture; it begins again at its end."""
        first, *others = self._frames
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=self._milliseconds,
            loop=0,
            quality=60,
            method=6,
            minimize_size=True,
        )


def film_all(camera: Camera, minutes: float) -> None:
    """The whole job as a moving picture: annotate one image, train, see the landmarks of the others."""
    film = Film(camera)
    camera.viewer.open_sample("napari-landmark", "hands")
    widget = camera.dock("annotate")
    dialog = NewStudyDialog(camera.viewer, camera.session, widget)
    dialog.folder.edit.setText(str(Path(tempfile.mkdtemp()) / "hands"))
    dialog._on_accept()
    dialog.deleteLater()
    camera.wait_for_study()
    film.take(1200)
    for position in hand_phantom(0).landmarks.positions(2):
        camera.layers.landmarks.layer.add(position)
        film.take(160)
    film.take(900)
    widget = camera.dock("train")
    camera.session.show(camera.session.names[3])
    camera.session.set_placing(False)
    widget.minutes.setValue(minutes)
    widget.run.click()
    start = len(film)
    while camera.session.job is not None:
        camera.wait(_PAUSE / 4)
        if camera.session.job is not None:
            film.take(250)
    film.thin(start, 14)
    camera.wait_for_study()
    review: ReviewWidget = camera.dock("review")
    review.heatmaps.setChecked(False)
    for name in camera.session.names[1:13]:
        camera.session.show(name)
        film.take(420)
    camera.session.select_landmark("middle_pip")
    review.heatmaps.setChecked(True)
    camera.wait_for_job()
    film.take(2500)
    film.write(camera.folder / "landmarks.webp")


def show_annotating(camera: Camera, folder: Path) -> None:
    """From the empty viewer to a template with all its landmarks."""
    widget = camera.dock("annotate")
    camera.take("annotate-empty")
    camera.viewer.open_sample("napari-landmark", "hands")
    camera.take("annotate-sample")
    dialog = NewStudyDialog(camera.viewer, camera.session, widget)
    dialog.folder.edit.setText(str(folder))
    dialog.show()
    camera.wait(0.3)
    dialog.grab().save(str(camera.folder / f"new-study{camera.suffix}.png"))
    dialog._on_accept()
    dialog.deleteLater()
    camera.wait_for_study()
    positions = hand_phantom(0).landmarks.positions(2)
    for number, position in enumerate(positions):
        if number == 9:
            camera.take("annotate")
        camera.layers.landmarks.layer.add(position)
    camera.take("annotate-done")


def show_training(camera: Camera, minutes: float) -> None:
    """A training from the button to its end."""
    widget = camera.dock("train")
    camera.take("train-ready")
    camera.session.show(camera.session.names[1])
    camera.session.set_placing(False)
    widget.minutes.setValue(minutes)
    widget.run.click()
    taken = time.monotonic()
    while camera.session.job is not None:
        camera.wait(0.2)
        # The last one stays, with the curves of all stages: how long they take depends on the machine.
        if time.monotonic() - taken > _PAUSE:
            camera.take("train")
            taken = time.monotonic()
    camera.take("train-done")


def show_reviewing(camera: Camera) -> None:
    """What was found, the worst image first, and its heatmap."""
    widget: ReviewWidget = camera.dock("review")
    camera.take("review-first")
    camera.session.show(widget.cohort.names[0])
    camera.session.select_landmark("index_pip")
    camera.take("review-worst")
    camera.session.show(camera.session.names[12])
    camera.session.select_landmark("middle_pip")
    widget.heatmaps.setChecked(True)
    camera.wait_for_job()
    camera.take("review")
    widget.heatmaps.setChecked(False)
    mark = camera.session.result()["index_tip"]
    AnnotationEditor(camera.session).place("index_tip", np.add(mark.position, (1.0, 0.5)))
    camera.take("review-corrected")


def show_measuring(camera: Camera) -> None:
    """Values of one hand among those of all."""
    if not camera.session.require_study().measurements:  # a study of before
        schema = PRESETS["Hand phantom (sample data)"]()
        SchemaEditor(camera.session).set_measurements(schema.measurements, links=schema.landmarks.links)
    widget: MeasureWidget = camera.dock("measure")
    camera.session.show(camera.session.names[12])
    while widget.measurements.cohort is None:
        camera.wait(0.2)
    widget.select("spread of the fingers")
    camera.take("measure")


def show_registering(camera: Camera) -> None:
    """Two hands of the sample data with their label maps and landmarks, before and after."""
    from skimage.io import imread

    camera.viewer.layers.clear()
    names = ("hand_000.png", "hand_003.png")
    for seed, name in zip((0, 3), names, strict=True):
        camera.viewer.add_image(imread(SAMPLE / "images" / name), name=name)
        camera.viewer.add_labels(
            imread(SAMPLE / "labels" / name).astype(int), name=f"labels of {name}", visible=False
        )
        marks = hand_phantom(seed).landmarks
        camera.viewer.add_points(
            marks.positions(2),
            features={"name": list(marks)},
            name=f"points of {name}",
            size=5,
            visible=False,
        )
    widget: RegisterWidget = camera.dock("register")
    boxes = widget.form.boxes
    for which, name in zip(("fixed", "moving"), names, strict=True):
        for key, layer in (("", name), ("_labels", f"labels of {name}"), ("_points", f"points of {name}")):
            boxes[f"{which}{key}"].value = camera.viewer.layers[layer]
    widget.form.guide.value = False
    camera.take("register-ready")
    widget.run.click()
    camera.wait_for_job()
    for kind in (LABELS, POINTS):
        layer = camera.layers.registration.get(kind)
        if layer is not None:
            layer.visible = False
    camera.wait(0.5)
    camera.take("register-blend")
    bar = widget.area.verticalScrollBar()
    bar.setValue(bar.maximum())
    for box, name in ((0, "register"), (1, "register-grid"), (2, "register-arrows"), (3, "register-volumes")):
        for number, switch in enumerate(widget.switches.values()):
            switch.setChecked(number == box)
        camera.take(name)
    widget.fold.expand(animate=False)
    camera.wait(0.2)
    bar.setValue(bar.maximum())
    camera.take("register-train")


def show_volumes(camera: Camera, folder: Path, size: str) -> None:
    """Planes, rendering and review of the drawn heads, in a trained study of theirs."""
    camera.session.run(open_job(camera.session, folder))
    camera.wait_for_study()
    camera.dock("annotate")
    planes = camera.dock("planes")
    camera.wait(0.5)  # the planes move below the main view
    window = camera.viewer.window._qt_window
    side = [dock for dock in window.findChildren(QDockWidget) if dock.windowTitle() == "Landmarks"]
    window.resizeDocks(side, [_SIDE], Qt.Orientation.Horizontal)
    camera.session.show("head_000.nii.gz")
    camera.session.select_landmark("sella")
    camera.wait(0.5)
    camera.take(f"volumes-planes-{size}")
    camera.dock("review")
    camera.session.show(camera.session.names[3])
    camera.session.select_landmark("gonion_left")
    camera.dock("planes")
    planes.rendered.click()
    camera.viewer.scene.camera.angles = (-20.0, 35.0, -120.0)
    camera.viewer.reset_view(reset_camera_angle=False)
    camera.wait(1.0)
    camera.take(f"volumes-rendering-{size}")
    planes.rendered.click()
    review = camera.dock("review")
    review.heatmaps.setChecked(True)
    camera.wait_for_job()
    camera.session.select_landmark("mastoid_right")
    camera.take(f"volumes-review-{size}")


def show_hosts(camera: Camera) -> None:
    """The dialog of other computers, with one that is described."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_LANDMARK_CONFIG"] = folder
        command = "~/landmarks/bin/napari-landmark"
        save_host(
            Host(name="lab", address="me@workstation", command=command, paths={"/data/xrays": "/mnt/xrays"})
        )
        dialog = HostsDialog(camera.viewer.window._qt_window)
        dialog.show()
        camera.wait(0.5)
        dialog.grab().save(str(camera.folder / f"hosts{camera.suffix}.png"))
        dialog.close()


def show_error(camera: Camera) -> None:
    """What a failure looks like in the step Train."""

    def fail(progress: object, cancel: object) -> None:
        raise MemoryError

    widget = camera.dock("train")
    job = Job(JobKind.TRAIN, fail)
    camera.session.run(job)
    camera.wait_for_job()
    widget.refresh()
    camera.wait(1.0)
    save(
        camera.viewer.screenshot(canvas_only=False, flash=False),
        camera.folder / f"train-error{camera.suffix}.png",
    )


def main() -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument(
        "--study", type=Path, help="show this study of the sample data again; nothing is trained"
    )
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    parser.add_argument(
        "--only",
        choices=["film", "register", "measure", "hosts"],
        help="only the pictures of this widget",
    )
    parser.add_argument(
        "--volumes",
        type=Path,
        help="only the pictures of volumes, of this study of the drawn heads (napari-landmark demo --volumes)",
    )
    parser.add_argument("--size", default="1280x800", help="of the window, for the pictures of volumes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    width, height = (int(side) for side in options.size.split("x"))
    camera = Camera(options.out, options.theme, (width, height))
    if options.volumes:
        show_volumes(camera, options.volumes, options.size)
        camera.viewer.close()
        return
    if options.only == "register":
        show_registering(camera)
        camera.viewer.close()
        return
    if options.only == "film":
        film_all(camera, options.minutes)
        camera.viewer.close()
        return
    if options.only == "hosts":
        show_hosts(camera)
        camera.viewer.close()
        return
    if options.only == "measure":
        camera.session.run(open_job(camera.session, options.study))
        camera.wait_for_study()
        show_measuring(camera)
        camera.viewer.close()
        return
    folder = options.study or Path(tempfile.mkdtemp()) / "hand study"
    if folder.exists():
        camera.session.run(open_job(camera.session, folder))
        camera.wait_for_study()
        camera.dock("annotate")
        camera.take("annotate-done")
        camera.dock("train")
        camera.take("train-ready")
    else:
        show_annotating(camera, folder)
        show_training(camera, options.minutes)
    show_reviewing(camera)
    show_measuring(camera)
    show_error(camera)
    show_registering(camera)
    camera.viewer.close()


if __name__ == "__main__":
    main()
