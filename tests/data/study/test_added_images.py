"""Images that are added to a study keep their names, and those of no use are told."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.added_images import AddedImages, add_images, remove_images
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.study import Study

from ..images.dicom_files import VOLUME, save, save_series

SCHEMA = LandmarkSchema(("tip", "base"))


def picture(path: Path, grey: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((40, 50), grey, np.uint8)
    pixels[10:20, 10:30] = 200
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def study(tmp_path) -> Study:
    for number in (1, 2):
        picture(tmp_path / "images" / f"{number}.png", 10 * number)
    return Study.create(tmp_path / "study", schema=SCHEMA, images=tmp_path / "images")


def gather(study: Study, tmp_path: Path) -> Cohort:
    return Cohort.from_folder(study.require_images(), extra=study.extra, cache_dir=tmp_path / "cache")


def add(study: Study, tmp_path: Path, *paths: Path) -> AddedImages:
    return add_images(study, paths, gather(study, tmp_path))


def test_files_and_folders_from_elsewhere_become_images_of_the_study(study, tmp_path):
    one = picture(tmp_path / "more" / "3.png")
    picture(tmp_path / "many" / "4.png")
    picture(tmp_path / "many" / "5.png")
    (tmp_path / "many" / "notes.csv").write_text("x")
    found = add(study, tmp_path, one, tmp_path / "many")
    assert found.added == ("3.png", "4.png", "5.png")
    assert found.text == "3 images added: 3.png, 4.png, 5.png."
    opened = Study.open(study.folder)
    assert gather(opened, tmp_path).names == ("1.png", "2.png", "3.png", "4.png", "5.png")
    assert {path.resolve() for path in opened.extra} >= {one.resolve()}
    assert not list((tmp_path / "images").glob("3*"))  # neither copied nor moved


def test_what_the_study_has_is_told_and_not_added_twice(study, tmp_path):
    add(study, tmp_path, picture(tmp_path / "more" / "3.png"))
    again = add(study, tmp_path, tmp_path / "more", tmp_path / "images" / "1.png")
    assert again.added == ()
    assert again.known == ("3.png", "1.png")
    assert again.text == "2 images in the study already."
    assert len(Study.open(study.folder).extra) == 1


def test_a_new_file_of_the_own_folder_needs_no_entry(study, tmp_path):
    cohort = gather(study, tmp_path)
    new = picture(tmp_path / "images" / "0.png")
    found = add_images(study, [tmp_path / "images"], cohort)
    assert found.added == ("0.png",)
    assert found.known == ("1.png", "2.png")
    assert not Study.open(study.folder).extra
    assert add_images(study, [new], gather(study, tmp_path)).known == ("0.png",)


def test_files_that_cannot_be_used_are_named_with_the_reason(study, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    volume = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), volume)
    (tmp_path / "empty").mkdir()
    found = add(study, tmp_path, text, volume, tmp_path / "empty", tmp_path / "gone.png")
    assert found.added == ()
    reasons = {file.name: file.reason for file in found.skipped_files}
    assert "is a volume, the study has pictures" in reasons["head.nii.gz"]
    assert "holds no images" in reasons["empty"]
    assert reasons.keys() == {"text.png", "head.nii.gz", "empty", "gone.png"}
    assert not Study.open(study.folder).extra


def test_a_folder_of_dicom_films_is_many_images_and_one_of_slices_a_volume(study, tmp_path):
    pixels = np.add.outer(np.arange(40) * 20, np.arange(50) * 10).astype(np.uint16)
    (tmp_path / "films").mkdir()
    for name in ("IM1", "IM2"):
        save(tmp_path / "films" / name, pixels, PixelSpacing=[0.2, 0.2])
    save_series(tmp_path / "series", VOLUME)
    found = add(study, tmp_path, tmp_path / "films", tmp_path / "series")
    assert found.added == ("IM1", "IM2")
    ((skipped),) = found.skipped_files
    assert (skipped.name, skipped.reason.partition(":")[0]) == (
        "series",
        "is a volume, the study has pictures",
    )


def test_images_of_one_name_are_told_apart_for_good(study, tmp_path):
    """Landmarks belong to a name: no file that comes or goes may put another image under it."""
    found = add(study, tmp_path, picture(tmp_path / "second" / "1.png"))
    assert found.added == ("second/1.png",)
    marks = LandmarkSet.from_array(SCHEMA, [[3.0, 4.0], [5.0, 6.0]])
    study.save_annotations("1.png", marks)
    (tmp_path / "images" / "1.png").unlink()
    cohort = gather(Study.open(study.folder), tmp_path)
    assert cohort.names == ("2.png", "second/1.png")
    assert cohort.paths[1].resolve() == (tmp_path / "second" / "1.png").resolve()


def test_a_later_file_of_the_folder_does_not_take_over_a_name(study, tmp_path):
    add(study, tmp_path, picture(tmp_path / "more" / "3.png"))
    later = picture(tmp_path / "images" / "3.png")
    with pytest.raises(
        InputError, match=r"images/3\.png: has the name of another image of the study, .*: rename"
    ):
        gather(Study.open(study.folder), tmp_path)
    later.rename(tmp_path / "images" / "new 3.png")
    assert gather(Study.open(study.folder), tmp_path).names == ("1.png", "2.png", "new 3.png", "3.png")


def test_an_image_that_is_moved_into_the_folder_stays_the_same(study, tmp_path):
    added = picture(tmp_path / "more" / "3.png")
    add(study, tmp_path, added)
    added.rename(tmp_path / "images" / "3.png")
    cohort = gather(Study.open(study.folder), tmp_path)
    assert cohort.names == ("1.png", "2.png", "3.png")
    assert not cohort.skipped_files


def test_names_stay_when_other_settings_change(study, tmp_path):
    add(study, tmp_path, picture(tmp_path / "second" / "1.png"))
    opened = Study.open(study.folder)
    opened.update(spacing=0.5)
    opened.update(extra=list(opened.extra))
    assert list(Study.open(study.folder).extra.values()) == ["second/1.png"]


def test_taken_out_with_its_predictions_and_never_what_a_person_did(study, tmp_path):
    paths = [picture(tmp_path / "more" / f"{number}.png") for number in range(3, 7)]
    add(study, tmp_path, *paths)
    marks = LandmarkSet.from_array(SCHEMA, [[1.0, 2.0], [3.0, 4.0]])
    study.save_annotations("3.png", marks)
    study.decide("4.png", ImageDecision.LEFT_OUT)
    for name in ("3.png", "5.png"):
        study.save_predictions(
            name, LandmarkSet.from_array(SCHEMA, [[1.0, 2.0], [3.0, 4.0]], Status.PREDICTED)
        )
    found = remove_images(study, ["1.png", "3.png", "4.png", "5.png", "6.png"])
    assert found.removed == ("5.png", "6.png")
    assert [name for name, _ in found.kept] == ["1.png", "3.png", "4.png"]
    assert gather(Study.open(study.folder), tmp_path).names == ("1.png", "2.png", "3.png", "4.png")
    assert set(study.predictions()) == {"3.png"}
    assert all(path.exists() for path in paths)
    assert remove_images(study, []).text == ""


def test_the_template_is_not_taken_out(study, tmp_path):
    add(study, tmp_path, picture(tmp_path / "more" / "3.png"))
    study.update(template="3.png")
    assert remove_images(study, ["3.png"]).text == "Not taken out: 3.png is the template."
