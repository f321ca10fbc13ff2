"""Dock widget with crops of one landmark in all images, or of all landmarks of one image."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QMessageBox, QVBoxLayout

from napari_landmark.gui.controls import button, narrow_choice, note
from napari_landmark.gui.jobs.accept import accept_job, below_limit
from napari_landmark.gui.keys import review_queue
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.contact_items import ContactFilter, ContactItem, contact_items
from napari_landmark.gui.widgets.contact_view import ContactView
from napari_landmark.gui.widgets.dock_widget import Dock

_ONE_LANDMARK, _ONE_IMAGE = "Landmark in all images", "All landmarks of the image"


class ContactSheetWidget(Dock):
    """Contact sheet: crops around landmarks, the most doubtful first; click to go there, drag in one to correct."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.editor = AnnotationEditor(self.session)
        self.queue = review_queue(napari_viewer, self.session)
        self.what = narrow_choice("Crops of the contact sheet")
        self.what.addItems([_ONE_LANDMARK, _ONE_IMAGE])
        self.what.activated.connect(self.rebuild)
        self.filter = narrow_choice("Landmarks that are shown")
        self.filter.addItems([str(choice) for choice in ContactFilter])
        self.filter.setToolTip("Landmarks that are shown. Odd shapes: compare them in the step Review first")
        self.filter.activated.connect(self.rebuild)
        self.least = self._limit("≥ ", "Least expected error of the predictions that are shown")
        self.least.valueChanged.connect(self.rebuild)
        self.most = self._limit("≤ ", "Largest expected error of the predictions that are accepted")
        self.accept = button(
            "Accept all",
            self._on_accept,
            tip="Accept the predictions of all landmarks of all images up to this expected error; not of doubtful "
            "images, and not of those left out",
        )
        self.about = note()
        self.view = ContactView(self.session)
        self.view.picked.connect(self._on_picked)
        self.view.dropped.connect(self._on_dropped)
        top, below = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.what, 1)
        top.addWidget(self.filter, 1)
        below.addWidget(self.least, 1)
        below.addWidget(self.most, 1)
        below.addWidget(self.accept)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(below)
        layout.addWidget(self.about)
        layout.addWidget(self.view, 1)
        session = self.session
        for signal in (session.study_changed, session.predictions_changed, session.odd_shapes_changed):
            self.listen(signal, self.rebuild)
        self.listen(session.landmark_changed, self._on_landmark)
        self.listen(session.image_changed, self._on_image)
        self.listen(session.landmarks_changed, self.refresh)
        self.listen(session.display.changed, self.refresh)
        self.listen(session.marks.changed, self.refresh)
        self.listen(session.job_changed, self.refresh)
        self.rebuild()

    def rebuild(self, *_: object) -> None:
        """Choose and sort the crops anew."""
        session = self.session
        if session.study is None or not session.current_image or not self.isVisible():
            return  # made when it is shown
        one_landmark = self.what.currentText() == _ONE_LANDMARK
        self.view.show_items(
            contact_items(
                session,
                landmark=session.current_landmark if one_landmark else "",
                image="" if one_landmark else session.current_image,
                chosen=ContactFilter(self.filter.currentText()),
                least_error=self.least.value(),
            )
        )
        unit = " mm" if all(session.geometry(name).has_spacing for name in session.names[:1]) else " px"
        for box in (self.least, self.most):
            box.setSuffix(unit)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Draw the crops again; their order stays, since a moving crop is hard to follow."""
        session = self.session
        has = session.study is not None and bool(session.current_image)
        for widget in (self.what, self.filter, self.least, self.most):
            widget.setEnabled(has)
        self.accept.setEnabled(has and session.job is None)
        if not has or not self.isVisible():
            return
        what = session.current_landmark if self.what.currentText() == _ONE_LANDMARK else session.current_image
        self.about.setText(f"<b>{what}</b>: {len(self.view.items)} · {self.queue.progress.text}")
        self.view.refresh()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Show the state of the session, which was not followed while hidden."""
        super().showEvent(event)
        self.rebuild()

    @staticmethod
    def _limit(prefix: str, tip: str) -> QDoubleSpinBox:
        box = QDoubleSpinBox()
        box.setRange(0.0, 1000.0)
        box.setSingleStep(0.5)
        box.setDecimals(1)
        box.setPrefix(prefix)
        box.setToolTip(tip)
        box.setAccessibleName(tip)
        box.setKeyboardTracking(False)
        return box

    def _on_landmark(self) -> None:
        if self.what.currentText() == _ONE_LANDMARK and {i.landmark for i in self.view.items[:1]} != {
            self.session.current_landmark
        }:
            self.rebuild()
        else:
            self.refresh()

    def _on_image(self) -> None:
        if self.what.currentText() == _ONE_IMAGE:
            self.rebuild()
        else:
            self.refresh()

    def _on_picked(self, item: ContactItem) -> None:
        def go() -> None:
            self.session.show(item.image)
            self.session.select_landmark(item.landmark)
            self.layer_manager.center_on(item.landmark)

        self.session.attempt(go)

    def _on_dropped(self, item: ContactItem, position: tuple[float, ...]) -> None:
        self.session.attempt(lambda: self.editor.place(item.landmark, position, image=item.image))

    def _on_accept(self) -> None:
        session, limit = self.session, self.most.value()
        chosen = below_limit(session, self.queue, limit)
        count = sum(map(len, chosen.values()))
        if not count:
            session.message.emit("info", f"No prediction has an expected error up to {limit:g}.")
            return
        text = (
            f"Accept {count} predictions in {len(chosen)} images, without looking at them? They count as placed by "
            "you, and the next model learns from them. Undo takes all of them back."
        )
        if QMessageBox.question(self, "Accept all", text) == QMessageBox.StandardButton.Yes:
            session.attempt(lambda: session.run(accept_job(session, chosen)))
