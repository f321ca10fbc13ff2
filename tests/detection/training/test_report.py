"""The report is one page that needs nothing else, and plain figures beside it."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.report import (
    choose_for_sheet,
    expected_errors,
    loss_figure,
    write_report,
)
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.learning.loop import History


class TestPage:
    def test_needs_nothing_else(self, study, cohort, training_report):
        page = write_report(study, cohort, training_report)
        text = page.read_text(encoding="utf-8")
        sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text)
        assert len(sources) == 3  # losses, template, predictions
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        assert "http" not in re.sub(r'base64,[^"]*', "", text)
        assert "<script" not in text
        assert text.startswith("<!doctype html>")
        for heading in ("Loss", "Template", "Predictions"):
            assert heading in text

    def test_figures_beside_it(self, study, cohort, training_report):
        write_report(study, cohort, training_report)
        summary = json.loads((study.report_dir / "report.json").read_text())
        assert summary["images"] == 4
        assert summary["cancelled"] is False
        assert [stage["steps"] for stage in summary["stages"]] == [3, 2, 2, 3, 2]
        errors = list(summary["expected_error_px"].values())
        assert len(errors) == 4
        assert errors == sorted(errors, reverse=True)

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
        assert write_report(study, cohort, report).exists()

    def test_of_volumes_without_pictures(self, study, cohort, training_report):
        class Volumes:
            names, canvas, ndim, skipped_files = cohort.names, (64, 64, 64), 3, ()

            def __len__(self):
                return 4

        text = write_report(study, Volumes(), training_report).read_text()
        assert text.count("<img") == 1


class TestSheet:
    def test_all_of_few(self):
        errors = {f"{k}": 10.0 - k for k in range(9)}
        assert choose_for_sheet(errors) == list(errors)

    def test_the_worst_and_some_of_the_others(self):
        errors = {f"{k}": 1000.0 - k for k in range(500)}
        names = choose_for_sheet(errors)
        assert len(names) == len(set(names)) == 40
        assert names[:20] == [f"{k}" for k in range(20)]
        assert names[-1] == "499"

    @pytest.mark.parametrize("count", [40, 41, 45, 60])
    def test_no_image_twice(self, count):
        names = choose_for_sheet({f"{k}": float(count - k) for k in range(count)})
        assert len(set(names)) == len(names) == 40

    def test_sorted_by_expected_error(self):
        schema = LandmarkSchema(("a", "b"))
        sets = {
            name: LandmarkSet.from_array(schema, np.ones((2, 2)), Status.PREDICTED, expected_error=errors)
            for name, errors in {"good": [1.0, 2.0], "bad": [5.0, 9.0], "half": [3.0, np.nan]}.items()
        }
        assert expected_errors(sets) == {"bad": 7.0, "half": 3.0, "good": 1.5}


def test_losses_of_every_stage():
    histories = [
        History("first", 30, 1.0, losses=[(1, 0.1, 5.0), (10, 0.5, 3.0)]),
        History("second", 0, 0.0),
    ]
    figure = loss_figure(histories)
    assert [axes.get_title() for axes in figure.axes] == ["first (30 steps)", "second (0 steps)"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [5.0, 3.0]
    assert dataclasses.asdict(histories[0])["stage"] == "first"
    loss_figure([])
