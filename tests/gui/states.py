"""Every step of the dock in the states empty, working, done and error, on drawn hands; for tests and pictures."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.dicom_view import StatedView
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.prediction_models import write_prediction_models
from napari_landmark.data.study.study import Study
from napari_landmark.detection.pose.pose_table import POSE_TABLE, write_pose_table
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.train import TrainingOutcome
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.presets import PRESETS
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.odd_shapes import OddShapes
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.widgets.steps import Step
from napari_landmark.progress import ProgressEvent
from napari_landmark.shape.analysis import OddShape
from napari_landmark.synthetic import hand_phantom

STATES = ("empty", "working", "done", "error")
_IMAGES, _DOWNSAMPLING = 7, 2
_STAGES = (
    "training embedding",
    "training patch embedding",
    "matching",
    "training detector",
    "measuring errors",
)
_LONG_JOBS = {
    Step.TRAIN: JobKind.TRAIN,
    Step.REVIEW: JobKind.DETECT,
    Step.MEASURE: JobKind.WRITE,
    Step.REGISTER: JobKind.REGISTER,
}


def draw_images(folder: Path) -> dict[str, np.ndarray]:
    """Write drawn hands; returns the positions of their landmarks by name of the image."""
    folder.mkdir(parents=True)
    truth = {}
    for seed in range(_IMAGES):
        phantom = hand_phantom(seed)
        array = phantom.image.array[::_DOWNSAMPLING, ::_DOWNSAMPLING]
        Image.fromarray(np.ascontiguousarray(array)).save(folder / phantom.image.name)
        truth[phantom.image.name] = phantom.landmarks.positions(2) / _DOWNSAMPLING
    return truth


class Scene:
    """A viewer in one state, of which each step is shown in turn.

    Parameters
    ----------
    viewer : Viewer
    state : str
        One of `STATES`.
    folder : Path
        Without a study; one is made here.
    images : Path
        What `draw_images` wrote.
    truth : dict of str to (n, 2) array
        What it returned.
    wait : callable
        Lets Qt work until a condition holds: ``wait(lambda: True)``.
    """

    def __init__(self, viewer, state, folder, images, truth, wait) -> None:
        self.viewer, self.state, self._wait = viewer, state, wait
        self._images, self._truth = images, truth
        self.session, self._layers = get_session(viewer), get_layer_manager(viewer)
        self._go = threading.Event()
        _, self.landmarks = viewer.window.add_plugin_dock_widget("napari-landmark", "Place")
        if state != "empty":
            self._make_study(folder)
            wait(lambda: self._layers.landmarks.layer is not None)

    def show(self, step: Step):
        """Show a step, with the work or the failure that belongs to the state; returns its widget."""
        self.stop()
        widget = self.landmarks.show_step(step)
        if self.state != "empty":
            if step is Step.REGISTER:
                self._add_pair()
            getattr(self, f"_show_{self.state}")(step, widget)
        return widget

    def stop(self) -> None:
        """End the work that was shown."""
        self._go.set()
        self._wait(lambda: self.session.job is None)
        self._go.clear()

    def close(self) -> None:
        """End what is shown, so that the viewer can be closed."""
        self.stop()
        self.session.close()

    def _make_study(self, folder) -> None:
        preset = PRESETS["Hand phantom (sample data)"]()
        study = Study.create(
            folder, schema=preset.landmarks, images=self._images, measurements=preset.measurements
        )
        names = list(self._truth)
        everything = self.state in ("done", "error")
        if everything:
            model = study.models_dir / "001"
            model.mkdir(parents=True)
            (model / "model.json").write_text(json.dumps({"training": {"complete": True}}))
            few = self.state == "error"
            stages = [{"stage": "training embedding", "steps": 2 if few else 500, "least_steps": 45}]
            (model / "history.json").write_text(json.dumps({"cancelled": False, "stages": stages}))
        cohort = Cohort.from_folder(self._images, working_size=192, cache_dir=folder / "cache")
        self.session.open(study, cohort)
        if everything or self.state == "working":
            for number, name in enumerate(names[1:], start=1):
                self._predict(name, number)
        editor = AnnotationEditor(self.session)
        placed = len(preset.landmarks) if everything else len(preset.landmarks) // 2
        template = zip(preset.landmarks.names[:placed], self._truth[names[0]], strict=False)
        for landmark, position in template:
            editor.place(landmark, tuple(position))
        if placed < len(preset.landmarks):
            self.session.select_landmark(preset.landmarks.names[placed])
        if self.state == "error":
            self._make_trouble(study, names)

    def _predict(self, name, number) -> None:
        session, schema = self.session, self.session.schema
        positions = self._truth[name] + np.random.default_rng(number).normal(0, 1.5, self._truth[name].shape)
        errors = np.linspace(1.0, 2.0 + number, len(positions))
        confidences = np.linspace(0.9, 0.2, len(positions))
        marks = LandmarkSet.from_array(schema, positions, Status.PREDICTED, confidences, errors)
        further = []
        if self.state == "error" and number == 1:
            marks = LandmarkSet(schema, marks.values(), image_state=ImageState.SEVERAL)
            further = [LandmarkSet(schema, marks.values(), image_state=ImageState.SEVERAL)]
        session.study.save_predictions(name, marks, session.geometry(name), further_subjects=further)
        session.load_predictions({name: marks})

    def _make_trouble(self, study, names) -> None:
        """Everything that can be said of one image, and a study that another program annotates."""
        session, editor = self.session, AnnotationEditor(self.session)
        mirrored = Pose(np.array([[0.0, -1.0], [-1.0, 0.0]]), np.zeros(2), False)
        write_pose_table(study.folder / POSE_TABLE, {names[1]: mirrored}, {names[1]: StatedView("L")})
        session.show(names[2])
        editor.place(session.schema.names[3], tuple(self._truth[names[2]][3] + 20))
        write_prediction_models(study.folder, names[:3], "001")
        session.refresh_models()
        session.predictions_changed.emit()
        session.show(names[1])
        odd = OddShape(
            names[1],
            9.0,
            session.schema.names[0],
            12.0,
            session.schema.names[:1],
            ((*session.schema.names[:2],),),
            False,
            False,
        )
        session.set_odd_shapes(OddShapes(tuple(names[1:]), {odd.image: odd}))

    def _add_pair(self) -> None:
        viewer = self.viewer
        if "fixed hand" not in viewer.layers:
            for name, image in zip(("fixed hand", "moving hand"), list(self._truth)[:2], strict=True):
                array = np.asarray(Image.open(self._images / image))[::2, ::2]
                viewer.add_image(np.ascontiguousarray(array), name=name)
        for layer in viewer.layers:
            layer.visible = "hand" in layer.name and layer.name not in self._truth
        boxes = self.landmarks.show_step(Step.REGISTER).form.boxes
        for key in ("fixed", "moving"):
            boxes[key].value = viewer.layers[f"{key} hand"]

    def _show_working(self, step, widget) -> None:
        if step is Step.PLACE:
            return
        kind = _LONG_JOBS[step]

        def work(progress, cancel):
            stages = _STAGES if step is Step.TRAIN else ("reading images",)
            for number, stage in enumerate(stages):
                for done in range(0, 40 if number + 1 < len(stages) else 20):
                    loss = (1 + 8 / (1 + done)) if step is Step.TRAIN else None
                    progress(ProgressEvent(stage, done / 40, 95.0, loss, done))
            self._go.wait(60)
            return TrainingOutcome("Stopped.", False, cancelled=True)

        job = Job(kind, work)
        self.session.run(job)
        self._wait(lambda: job.last_event is not None)
        if step is Step.TRAIN:
            for stage in _STAGES:  # the job tells of a few of its steps only
                for done in range(40):
                    widget.plot.add(ProgressEvent(stage, done / 40, None, 1 + 8 / (1 + done), done))
            self.session.show(list(self._truth)[1])
            schema = self.session.schema
            preview = LandmarkSet.from_array(
                schema, self._truth[self.session.current_image], Status.PREDICTED
            )
            self._layers.preview.show(preview)

    def _show_done(self, step, widget) -> None:
        session, names = self.session, list(self._truth)
        if step is Step.TRAIN:
            outcome = TrainingOutcome(
                "Trained in 14 min: expected error 1.2 px (median), all steps done.", True
            )
            self._run(Job(JobKind.TRAIN, lambda progress, cancel: outcome))
        elif step is Step.REVIEW:
            session.show(names[2])
            self._wait(lambda: bool(widget.advice.text()))
        elif step is Step.MEASURE:
            session.show(names[2])
            self._wait(lambda: widget.measurements.cohort is not None)
            widget.select(widget.measurements.schema.names[0])
        elif step is Step.REGISTER:
            widget.run.click()
            self._wait(lambda: session.job is None)

    def _show_error(self, step, widget) -> None:
        if step is Step.PLACE:
            self.session.require_store().in_use = (
                "Read only: is being annotated by another program (process 4711 on radiology-03) since 09:12"
            )
            self.session.message.emit("warning", "The study is read only.")
        elif step is Step.REVIEW:
            self._wait(lambda: bool(widget.advice.text()))
        elif step is not Step.MEASURE:

            def fail(progress, cancel):
                if step is Step.TRAIN:
                    raise MemoryError
                raise InputError(
                    "moving hand: has no edge in common with fixed hand: choose images of one kind"
                )

            self._run(Job(_LONG_JOBS[step], fail))

    def _run(self, job) -> None:
        self.session.run(job)
        self._wait(lambda: self.session.job is None)
