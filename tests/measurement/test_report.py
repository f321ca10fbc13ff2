"""Input, tables and reports of a small study."""

from __future__ import annotations

import csv
import io
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.study.image_facts import ImageFacts
from napari_landmark.measurement.measured_input import MeasuredInput
from napari_landmark.measurement.measurement_table import long_table, wide_table
from napari_landmark.measurement.report import images_by_deviation, make_report
from napari_landmark.measurement.report_file import write_report
from napari_landmark.measurement.report_pdf import draw_pages
from napari_landmark.progress import Cancelled, CancelToken


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_study_is_measured_without_images_that_are_left_out(study):
    read = MeasuredInput.of_study(study)
    measured = read.measure()
    assert measured.images == tuple(f"{number}.png" for number in range(6))
    assert measured.column("side")[0] == pytest.approx(5.0)
    assert measured.column("side")[4] == pytest.approx(0.5 * math.hypot(4, 10))
    assert read.problems == ()


def test_long_table(study):
    read = MeasuredInput.of_study(study)
    found = {(row["image"], row["measurement"]): row for row in rows(long_table(read.measure(), read.facts))}
    corner = found["0.png", "corner"]
    assert float(corner["value"]) == pytest.approx(90)
    assert corner["class"] == "blunt"
    assert corner["norm"] == "90 ± 1"  # that of women, by the facts of the image
    assert corner["standard_error"] == ""  # placed by a person whose error is not known
    assert corner["error_of"] == "unknown"
    assert found["1.png", "corner"]["norm"] == ""  # the sex is not known
    assert found["1.png", "side"]["error_of"] == "all landmarks"
    low, high = (float(found["1.png", "side"][key]) for key in ("low_90", "high_90"))
    assert high - low == pytest.approx(2 * 1.6449 * math.sqrt(2) * 0.5 / math.sqrt(math.pi / 2), rel=1e-3)
    assert found["3.png", "corner"]["left_out"] == "needs C"
    assert found["3.png", "corner"]["value"] == ""
    assert found["3.png", "side"]["spacing_source"] == "user"
    assert float(found["4.png", "side"]["outside_norm_range"]) > 0


def test_facts_of_the_images_are_columns_of_the_long_table(study):
    study.set_facts("1.png", ImageFacts(None, "", "", {"class": "control"}))
    read = MeasuredInput.of_study(study)
    found = {row["image"]: row for row in rows(long_table(read.measure(), read.facts))}
    assert found["0.png"]["remark"] == "first"
    assert found["0.png"]["age"] == "12"
    assert found["1.png"]["age"] == ""
    assert found["1.png"]["class (of the image)"] == "control"  # 'class' is that of the value
    assert "state" not in found["0.png"]  # no image that is measured has one


def test_wide_table(study):
    read = MeasuredInput.of_study(study)
    found = rows(wide_table(read.measure(), read.facts))
    assert list(found[0])[:6] == ["image", "state", "remark", "reader", "sex", "age"]
    assert found[0]["remark"] == "first"
    assert float(found[0]["side (mm)"]) == pytest.approx(5)
    assert found[0]["side standard error"] == ""
    assert float(found[1]["corner standard error"]) > 0
    assert found[3]["corner (deg)"] == ""
    assert found[3]["corner standard error"] == ""


def test_a_file_without_spacing_has_angles_and_says_why_there_are_no_lengths(table, schema):
    measured = MeasuredInput.of_file(table, schema).measure()
    first = {one.measurement.name: one for one in measured.row("0.png")}
    assert first["corner"].value == pytest.approx(90)
    assert "square" in first["corner"].note
    assert first["side"].left_out == "needs the spacing, which is unknown"


def test_a_spacing_that_is_given_needs_no_images(table, schema):
    measured = MeasuredInput.of_file(table, schema, spacing=0.25).measure()
    assert measured.column("side")[0] == pytest.approx(2.5)
    assert measured.spacing_sources[0] == "user"


def test_images_give_the_spacing_and_missing_ones_are_named(table, schema, study):
    (study.images / "1.png").unlink()
    read = MeasuredInput.of_file(table, schema, images=study.images)
    assert read.problems == ("1.png: is not among the images",)
    assert set(read.files) == {f"{number}.png" for number in (0, 2, 3, 4, 5, 6)}


def test_other_landmarks_are_refused_with_the_remedy(table):
    other = SchemaFile(
        LandmarkSchema(("X", "Y", "Z")),
        MeasurementSchema.from_json({"measurements": [{"name": "x", "angle": ["X", "Y", "Z"]}]}),
    )
    with pytest.raises(InputError, match="has none of the landmarks that are measured: it has A, B, C"):
        MeasuredInput.of_file(table, other)


def test_a_schema_of_other_landmarks_does_not_fit_a_study(study):
    other = SchemaFile(
        LandmarkSchema(("A", "B", "Z")),
        MeasurementSchema.from_json({"measurements": [{"name": "x", "angle": ["A", "B", "Z"]}]}),
    )
    with pytest.raises(InputError, match="x: unknown landmark 'Z'"):
        MeasuredInput.of_study(study, schema=other)


def test_a_study_without_definitions_is_told(study):
    study.update(measurements=MeasurementSchema())
    with pytest.raises(InputError, match="no measurements are defined"):
        MeasuredInput.of_study(study)


def test_a_study_whose_images_are_gone_is_measured_by_its_spacing(study):
    shutil.rmtree(study.images)
    read = MeasuredInput.of_study(study)
    assert "images" in read.problems[0]
    assert read.measure().column("side")[0] == pytest.approx(5.0)


def test_a_pdf_has_pages_of_the_cohort_and_of_each_image(study, tmp_path):
    read = MeasuredInput.of_study(study)
    path = tmp_path / "report.pdf"
    write_report(path, make_report(read, read.measure(), title="Triangles", model="model 1"))
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    # The cohort, two pages for each of six images, and the explanations.
    assert content.count(b"/Type /Page ") + content.count(b"/Type /Page\n") == 1 + 2 * 6 + 1


def test_a_page_names_values_norms_and_what_is_not_computed(study, tmp_path):
    read = MeasuredInput.of_study(study)
    path = tmp_path / "report.html"
    write_report(path, make_report(read, read.measure(), title="<Triangles>", images=["3", "0.png"]))
    page = path.read_text(encoding="utf-8")
    assert "<h2>3.png</h2>" in page
    assert "<h2>0.png</h2>" in page
    assert "<h2>1.png</h2>" not in page
    assert "needs C: corner, other side" in page
    assert "0 placed by a person, 2 predicted; without a position: C" in page
    assert "women" in page
    assert "&lt;Triangles&gt;" in page
    assert page.count("data:image/png;base64,") >= 2


def test_a_report_explains_landmarks_lines_and_measurements(study, schema, tmp_path):
    defined = replace(schema.landmarks, definitions=("The first corner.", "", "The last."))
    read = MeasuredInput.of_study(study, schema=SchemaFile(defined, schema.measurements))
    report = make_report(read, read.measure(), title="Triangles")
    names = [(one.name, one.text) for one in report.landmark_definitions]
    assert names == [("1 A", "The first corner."), ("3 C", "The last.")]
    assert report.construction_definitions[0].details == "1 A, 2 B"
    corner = report.measurement_definitions[0]
    assert corner.details == "1 A, 2 B, 3 C; source: own; norm: men; male / women; female"
    told = " ".join(report.how_to_read)
    assert "standard deviation" in told and "radiographs" not in told
    write_report(tmp_path / "r.html", report)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for text in ("The first corner.", "1 A, 2 B, 3 C", "as stated by the user", "Constructed lines"):
        assert text in page


def test_a_file_takes_the_definitions_of_the_schema(table, schema):
    defined = replace(schema.landmarks, definitions=("The first corner.", "", ""))
    read = MeasuredInput.of_file(table, SchemaFile(defined, schema.measurements))
    assert read.schema.definitions[read.schema.names.index("A")] == "The first corner."


def test_a_page_of_the_cohort_has_its_distribution(study, tmp_path):
    read = MeasuredInput.of_study(study)
    report = make_report(read, read.measure(), title="Triangles", images=["0"])
    side = report.summary[1]
    values = read.measure().column("side")
    assert side.count == 6
    assert side.mean == pytest.approx(values.mean())
    assert side.deviation == pytest.approx(values.std(ddof=1))
    assert side.error_text.startswith("± ")
    write_report(tmp_path / "r.html", report)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f'<td class="error">{side.mean_text}</td>' in page
    assert report.outlier_texts[0].startswith("5.png (")
    assert report.outlier_texts[0] in page


def test_nothing_is_cut_or_overlaps_on_pages_of_long_names(study, schema):
    """Each text is on its page and beside the others; each row is there, below a title on the same page."""
    many = [
        {
            "name": f"{group} {number} of a name that needs more than a line in its column",
            "analyses": [group],
            "text": "What it is, told at length. " * (1 + number % 9),
            "angle": ["A", "B", "C"],
            "norms": [{"mean": 90.25, "sd": 11.75, "source": "of a long source, " * (number % 7)}],
            "classes": [{"name": "sharp, with many words to tell it", "below": 90},
                        {"name": "blunt, with other words for it", "from": 90}],
        }
        for group in ("first", "second", "third")
        for number in range(18)
    ]  # fmt: skip
    measurements = MeasurementSchema.from_json({"measurements": many})
    study.set_facts("1.png", ImageFacts(None, "a remark that goes on " * 20, "MK", {}))
    read = MeasuredInput.of_study(study, schema=SchemaFile(schema.landmarks, measurements))
    pages: list[list[str]] = []

    def check(figure):
        renderer = figure.canvas.get_renderer()
        texts = [text for text in figure.texts if text.get_text().strip()]
        boxes = [text.get_window_extent(renderer) for text in texts]
        width, height = figure.bbox.width, figure.bbox.height
        assert all(box.x0 > 0 and box.x1 < 0.95 * width and box.y0 > 0 and box.y1 < height for box in boxes)
        for number, box in enumerate(boxes):
            inner = box.padded(-1.5)
            assert not any(inner.overlaps(other.padded(-1.5)) for other in boxes[:number])
        pages.append([text.get_text() for text in texts])

    draw_pages(make_report(read, read.measure(), title="A title of many words " * 5, images=["1"]), check)
    tables = [page for page in pages if "Deviation in SD" in page]
    names = {" ".join(text.split()) for page in tables for text in page}
    assert {row["name"] for row in many} <= names
    for page in tables:
        groups = [number for number, text in enumerate(page) if text in ("first", "second", "third")]
        assert all(page[number + 1].startswith(page[number]) for number in groups)


def test_no_title_is_alone_at_the_foot_of_a_page(study, schema):
    """Twenty analyses of one row each: where the page ends, the title of the next would still fit, its row not."""
    many = [
        {"name": f"angle {number}", "analyses": [f"group {number}"], "angle": ["A", "B", "C"]}
        for number in range(20)
    ]
    measurements = MeasurementSchema.from_json({"measurements": many})
    read = MeasuredInput.of_study(study, schema=SchemaFile(schema.landmarks, measurements))
    pages: list[list[str]] = []
    report = make_report(read, read.measure(), title="Many", images=["1"])
    draw_pages(report, lambda figure: pages.append([text.get_text() for text in figure.texts]))
    tables = [page for page in pages if any(text.startswith("group ") for text in page)]
    assert len(tables) == 2
    for page in tables:
        for number, text in enumerate(page):
            if text.startswith("group "):
                assert page[number + 1] == text.replace("group", "angle")


def test_a_cancelled_report_leaves_no_file(study, tmp_path):
    read = MeasuredInput.of_study(study)
    report = make_report(read, read.measure(), title="x")
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        write_report(tmp_path / "report.pdf", report, cancel=token)
    assert not (tmp_path / "report.pdf").exists()


def test_reports_of_unknown_images_and_names_are_refused(study, tmp_path):
    read = MeasuredInput.of_study(study)
    measured = read.measure()
    with pytest.raises(InputError, match=r"9\.png: has no landmarks here"):
        make_report(read, measured, title="x", images=["9.png"])
    with pytest.raises(InputError, match=r"is a \.pdf or a \.html file"):
        write_report(tmp_path / "report.doc", make_report(read, measured, title="x"))


def test_volumes_have_pages_too(tmp_path):
    import SimpleITK as sitk

    array = np.random.default_rng(0).integers(0, 200, (12, 20, 16)).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.5, 2.0))
    sitk.WriteImage(image, str(tmp_path / "v.nrrd"))
    landmarks = LandmarkSchema(("A", "B", "C"), links=(Link(("A", "B")),))
    schema = SchemaFile(
        landmarks, MeasurementSchema.from_json({"measurements": [{"name": "d", "distance": ["A", "B"]}]})
    )
    marks = LandmarkSet.from_array(landmarks, [[1, 2, 3], [5, 2, 3], [9, 9, 9]])
    geometry = Geometry((12, 20, 16), (2.0, 0.5, 0.5))
    read = MeasuredInput(
        {"v.nrrd": marks},
        landmarks,
        schema.measurements,
        {"v.nrrd": geometry},
        {"v.nrrd": tmp_path / "v.nrrd"},
    )
    measured = read.measure()
    assert measured.column("d")[0] == pytest.approx(8.0)  # four slices of 2 mm
    for name in ("r.pdf", "r.html"):
        write_report(tmp_path / name, make_report(read, measured, title="Volume"))
        assert (tmp_path / name).stat().st_size > 1000


def test_the_image_that_deviates_most_is_first(study):
    measured = MeasuredInput.of_study(study).measure()
    assert images_by_deviation(measured)[0] == "5.png"
