from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QStyle

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.study.image_facts import ImageFacts
from napari_landmark.data.study.laterality import LATERALITY
from napari_landmark.data.study.study import Study
from napari_landmark.detection.pose.pose_table import POSE_TABLE, write_pose_table
from napari_landmark.gui.controls import NARROWEST
from napari_landmark.gui.dialogs.edit_measurements import MeasurementsDialog
from napari_landmark.gui.dialogs.image_facts import FactsDialog
from napari_landmark.gui.jobs.write_measurements import write_measurements_job
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.widgets.measure import MeasureWidget

from ..conftest import NAMES, predict

ROWS = {
    "measurements": [
        {"name": "fan", "angle": [NAMES[0], NAMES[3], NAMES[1]], "norms": [{"mean": 40, "sd": 5}]},
        {"name": "reach", "distance": [NAMES[1], NAMES[2]]},
    ]
}


@pytest.fixture
def widget(viewer, truth, qtbot) -> MeasureWidget:
    session = get_session(viewer)
    for name, points in truth.items():
        predict(session, name, points)
    SchemaEditor(session).set_measurements(MeasurementSchema.from_json(ROWS))
    made = MeasureWidget(viewer)
    qtbot.addWidget(made)
    return made


def texts(widget: MeasureWidget, row: int) -> list[str]:
    model = widget.model
    return [model.data(model.index(row, column)) for column in range(model.columnCount())]


def test_values_with_their_errors_and_what_is_left_out(widget):
    name, value, deviation, norm, _ = texts(widget, 0)
    assert name == "fan"
    assert "°" in value and "±" in value
    assert deviation.endswith("SD") or "*" in deviation
    assert norm == "40 ± 5"
    assert texts(widget, 1)[1] == "-"
    widget.select("reach")
    assert "needs the spacing" in widget.about.text()


def test_values_follow_a_dragged_point_and_its_correction(widget, truth):
    session = widget.session
    before = widget.model.values[0].value
    position = tuple(truth[session.current_image][0] + [4, 9])
    session.landmark_dragged.emit(NAMES[0], position)
    dragged = widget.model.values[0].value
    assert dragged != pytest.approx(before)
    session.landmarks_changed.emit(session.current_image)  # the drag ended elsewhere
    assert widget.model.values[0].value == pytest.approx(before)
    AnnotationEditor(session).place(NAMES[0], position)
    assert widget.model.values[0].value == pytest.approx(dragged, abs=1e-4)
    assert texts(widget, 0)[1].endswith("*")  # the error of the corrected point is not known


def test_all_images_are_measured_in_a_thread(widget, qtbot):
    assert widget.measure_all() is not None
    assert widget.measure_all() is None  # one at a time
    assert widget.session.job is None  # other work may begin
    qtbot.waitUntil(lambda: widget.measurements.cohort is not None, timeout=5000)
    assert sum(widget.histogram.counts) == len(widget.session.names)


def test_outliers_are_listed_with_the_measurement(widget, qtbot):
    session = widget.session
    odd = session.names[-1]
    deviations = np.zeros((len(session.names), 2))
    deviations[-1] = -3.5, 1.0
    widget.measure_all()
    qtbot.waitUntil(lambda: widget.measurements.cohort is not None, timeout=5000)
    widget.measurements._deviations = deviations
    assert widget.measurements.outliers()[0] == (odd, -3.5, "fan")
    assert widget.measurements.outliers("reach")[0] == (odd, 1.0, "reach")
    widget._show_outliers()
    assert widget.outliers.item(0).text() == f"-3.5 SD   {odd}   fan"
    widget.outliers.itemClicked.emit(widget.outliers.item(0))
    assert session.current_image == odd


def test_it_fits_a_narrow_dock_whatever_names_are_long(widget, qtbot):
    long = "upper facial height ratio (N-ANS / N-Me) of a very long name"
    rows = [{**ROWS["measurements"][0], "name": long}]
    SchemaEditor(widget.session).set_measurements(MeasurementSchema.from_json({"measurements": rows}))
    bar = widget.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
    assert widget.area.widget().minimumSizeHint().width() + bar <= NARROWEST - 12


def test_values_are_not_cut_in_the_table(widget, qtbot):
    widget.resize(NARROWEST, 900)
    widget.show()
    table = widget.table
    for column in (1, 2):
        needed = max(
            table.fontMetrics().horizontalAdvance(texts(widget, row)[column])
            for row in range(widget.model.rowCount())
        )
        assert table.columnWidth(column) >= needed + 8


def test_another_image_has_its_own_values(widget):
    session = widget.session
    before = widget.model.values[0].value
    session.show(session.names[1])
    assert widget.model.values[0].value != before
    assert widget.model.values[0].image == session.names[1]


def test_without_definitions_the_widget_says_what_to_do(widget):
    SchemaEditor(widget.session).set_measurements(MeasurementSchema())
    assert "choose a preset" in widget.hint.text()
    assert widget.model.rowCount() == 0


def test_superimposition_tells_differences(widget):
    other = widget.session.names[1]
    widget.superimpose.images.setCurrentText(other)
    widget.superimpose.check([*NAMES[:3]])
    found = widget.superimpose.superimpose()
    assert found.unit == "px"
    told = widget.superimpose.result.toPlainText()
    assert other in told
    assert "there minus here" in told and all(name in told for name in ("fan", *NAMES))
    widget.superimpose.check([NAMES[0]])
    with pytest.raises(InputError, match="choose 2 or more"):
        widget.superimpose.superimpose()


@pytest.mark.parametrize("name", ["values.csv", "report.html"])
def test_tables_and_reports_are_written(widget, qtbot, tmp_path, name):
    session = widget.session
    job = write_measurements_job(session, tmp_path / name, images=[session.current_image])
    session.run(job)
    qtbot.waitUntil(lambda: session.job is None, timeout=30_000)
    assert "fan" in (tmp_path / name).read_text()
    with pytest.raises(InputError, match="give a name that ends in"):
        write_measurements_job(session, tmp_path / "x.doc")


class TestMeasurementsDialog:
    @pytest.fixture
    def dialog(self, widget, qtbot) -> MeasurementsDialog:
        made = MeasurementsDialog(widget.session)
        qtbot.addWidget(made)
        return made

    def test_a_new_measurement_by_the_form(self, dialog, widget):
        dialog.name.setText("palm")
        dialog.kind.setCurrentIndex(3)
        for combo, name in zip(dialog.points, (NAMES[0], NAMES[1], NAMES[2]), strict=False):
            combo.setCurrentText(name)
        dialog.mean.setValue(12)
        dialog.sd.setValue(2)
        dialog._on_add()
        dialog.save()
        study = Study.open(widget.session.study.folder)
        assert study.measurements.names == ("fan", "reach", "palm")
        assert study.measurements.measurement("palm").norms[0].sd == 2
        assert texts(widget, 2)[0] == "palm"

    def test_mistakes_are_told_and_nothing_is_saved(self, dialog, widget):
        dialog.text.setPlainText(
            '{"measurements": [{"name": "x", "angle": ["thumb_tipp", "capitate", "index_tip"]}]}'
        )
        with pytest.raises(InputError, match="x: unknown landmark 'thumb_tipp', did you mean 'thumb_tip'"):
            dialog.save()
        dialog.text.setPlainText("{")
        dialog._on_accept()
        assert "no JSON" in dialog.problem.text()
        assert len(widget.session.study.measurements) == 2

    def test_a_schema_file_adds_what_fits(self, dialog, widget, tmp_path):
        landmarks = LandmarkSchema(NAMES, links=(Link(NAMES[:2]),))
        other = MeasurementSchema.from_json({"measurements": [{"name": "new", "distance": list(NAMES[:2])}]})
        SchemaFile(landmarks, other).write(tmp_path / "own.json")
        dialog.add(SchemaFile.read(tmp_path / "own.json"))
        dialog.save()
        assert widget.session.study.measurements.names == ("fan", "reach", "new")
        assert widget.session.study.schema.links == landmarks.links
        dialog.save_as(tmp_path / "all.json")
        assert len(SchemaFile.read(tmp_path / "all.json").measurements) == 3

    def test_a_preset_of_other_landmarks_is_refused(self, dialog):
        dialog.presets.setCurrentIndex(1)
        dialog._on_preset(1)
        assert "landmarks that the study has not" in dialog.problem.text()


def test_facts_of_an_image_are_edited(widget, qtbot):
    dialog = FactsDialog(widget.session)
    qtbot.addWidget(dialog)
    assert set(dialog.columns) == {"age", "sex", "group", "date"}
    dialog.state.setCurrentText("leave out")
    dialog.remark.setText(" blurred ")
    dialog.columns["sex"].setText("F")
    dialog.add_column("height", "170")
    dialog._on_accept()
    facts = widget.session.study.facts()[widget.session.current_image]
    assert (facts.remark, facts.sex, facts.more) == ("blurred", "f", {"sex": "F", "height": "170"})
    assert np.all([one.image == widget.session.current_image for one in widget.model.values])


def test_the_side_of_one_image_tells_those_of_all(widget, qtbot, truth):
    session = widget.session
    first, second, third = [
        session.current_image,
        *(name for name in truth if name != session.current_image),
    ][:3]
    poses = {first: Pose.upright(2), second: Pose.of_rotation(np.diag([1, -1]))}
    write_pose_table(session.study.folder / POSE_TABLE, poses)
    dialog = FactsDialog(session)
    qtbot.addWidget(dialog)
    dialog.fill.click()
    assert "its side is not known" in dialog.problem.text()
    dialog.columns[LATERALITY].setText("L")
    dialog.fill.click()
    assert dialog.problem.text() == "2 images have a side."
    sides = {name: facts.value(LATERALITY) for name, facts in session.study.facts().items()}
    assert sides == {first: "L", second: "R"}
    assert third not in sides
    session.study.set_facts(second, ImageFacts(more={LATERALITY: "left"}))
    dialog.fill.click()
    assert f"in {second} another one was written, which stays" in dialog.problem.text()
    assert session.study.facts()[second].value(LATERALITY) == "left"
