"""The report is one page that needs nothing else, and plain figures beside it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.report import write_report
from napari_landmark.detection.training.report_contents import (
    choose_predictions,
    expected_errors,
    gather_contents,
)
from napari_landmark.detection.training.report_pdf import draw_pages
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.learning.loop import History


class TestPage:
    def test_needs_nothing_else(self, study, cohort, training_report):
        page = write_report(study, cohort, training_report)
        text = page.read_text(encoding="utf-8")
        sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text)
        assert len(sources) == 6 + 1 + 24 + 4  # losses, template, doubtful points, predictions
        assert all(re.match("data:image/(png|jpeg);base64,", source) for source in sources)
        assert "http" not in re.sub(r'base64,[^"]*', "", text)
        assert "<script" not in text
        assert text.startswith("<!doctype html>")
        for heading in ("Loss", "Template", "Most doubtful points", "Predictions"):
            assert f"<h2>{heading}</h2>" in text
        for name in (*study.schema.names, *cohort.names):
            assert name in text

    def test_figures_beside_it(self, study, cohort, training_report):
        write_report(study, cohort, training_report)
        summary = json.loads(
            (study.report_folder(training_report.model_dir.name) / "report.json").read_text()
        )
        assert summary["images"] == 4
        assert summary["cancelled"] is False
        assert [stage["steps"] for stage in summary["stages"]] == [3, 2, 2, 3, 2, 2]
        errors = list(summary["expected_error_px"].values())
        assert len(errors) == 4
        assert errors == sorted(errors, reverse=True)

    def test_an_expected_error_is_a_mean_and_no_bound(self, study, cohort, training_report):
        text = write_report(study, cohort, training_report).read_text()
        summary = json.loads(
            (study.report_folder(training_report.model_dir.name) / "report.json").read_text()
        )
        assert "±" not in text
        for error in summary["expected_error_px"].values():
            assert f"about {error:.1f} px on average" in text

    def test_figures_that_are_no_numbers_are_null(self, study, cohort, training_report):
        names = ("a", "b")
        unknown = LandmarkSet.from_array(LandmarkSchema(names), np.ones((2, 2)), Status.PREDICTED)
        absent = LandmarkSet(LandmarkSchema(names))
        report = TrainingReport(
            training_report.model_dir,
            [History("diverged", 3, 1.0, losses=[(3, 1.0, np.nan)])],
            {"hand_000.png": unknown, "hand_001.png": absent},
        )
        text = write_report(study, cohort, report).read_text()
        summary = json.loads(
            (study.report_folder(training_report.model_dir.name) / "report.json").read_text(),
            parse_constant=pytest.fail,
        )
        assert summary["stages"][0]["loss"] is None
        assert summary["expected_error_px"] == {"hand_000.png": None, "hand_001.png": None}
        assert "no expected error" in text
        assert "nan" not in re.sub(r'base64,[^"]*', "", text).lower()

    def test_after_a_cancelled_training(self, study, cohort, training_report):
        report = TrainingReport(training_report.model_dir, [History("early")], cancelled=True)
        text = write_report(study, cohort, report).read_text()
        assert "(cancelled)" in text
        assert "Predictions" not in text

    def test_files_left_out_are_named_harmlessly(self, study, data, training_report):
        (data / "images" / "<b>x&y.png").write_bytes(b"")
        cohort = Cohort.from_folder(data / "images")
        text = write_report(study, cohort, training_report).read_text()
        assert "&lt;b&gt;x&amp;y.png" in text
        assert "<b>x" not in text

    def test_names_that_look_like_formulas(self, tmp_path, data):
        schema = LandmarkSchema((r"$\broken{$", "a$b$c"))
        name = "$x_{$.png"
        (data / "images" / "hand_000.png").rename(data / "images" / name)
        cohort = Cohort.from_folder(data / "images")
        study = Study.create(tmp_path / "s", schema=schema, images=data / "images", template=name)
        marks = LandmarkSet.from_array(schema, [[10.0, 20.0], [30.0, 40.0]])
        study.save_annotations(name, marks)
        found = LandmarkSet.from_array(
            schema, [[10.0, 20.0], [30.0, 40.0]], Status.PREDICTED, expected_error=[1.0, 2.0]
        )
        report = TrainingReport(study.models_dir / "001", predictions={name: found})
        text = write_report(study, cohort, report).read_text()
        assert "$x_{$.png" in text
        assert r"$\broken{$" in text

    def test_of_volumes_with_three_planes_a_landmark(self, tmp_path):
        import SimpleITK as sitk

        (tmp_path / "images").mkdir()
        for number in range(2):
            array = np.random.default_rng(number).integers(0, 99, (12, 20, 16)).astype(np.int16)
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "images" / f"{number}.nii"))
        volumes = Cohort.from_folder(tmp_path / "images", cache_dir=tmp_path / "cache")
        schema = LandmarkSchema(("a", "b", "c", "d", "e"))
        study = Study.create(tmp_path / "s", schema=schema, images=tmp_path / "images", template="0.nii")
        positions = np.arange(15.0).reshape(5, 3) % 11
        study.save_annotations("0.nii", LandmarkSet.from_array(schema, positions))
        found = LandmarkSet.from_array(schema, positions, Status.PREDICTED, expected_error=[1, 2, 3, 4, 5])
        lost = LandmarkSet(schema)
        report = TrainingReport(study.models_dir / "001", predictions={"1.nii": found, "0.nii": lost})
        text = write_report(study, volumes, report).read_text()
        assert text.count("<img") == 3 * 5 + 3 * 3  # all of the template, the worst three of a prediction
        assert "about 5.0 voxels" in text and "about 1.0 voxels" not in text
        assert "about 3.0 voxels on average" in text and "no expected error" in text


def test_each_model_has_a_report_of_its_own(study, cohort, training_report):
    first = write_report(study, cohort, training_report)
    before = {path: path.read_bytes() for path in first.parent.iterdir()}
    assert {path.name for path in before} == {"report.html", "report.pdf", "report.json"}
    stopped = TrainingReport(study.models_dir / "002", [History("early", 1)], cancelled=True)
    second = write_report(study, cohort, stopped)
    assert {path: path.read_bytes() for path in first.parent.iterdir()} == before
    assert study.report_page(training_report.model_dir.name) == first
    assert study.report_page("002") == second
    assert study.report_page("003") is None


class TestPdf:
    """Texts of its pages."""

    @pytest.fixture
    def pages(self, study, cohort):
        def draw(report):
            texts = []

            def keep(figure):
                found = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
                texts.append("\n".join(text.get_text() for text in found))

            draw_pages(gather_contents(study, cohort, report), keep)
            return texts

        return draw

    def test_all_it_shows(self, pages, study, cohort, training_report):
        texts = pages(training_report)
        whole = "\n".join(texts)
        for name in (*study.schema.names, *cohort.names, *(h.stage for h in training_report.histories)):
            assert name in whole
        titles = ("by landmark", "Template", "Most doubtful points", "by image", "Predictions")
        places = [
            next(n for n, text in enumerate(texts) if title in text.splitlines()[0]) for title in titles
        ]
        assert places == sorted(set(places))
        assert [text.splitlines()[-1] for text in texts] == [str(n) for n in range(1, len(texts) + 1)]
        assert b"%PDF-" in write_report(study, cohort, training_report).with_suffix(".pdf").read_bytes()[:8]

    def test_a_stopped_training_has_its_losses(self, pages, training_report):
        (text, *others) = pages(
            TrainingReport(training_report.model_dir, [History("early", 7)], cancelled=True)
        )
        assert "early" in text and "7 steps" in text and "(cancelled)" in text
        assert not any("Predictions" in other for other in others)


class TestChoice:
    def test_all_of_few(self):
        names = [f"{k}" for k in range(9)]
        assert choose_predictions(names) == names

    def test_the_worst_and_some_of_the_others(self):
        names = choose_predictions([f"{k}" for k in range(500)])
        assert len(names) == len(set(names)) == 40
        assert names[:20] == [f"{k}" for k in range(20)]
        assert names[-1] == "499"

    @pytest.mark.parametrize("count", [40, 41, 45, 60])
    def test_no_image_twice(self, count):
        names = choose_predictions([f"{k}" for k in range(count)])
        assert len(set(names)) == len(names) == 40

    def test_sorted_by_expected_error(self):
        schema = LandmarkSchema(("a", "b"))
        errors = {"good": [1.0, 2.0], "bad": [5.0, 9.0], "half": [3.0, np.nan], "none": [np.nan, np.nan]}
        sets = {
            name: LandmarkSet.from_array(schema, np.ones((2, 2)), Status.PREDICTED, expected_error=values)
            for name, values in errors.items()
        }
        found = expected_errors(sets)
        assert list(found) == ["none", "bad", "half", "good"]
        assert found == {"none": None, "bad": 7.0, "half": 3.0, "good": 1.5}
