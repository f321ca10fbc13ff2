"""Step with the measurements of the current image, beside those of the cohort."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QModelIndex, QTimer
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QListWidget, QListWidgetItem

from napari_landmark.gui.controls import button, emphasise, narrow_combo, note
from napari_landmark.gui.dialogs.edit_measurements import MeasurementsDialog
from napari_landmark.gui.dialogs.image_facts import FactsDialog
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.measure import measure_job
from napari_landmark.gui.jobs.write_measurements import write_measurements_job
from napari_landmark.gui.session.measurements import Measurements
from napari_landmark.gui.widgets.histogram_plot import HistogramPlot
from napari_landmark.gui.widgets.measurement_table_model import MeasurementTableModel, about
from napari_landmark.gui.widgets.step_widget import StepWidget
from napari_landmark.gui.widgets.superimpose import Superimpose
from napari_landmark.gui.widgets.table_view import TableView

_ALL = "Any measurement"
_MOST_OUTLIERS = 200


class MeasureWidget(StepWidget):
    """Angles, distances and ratios of the current image, with error, norm and class; outliers first."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.measurements = Measurements(self.session)
        self._job: Job | None = None
        self._again = False
        self.hint = note()
        self.edit = button("Measurements…", self._on_edit, tip="Presets, own measurements, schema files")
        self.facts = button("Facts…", self._on_facts, tip="State, remark, age, sex and more of this image")
        self.model = MeasurementTableModel(self.measurements)
        self.table = TableView(self.model, row_height=21, narrowest=130)
        self.table.setAccessibleName("Measurements")
        self.table.setMinimumHeight(150)
        self.table.clicked.connect(self._on_row)
        self.about = note()
        self.histogram = HistogramPlot()
        self.order = narrow_combo(
            tip="Images are listed by their deviation from the cohort's median in this measurement"
        )
        self.order.setAccessibleName("Order of the images")
        self.order_label = QLabel("Outliers in")
        self.order.activated.connect(self._on_order)
        self.outliers = QListWidget()
        self.outliers.setAccessibleName("Images with unusual values")
        self.outliers.setMaximumHeight(130)
        self.outliers.itemClicked.connect(self._on_outlier)
        self.superimpose = Superimpose(self.session, self.layer_manager.superimposition, self.measurements)
        self.write = button("Table or report…", self._on_write, tip="CSV, PDF or HTML of all images")
        self.report = button(
            "Report of this image…", self._on_report, tip="PDF or HTML with this image alone"
        )
        self._lay_out()
        # All images are measured once the user pauses, not at each change.
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(400)
        self._pause.timeout.connect(self._measure_all)
        session = self.session
        self.listen(session.study_changed, self._on_study)
        self.listen(session.image_changed, self._on_image)
        self.listen(session.landmarks_changed, self._on_landmarks)
        self.listen(session.landmark_dragged, self._on_dragged)
        self.listen(session.predictions_changed, self._on_predictions)
        self.listen(session.job_changed, self._on_job)
        self.listen(self.measurements.current_changed, self._show_values)
        self.listen(self.measurements.cohort_changed, self._show_cohort)
        self._on_study()

    def _lay_out(self) -> None:
        for widgets, stretch in (
            ((self.hint,), 0),
            ((self.edit, self.facts), 0),
            ((self.table,), 3),
            ((self.about,), 0),
            ((self.histogram,), 0),
            ((self.order_label, self.order), 0),
            ((self.outliers,), 0),
            ((self.superimpose,), 0),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget, 0 if isinstance(widget, QLabel) and len(widgets) > 1 else 1)
            self.body.addLayout(row, stretch)
        self.footer.addWidget(self.write, 1)
        self.footer.addWidget(self.report, 1)

    @property
    def selected(self) -> str:
        """Name of the measurement that is selected; empty without one."""
        value = self.model.value(self.table.currentIndex().row())
        return "" if value is None else value.measurement.name

    def select(self, name: str) -> None:
        """Select a measurement: its definition, histogram and outliers are shown."""
        self.table.select(self.model.row(name))
        self._show_selected()
        self.order.setCurrentText(name)
        self._show_outliers()

    def measure_all(self) -> Job | None:
        """Measure all images in a thread; None without definitions, or while they are being measured."""
        if not self.measurements.schema or self.session.cohort is None:
            return None
        if self._job is not None:
            self._again = True
            return None
        job = self._job = measure_job(self.measurements)
        self.follow(
            job,
            (job.succeeded, self.measurements.show),
            (job.failed, self._on_failed),
            (job.ended, self._on_ended),
            until=(job.succeeded, job.failed),
        )
        job.start()
        return job

    def _measure_all(self) -> None:
        self.measure_all()

    def _on_ended(self) -> None:
        self._job = None
        if self._again:
            self._again = False
            self._pause.start()

    def _on_failed(self, text: str) -> None:
        self.session.message.emit("error", text)

    # -- the session changed --------------------------------------------------------------------------

    def _on_study(self) -> None:
        has = bool(self.session.current_image)
        self.content.setVisible(has)
        if not has:
            return
        defined = bool(self.measurements.schema)
        self.hint.setText("" if defined else "Nothing is measured yet: choose a preset or define your own.")
        self.hint.setVisible(not defined)
        emphasise(self.edit, not defined)
        for widget in (
            self.table,
            self.about,
            self.histogram,
            self.order_label,
            self.order,
            self.outliers,
            self.write,
            self.report,
        ):
            widget.setVisible(defined)
        self.measurements.clear()
        chosen = self.order.currentText()
        self.order.clear()
        self.order.addItems([_ALL, *self.measurements.schema.names])
        self.order.setCurrentText(chosen if self.order.findText(chosen) >= 0 else _ALL)
        self.outliers.clear()
        self.superimpose.update_images()
        self.measurements.refresh()
        self._pause.start()

    def _on_image(self) -> None:
        if self.content.isHidden() and self.session.current_image:
            self._on_study()
            return
        self.superimpose.clear()
        self.measurements.refresh()

    def _on_landmarks(self, image: str) -> None:
        if image == self.session.current_image:
            self.measurements.refresh()

    def _on_dragged(self, name: str, position: tuple[float, ...]) -> None:
        self.measurements.refresh({name: position})

    def _on_predictions(self) -> None:
        self.measurements.refresh()
        self._pause.start()

    def _on_job(self) -> None:
        idle = self.session.job is None
        for widget in (self.edit, self.write, self.report):
            widget.setEnabled(idle)

    # -- what is shown --------------------------------------------------------------------------------

    def _show_values(self) -> None:
        chosen = self.selected
        self.model.update()
        if self.table.currentIndex().row() < 0 and self.model.rowCount():
            self.table.select(max(0, self.model.row(chosen)))
        self._show_selected()

    def _show_selected(self) -> None:
        value = self.model.value(self.table.currentIndex().row())
        if value is None:
            self.about.setText("")
            return
        self.about.setText(about(value))
        cohort = self.measurements.cohort
        if cohort is not None and value.measurement.name in cohort.schema.names:
            values = cohort.column(value.measurement.name)
            unit = f" ({value.measurement.unit})" if value.measurement.unit else ""
            title = f"{value.measurement.name}{unit}, {int((values == values).sum())} images"
            self.histogram.show_values(title, values, value.value, value.norm.ends if value.norm else None)

    def _show_cohort(self) -> None:
        self._show_selected()
        self._show_outliers()

    def _show_outliers(self) -> None:
        name, any_of_them = self.order.currentText(), self.order.currentText() == _ALL
        self.outliers.clear()
        found = self.measurements.outliers("" if any_of_them else name)
        for image, deviation, measurement in found[:_MOST_OUTLIERS]:
            where = f"   {measurement}" if any_of_them else ""
            item = QListWidgetItem(f"{deviation:+.1f} SD   {image}{where}")
            item.setData(0x0100, image)  # Qt.UserRole
            self.outliers.addItem(item)

    # -- the user -------------------------------------------------------------------------------------

    def _on_row(self, index: QModelIndex) -> None:
        self.select(self.selected)

    def _on_order(self, number: int) -> None:
        if number:
            self.table.select(self.model.row(self.order.currentText()))
            self._show_selected()
        self._show_outliers()

    def _on_outlier(self, item: QListWidgetItem) -> None:
        self.session.attempt(lambda: self.session.show(item.data(0x0100)))

    def _on_edit(self) -> None:
        def edit() -> None:
            self.session.require_study()
            MeasurementsDialog(self.session, self).exec()

        self.session.attempt(edit)

    def _on_facts(self) -> None:
        if self.session.current_image:
            FactsDialog(self.session, self).exec()

    def _on_write(self) -> None:
        self._write([], "measurements", "Table (*.csv);;Report (*.pdf);;Page (*.html)")

    def _on_report(self) -> None:
        image = self.session.current_image
        self._write([image], f"{Path(image).stem} measurements", "Report (*.pdf);;Page (*.html)")

    def _write(self, images: list[str], stem: str, filters: str) -> None:
        session = self.session
        if session.study is None:
            return
        suffix = filters.split("*", 1)[1].split(")", 1)[0]
        start = str(session.study.folder / f"{stem}{suffix}")
        chosen, kind = QFileDialog.getSaveFileName(self, "Write measurements", start, filters)
        if chosen:
            path = Path(chosen)
            if not path.suffix:
                path = path.with_suffix(kind.split("*", 1)[1].split(")", 1)[0])
            session.attempt(lambda: session.run(write_measurements_job(session, path, images=images)))
