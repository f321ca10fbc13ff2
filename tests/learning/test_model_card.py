"""Cards of models say what they learned from, how well and what they are not for, and name no image."""

from __future__ import annotations

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.model.store import model_folders
from napari_landmark.detection.training.landmark_card import write_landmark_card
from napari_landmark.learning.model_card import ModelCard


def test_the_card_of_a_training(study, cohort, training_report):
    (folder,) = model_folders(study)
    text = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Images: 4; working grid 64 × 64" in text
    assert all(name in text for name in study.schema.names)
    assert "no medical device" in text
    assert "| napari-landmark |" in text
    assert not any(name in text for name in cohort.names)
    errors = np.concatenate([found.expected_errors() for found in training_report.predictions.values()])
    assert f"| expected error, all landmarks | {np.nanmedian(errors):.2f} pixels |" in text


def test_errors_are_in_mm_where_the_spacing_of_all_images_is_known(study, cohort, training_report, tmp_path):
    scaled = Cohort.from_folder(cohort.folder, spacing=0.5)
    path = write_landmark_card(tmp_path, scaled, study.schema, {}, training_report.predictions, minutes=1)
    errors = np.concatenate([found.expected_errors() for found in training_report.predictions.values()])
    assert f"all landmarks | {np.nanmedian(errors) / 2:.2f} mm" in path.read_text(encoding="utf-8")


def test_a_training_that_was_stopped_has_no_figures(study, cohort, tmp_path):
    path = write_landmark_card(tmp_path, cohort, study.schema, {}, {}, minutes=1)
    assert "stopped early" in path.read_text(encoding="utf-8")


def test_a_record_of_another_kind_is_no_reason_to_fail():
    record = {"canvas": 3, "spacing": ["a"], "versions": None, "options": {"a|b": "c\nd"}}
    text = ModelCard(title="T", purpose="P", record=record).text()
    assert "working grid unknown" in text
    assert "| a\\|b | c d |" in text
