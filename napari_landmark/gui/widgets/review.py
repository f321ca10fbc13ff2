"""Step that runs a model, reviews its predictions, corrects them and exports the result."""

from __future__ import annotations

from html import escape

from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel

from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.detection.correction_advice import CorrectionAdvice
from napari_landmark.detection.pose.pose_table import POSE_TABLE, TabledPose, read_pose_table
from napari_landmark.gui.controls import button, emphasise, narrow_choice, note, problem_text
from napari_landmark.gui.dialogs.export import ExportButton
from napari_landmark.gui.jobs.detect import Heatmaps, detect_all_job, detect_job, heatmap_job
from napari_landmark.gui.jobs.odd_shapes import odd_shapes_job
from napari_landmark.gui.jobs.train import train_job
from napari_landmark.gui.keys import keys_text, review_queue
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.correction_advice import session_advice
from napari_landmark.gui.session.landmark_store import LandmarkStore
from napari_landmark.gui.session.new_images import new_images
from napari_landmark.gui.session.odd_shapes import OddShapes
from napari_landmark.gui.session.region_coverage import region_coverage
from napari_landmark.gui.session.review_filter import ReviewState
from napari_landmark.gui.session.running_job import JobKind, RunningJob
from napari_landmark.gui.widgets.cohort_table import CohortTable
from napari_landmark.gui.widgets.compute_choice import ComputeChoice
from napari_landmark.gui.widgets.landmark_table import LandmarkTable
from napari_landmark.gui.widgets.step_widget import StepWidget
from napari_landmark.gui.widgets.steps import Step

_FLAGS = {
    ImageState.DOUBTFUL: "The model is less sure of this image than usual.",
    ImageState.FOREIGN: "This image seems to show something else, or in a pose that the model does not know.",
    ImageState.SEVERAL: (
        "This image seems to show several subjects. Its landmarks are of the one that is found best; exports have "
        "the others, too."
    ),
}


_LINK = "#4a90d9"  # legible on light and dark; Qt's own blue is not
_MOST_OFFSETS = 3  # landmarks that are told at a time


class ReviewWidget(StepWidget):
    """Predictions of a model, images with the largest expected error or the oddest shape first."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.editor = AnnotationEditor(self.session)
        self.hint = note()
        self.models = narrow_choice("Model that detects")
        self.models.setToolTip("Model of the study that detects; the newest is on top")
        self.models.activated.connect(self.refresh)
        self.detect_all = button(
            "Detect in all", lambda: self._on_detect(None), tip="In all images of the study"
        )
        self.detect_one = button(
            "In this", lambda: self._on_detect(self.session.current_image), tip="Only in the current image"
        )
        self.detect_new = button(
            "Detect in new images",
            lambda: self._on_detect(None, only_new=True),
            tip="Only in images that this model did not predict yet, such as added ones",
            strong=True,
        )
        self.compute = ComputeChoice(self.session)
        self.heatmaps = QCheckBox("Heatmap of the landmark")
        self.heatmaps.setToolTip("Heatmap of the model for the current landmark: brighter is more likely")
        self.heatmaps.toggled.connect(self._on_heatmaps)
        self.colors = narrow_choice("Colours of the marks")
        self.colors.addItems(["Colour: confidence", "Colour: landmark"])
        self.colors.activated.connect(self._on_colors)
        self.order = narrow_choice("Order of the images")
        self.order.addItems(["Largest error first", "Odd shape first"])
        self.order.setToolTip(
            "Order of the list. Odd shapes: landmarks far from where the other images have them, exchanged ones "
            "first; also "
            "of what persons placed. Choose it again to compare anew."
        )
        self.order.activated.connect(self._on_order)
        self.progress = note()
        self.sheet = button(
            "Contact sheet",
            lambda: self.open_dock("Contact sheet"),
            tip="Crops of one landmark in all images, the most doubtful first; drag in one to correct",
        )
        self.map = button(
            "Error map",
            lambda: self.open_dock("Error map"),
            tip="Expected errors of all landmarks in all images as one picture; click to go there",
        )
        self.doubtful = button(
            "Next doubtful ▸",
            self._on_doubtful,
            tip=f"Most doubtful landmark of all images: {keys_text('d', 'y')}",
        )
        self.queue = review_queue(napari_viewer, self.session)
        self.cohort = CohortTable(self.session)
        self.cohort.filter.changed.connect(self._on_filter)
        self.about = note()
        self.table = LandmarkTable(self.session, with_errors=True)
        self.table.picked.connect(self.layer_manager.center_on)
        self.accept = button(
            "Accept image", self._on_accept, tip=f"All its predictions are right; goes on: {keys_text('k')}"
        )
        self.missing = button("Missing", self._on_missing, tip=keys_text("u"))
        self.back = button(
            "Back to prediction",
            self._on_back,
            tip="Remove the annotation of this landmark: its prediction is shown again",
        )
        self.flag = note()
        self.pose = note()
        self.pose.setToolTip(
            "Pose of the image relative to the template, as the model found it, and what its DICOM header states: "
            "compare them, a header may be wrong. Nothing follows from it"
        )
        self._poses: dict[str, TabledPose] | None = None  # read when they are needed
        self.subjects = QCheckBox("Show the other subjects")
        self.subjects.setToolTip(
            "Landmarks of the second subject and on, as the model found them. They cannot be edited: to annotate them, "
            "save each subject as an image of its own"
        )
        self.subjects.toggled.connect(self._on_subjects)
        self.shape = note()
        self.coverage = note()
        self.confirm = button(
            "It is right", self._on_confirm, tip="This image shows the anatomy, whatever a model says"
        )
        self.leave_out = button(
            "Leave out",
            self._on_leave_out,
            tip="No model learns from its predictions, and exports of all images lack it",
        )
        for widget in (self.confirm, self.leave_out):
            widget.setCheckable(True)
        self.advice = note()
        self.advice.setToolTip(
            "Images that many others resemble: their correction tells most of the others. The list above shows the "
            "worst predictions first, to find mistakes"
        )
        self.advice.linkActivated.connect(self._on_next)
        self.again = button(
            "Train again with my corrections",
            self._on_again,
            tip="Goes on from the last model, in minutes; Train in the step Train begins anew",
        )
        self.export = ExportButton(self.session)
        self._lay_out()
        # Advice waits for a pause: it is computed from all images.
        self._advised = QTimer(self)
        self._advised.setSingleShot(True)
        self._advised.setInterval(500)
        self._advised.timeout.connect(self._show_advice)
        # Heatmaps wait until the user stays at an image.
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(250)
        self._pause.timeout.connect(self._compute_heatmaps)
        session = self.session
        for signal in (session.study_changed, session.predictions_changed):
            self.listen(signal, self._forget_poses)  # before they are shown
        for signal in (
            session.study_changed,
            session.landmarks_changed,
            session.landmark_changed,
            session.predictions_changed,
            session.job_changed,
            session.view_changed,
            session.models_changed,
            session.odd_shapes_changed,
        ):
            self.listen(signal, self.refresh)
        for signal in (
            session.study_changed,
            session.landmarks_changed,
            session.predictions_changed,
            session.models_changed,
        ):
            self.listen(signal, self._advise_soon)
        self.listen(session.study_changed, self._on_order_lost)
        self.listen(session.predictions_changed, self._on_order_lost)
        self.listen(session.image_changed, self._on_image)
        self._advise_soon()
        self.refresh()

    def _lay_out(self) -> None:
        model = QLabel("Model")
        fixed = (model, self.sheet, self.map)
        for widgets in (
            (self.hint,),
            (model, self.models, self.detect_all, self.detect_one),
            (self.detect_new,),
            (self.compute,),
            (self.progress, self.doubtful),
            (self.order, self.sheet, self.map),
            (self.cohort,),
            (self.colors, self.heatmaps),
            (self.flag,),
            (self.confirm, self.leave_out),
            (self.subjects,),
            (self.pose,),
            (self.shape,),
            (self.coverage,),
            (self.about,),
            (self.table,),
            (self.accept, self.missing, self.back),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget, 0 if widget in fixed else 2 if widget is self.models else 1)
            stretch = 2 if self.cohort in widgets else 3 if self.table in widgets else 0
            self.body.addLayout(row, stretch)
        self.keys = note(f"<small>Drag a point to correct it. {keys_text('d', 'y', 'k')}</small>")
        self.keys.setToolTip(keys_text())
        self.body.addWidget(self.keys)
        self.body.addWidget(self.advice)
        self.footer.addWidget(self.again, 1)
        self.footer.addWidget(self.export)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Offer other computers where there are some by now; Train describes the first one."""
        super().showEvent(event)
        self.compute.offer()
        self.compute.setVisible(self.compute.has_hosts)

    def refresh(self, *_: object) -> None:
        """Show the state of the session."""
        session, schema, store = self.session, self.session.schema, self.session.landmark_store
        has = bool(session.current_image)
        self.content.setVisible(has)
        if not has or schema is None or store is None:
            return
        reading = bool(session.require_study().reader)
        names = () if reading else session.models.names
        self._offer()
        idle = session.job is None
        result = session.result()
        predicted = any(mark.status is Status.PREDICTED for mark in result.values())
        counts = store.state_counts(session.names)
        anything = bool(counts["predicted"] or counts["corrected"])
        model = session.models.default_model
        poor = anything and model is not None and model.learned_too_little
        self.hint.setVisible(not reading and (poor or not names))
        self.hint.setText(
            problem_text(
                f"Model {model.name} learned too little: neither its positions nor its expected errors can be "
                "trusted. Train again with more time, under Advanced."
            )
            if poor and model is not None
            else "There is no model yet: annotate one image and <b>train</b> first."
        )
        for widget in (self.detect_all, self.detect_one, self.again):
            widget.setEnabled(idle and bool(names))
        self._offer_new(idle and not reading)
        self.compute.setEnabled(idle)
        self.heatmaps.setEnabled(bool(names))
        emphasise(self.detect_all, bool(names) and not anything)
        self.accept.setEnabled(predicted)
        emphasise(self.accept, predicted)
        self.colors.setCurrentIndex(0 if session.color_by_confidence else 1)
        self.doubtful.setEnabled(anything)
        self.progress.setText(self.queue.progress.text)
        self._show_flag(store)
        self._show_pose()
        self._show_shape()
        coverage = region_coverage(session).text
        self.coverage.setText(coverage)
        self.coverage.setVisible(bool(coverage))
        mark = result.get(session.current_landmark)
        prediction = session.prediction().get(session.current_landmark)
        self.back.setEnabled(
            mark is not None
            and mark.status.is_manual
            and prediction is not None
            and prediction.position is not None
        )
        self.missing.setEnabled(mark is not None and mark.status is not Status.MISSING)
        definition = ""
        if session.current_landmark in schema:
            definition = schema.definitions[schema.index(session.current_landmark)]
        self.about.setText(f"<b>{session.current_landmark}</b> {definition}")

    def _offer_new(self, idle: bool) -> None:
        """Offer to detect only in images that are new for the model, where it knows others already."""
        session, model = self.session, self.models.currentData()
        new = new_images(session, model) if model else []
        some = 0 < len(new) < len(session.names)
        self.detect_new.setVisible(some)
        self.detect_new.setEnabled(idle)
        self.detect_new.setText(
            "Detect in 1 new image" if len(new) == 1 else f"Detect in {len(new)} new images"
        )

    def _show_flag(self, store: LandmarkStore) -> None:
        """Show what the model says of the image as a whole, and what the user decided."""
        image = self.session.current_image
        decision, state = store.decision(image), store.image_state(image)
        flagged = store.is_flagged(image) and state is not None
        self.flag.setText(_FLAGS[state] if flagged and state is not None else "")
        for widget in (self.flag, self.confirm, self.leave_out):
            widget.setVisible(flagged or decision is not None)
        self.subjects.setVisible(state is ImageState.SEVERAL)
        self.confirm.setChecked(decision is ImageDecision.CONFIRMED)
        self.leave_out.setChecked(decision is ImageDecision.LEFT_OUT)

    def _show_pose(self) -> None:
        """Show the pose that was found for the current image, and the side and view that its header states."""
        if self._poses is None:
            self._poses = read_pose_table(self.session.require_study().folder / POSE_TABLE)
        pose = self._poses.get(self.session.current_image)
        words = "" if pose is None else pose.in_words
        self.pose.setText(f"Pose: {escape(words)}." if words else "")
        self.pose.setVisible(bool(words))

    def _forget_poses(self) -> None:
        self._poses = None

    def _show_shape(self) -> None:
        """Show what is odd about the shape of the current image."""
        shapes = self.session.odd_shapes if self.cohort.model.by_shape else None
        shape = None if shapes is None else shapes.shapes.get(self.session.current_image)
        finding = "" if shape is None else shape.finding
        self.shape.setText(f"Shape: {escape(finding)}." if finding else "")
        self.shape.setVisible(bool(finding))

    def _offer(self) -> None:
        """List the models and select the default one, which the command line takes as well."""
        models = self.session.models
        labels = [model.label for model in models.landmark_models]
        if labels == [self.models.itemText(row) for row in range(self.models.count())]:
            return
        self.models.clear()
        for label, name in zip(labels, models.names, strict=True):
            self.models.addItem(label, name)
        self.models.setCurrentIndex(self.models.findData(models.default) if models.default else -1)

    def _on_image(self) -> None:
        self.refresh()
        if self.heatmaps.isChecked():
            self._pause.start()

    def _on_order(self, choice: int) -> None:
        if choice == 0:
            self.cohort.order_by(shape=False)
            self.refresh()
            return
        self._compare_shapes()

    def _on_filter(self) -> None:
        """Compare the shapes where odd ones are to be listed and are not known yet."""
        if self.cohort.filter.value.state is ReviewState.ODD and self.session.odd_shapes is None:
            self._compare_shapes()

    def _compare_shapes(self) -> None:
        def begin() -> None:
            job = odd_shapes_job(self.session)
            self.follow(job, (job.succeeded, self._on_shapes), until=(job.succeeded, job.failed))
            self.session.run(job)

        self.session.attempt(begin)
        self._show_order()

    def _on_shapes(self, found: OddShapes) -> None:
        """Order by shape once they are compared."""
        if self.session.odd_shapes is not found:  # cancelled, or another study is open by now
            return
        self.cohort.order_by(shape=True)
        self._show_order()
        self.refresh()
        self.session.message.emit("info", f"Odd shapes: {found.n_found} of {len(found.images)} images")

    def _on_order_lost(self) -> None:
        """Go back to expected errors where the landmarks were read again, so that the shapes are unknown."""
        if self.cohort.model.by_shape and self.session.odd_shapes is None:
            self.cohort.order_by(shape=False)
        self._show_order()

    def _show_order(self) -> None:
        self.order.setCurrentIndex(1 if self.cohort.model.by_shape else 0)

    def _on_detect(self, image: str | None, *, only_new: bool = False) -> None:
        session = self.session

        def begin() -> None:
            model, device = self.models.currentData(), Preferences.read().device
            job: RunningJob
            if image is not None:
                job = detect_job(session, model=model, device=device, image=image)
            else:
                host = self.compute.host
                if host and not self.compute.confirms(session.require_cohort()):
                    return
                job = detect_all_job(session, model=model, device=device, host=host, only_new=only_new)
            self.follow(job, (job.succeeded, self._on_found), until=(job.succeeded, job.failed))
            session.run(job)

        session.attempt(begin)

    def _on_found(self, _: object) -> None:
        if self.heatmaps.isChecked():
            self._pause.start()

    def _on_colors(self, choice: int) -> None:
        self.session.color_by_confidence = choice == 0
        self.session.view_changed.emit()

    def _on_heatmaps(self, on: bool) -> None:
        if on:
            self._compute_heatmaps()
        else:
            self.layer_manager.heatmaps.clear()

    def _compute_heatmaps(self) -> None:
        session = self.session
        if not self.heatmaps.isChecked() or not session.current_image or session.require_study().reader:
            return
        if session.job is not None:  # tried again when that is done
            if session.job.kind is not JobKind.TRAIN:
                self._pause.start()
            return
        job = heatmap_job(session, model=self.models.currentData(), device=Preferences.read().device)
        self.follow(job, (job.succeeded, self._on_maps), until=(job.succeeded, job.failed))
        session.attempt(lambda: session.run(job))

    def _on_maps(self, maps: Heatmaps) -> None:
        if maps.image == self.session.current_image:
            self.layer_manager.heatmaps.show(maps.names, maps.heatmaps, maps.matrix, maps.offset)

    def _on_doubtful(self) -> None:
        def go() -> None:
            self.queue.go_to_next()
            self.layer_manager.center_on(self.session.current_landmark)

        self.session.attempt(go)

    def _on_accept(self) -> None:
        self.session.attempt(self.queue.accept_image)

    def _on_subjects(self, wanted: bool) -> None:
        self.layer_manager.subjects.show(wanted)

    def _on_confirm(self) -> None:
        self._decide(ImageDecision.CONFIRMED if self.confirm.isChecked() else None)

    def _on_leave_out(self) -> None:
        self._decide(ImageDecision.LEFT_OUT if self.leave_out.isChecked() else None)

    def _decide(self, decision: ImageDecision | None) -> None:
        self.session.attempt(lambda: self.editor.decide(decision))
        self.refresh()

    def _on_missing(self) -> None:
        self.session.attempt(lambda: self.editor.mark_missing(self.session.current_landmark))

    def _on_back(self) -> None:
        self.session.attempt(lambda: self.editor.clear(self.session.current_landmark))

    def _on_again(self) -> None:
        def begin() -> None:
            # The step Train shows the progress; all settings have their defaults.
            host = self.compute.host
            if host and not self.compute.confirms(self.session.require_cohort()):
                return
            self.open_step(Step.TRAIN)
            self.session.run(
                train_job(self.session, device=Preferences.read().device, host=host, update=True)
            )

        self.session.attempt(begin)

    def _advise_soon(self, *_: object) -> None:
        self._advised.start()

    def _show_advice(self) -> None:
        """Show which images to correct next, and what the corrections have in common."""
        advise = session_advice(self.session)
        advice = None if advise is None else advise()
        self.advice.setText("" if advice is None else _advice_text(advice))
        self.advice.setVisible(bool(self.advice.text()))

    def _on_next(self, image: str) -> None:
        if image in self.session.names:
            self.session.show(image)


def _advice_text(advice: CorrectionAdvice) -> str:
    """Advice as rich text with links to the images."""
    lines = []
    if advice.images and not advice.is_enough:
        links = ", ".join(
            f'<a style="color: {_LINK}" href="{escape(name)}">{escape(name)}</a>' for name in advice.images
        )
        lines.append(f"Correct next, for the others: {links} ({advice.next_line()}).")
    elif advice.images:
        lines.append(f"{advice.next_line().capitalize()}.")
    lines += [f"{escape(line)}." for line in advice.offset_lines()[:_MOST_OFFSETS]]
    return "<br>".join(lines)
