"""From one annotated volume to the landmarks of others in any pose."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.cohort import isotropic_grid
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import can_resume, load_model
from napari_landmark.detection.training import volume_training
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train
from napari_landmark.progress import CancelToken

OPTIONS = TrainingOptions(device="cpu")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, ball_body):
    """Three volumes of one body in different poses, and one of noise; with the true landmarks by name."""
    folder = tmp_path_factory.mktemp("volumes")
    truth = {}
    for number in range(3):
        volume = ball_body.draw(rotation=number, shift=(number, -number, 0))
        _write(folder / f"{number}.nii.gz", 1000 * volume.array)
        truth[f"{number}.nii.gz"] = volume.landmarks
    truth["noise.nii.gz"] = ball_body.draw().landmarks
    _write(folder / "noise.nii.gz", np.random.default_rng(9).normal(200, 20, (56, 56, 56)))
    return Cohort.from_folder(folder, cache_dir=tmp_path_factory.mktemp("cache")), truth


def _write(path, array):
    image = sitk.GetImageFromArray(array.astype(np.int16))
    image.SetSpacing((0.5, 0.5, 0.5))
    sitk.WriteImage(image, str(path))


def _study(folder, cohort, truth, ball_body, annotated=("0.nii.gz",)):
    schema = LandmarkSchema(ball_body.names)
    study = Study.create(folder, schema=schema, images=cohort.folder, template="0.nii.gz")
    for name in annotated:
        study.save_annotations(name, LandmarkSet.from_array(schema, truth[name]))
    return study


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cohort, ball_body, make_quick):
    """Study and report of a training with one template."""
    study = _study(tmp_path_factory.mktemp("trained") / "study", *cohort, ball_body)
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        return study, train(study, cohort[0], options=OPTIONS)


def test_landmarks_are_found_in_any_pose(trained, cohort):
    _, truth = cohort
    for name, positions in truth.items():
        if name == "noise.nii.gz":
            continue
        found = trained[1].predictions[name].positions()
        assert np.linalg.norm(found - positions, axis=1).max() < 0.3  # voxels


def test_volumes_too_large_for_their_own_cells_are_looked_at_voxel_by_voxel(
    tmp_path, cohort, ball_body, quick_alignment, monkeypatch
):
    """With cells of 1.6 voxels; two templates, of which both have their surroundings."""
    images, truth = cohort
    monkeypatch.setattr(isotropic_grid, "_MOST_CELLS", 56 * 60 * 64 / 1.6**3)
    annotated = ("0.nii.gz", "1.nii.gz")
    study = _study(tmp_path / "study", images, truth, ball_body, annotated=annotated)
    found = train(study, images, options=OPTIONS).predictions["2.nii.gz"].positions()
    templates = load_model(study, device="cpu").templates
    assert [[fine.cell for fine in one.atlas.finer] for one in templates] == [[pytest.approx(0.5)]] * 2
    assert np.linalg.norm(found - truth["2.nii.gz"], axis=1).max() < 0.4  # voxels


def test_a_volume_of_something_else_is_named_and_gets_no_position(trained):
    study, report = trained
    assert list(report.not_found) == ["noise.nii.gz"]
    assert "in no pose" in report.not_found["noise.nii.gz"]
    assert np.isnan(report.predictions["noise.nii.gz"].expected_errors()).all()
    assert all(mark.position is None for mark in study.load_predictions("noise.nii.gz").values())


def test_the_saved_model_predicts_the_same(trained, cohort, quick_alignment):
    study, report = trained
    model = load_model(study, device="cpu")
    found = model.detect_in_cohort(cohort[0], cohort[0].index("1.nii.gz"))
    assert found.landmarks == report.predictions["1.nii.gz"]


def test_a_second_template_corrects_the_first_and_gives_what_that_lacks(
    tmp_path, cohort, ball_body, quick_alignment
):
    images, truth = cohort
    wrong = {**truth, "0.nii.gz": truth["0.nii.gz"].copy()}
    wrong["0.nii.gz"][0] += (0, 0, 2)
    wrong["0.nii.gz"][1] = np.nan
    study = _study(tmp_path / "study", images, wrong, ball_body, annotated=("0.nii.gz", "1.nii.gz"))
    found = train(study, images, options=OPTIONS).predictions["2.nii.gz"].positions()
    errors = np.linalg.norm(found - truth["2.nii.gz"], axis=1)
    assert errors[0] == pytest.approx(1, abs=0.3)  # half of what the first is off
    assert errors[1:].max() < 0.4


def test_templates_become_atlases_with_the_mean_annotation(tmp_path, cohort, ball_body, quick_alignment):
    images, truth = cohort
    wrong = {**truth, "1.nii.gz": truth["1.nii.gz"].copy()}
    wrong["1.nii.gz"][0] += (0, 0, 2)
    study = _study(tmp_path / "study", images, wrong, ball_body, annotated=("0.nii.gz", "1.nii.gz"))
    train(study, images, options=OPTIONS)
    templates = load_model(study, device="cpu").templates
    assert len(templates) == 2
    for name, template in zip(("0.nii.gz", "1.nii.gz"), templates, strict=True):
        off = np.linalg.norm(template.atlas.landmarks.numpy() / 0.5 - truth[name], axis=1)
        assert off[0] == pytest.approx(1, abs=0.3)  # half of two voxels
        assert off[1:].max() < 0.3


def test_a_template_that_is_aligned_with_nothing_has_no_influence(
    tmp_path, cohort, ball_body, quick_alignment
):
    """Noise that somebody annotated is the only other template: its agreement is the usual one, its places are not."""
    images, truth = cohort
    study = _study(tmp_path / "study", images, truth, ball_body, annotated=("0.nii.gz", "noise.nii.gz"))
    train(study, images, options=OPTIONS)
    (only,) = load_model(study, device="cpu").templates
    assert np.allclose(only.atlas.landmarks.numpy() / 0.5, truth["0.nii.gz"], atol=1e-3)


def test_a_cancelled_training_is_resumed_without_aligning_again(
    tmp_path, cohort, ball_body, monkeypatch, quick_alignment
):
    images, truth = cohort
    study = _study(tmp_path / "study", images, truth, ball_body)
    token, aligned, honest = CancelToken(), [], volume_training.align

    def spy(atlas, target, **options):
        aligned.append(target)
        token.cancel()
        return honest(atlas, target, **options)

    monkeypatch.setattr(volume_training, "align", spy)
    report = train(study, images, options=OPTIONS, cancel=token)
    assert report.cancelled and not report.predictions and len(aligned) == 1
    assert can_resume(study)
    report = train(study, images, options=OPTIONS, resume=True)
    assert len(aligned) == 3 and not report.cancelled
    assert not can_resume(study)
