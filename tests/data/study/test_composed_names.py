"""Names with composed and with decomposed letters (NFC, NFD) are one image and one landmark, everywhere."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import list_files
from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.file_stem import earlier_file_stem
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet
from napari_landmark.data.study.creation import create_study, read_template_landmarks
from napari_landmark.data.study.study import Study


def apart(name):
    return unicodedata.normalize("NFD", name)


IMAGE, POINT = "Müller.png", "épine"
SCHEMA = LandmarkSchema((POINT,))
MARKS = LandmarkSet(SCHEMA, [Landmark(POINT, (3, 4), "placed")])


@pytest.fixture
def folder(tmp_path):
    """An image whose name a Mac took apart."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(tmp_path / "images" / apart(IMAGE))
    return tmp_path / "images"


def test_a_table_of_another_computer(folder, tmp_path):
    table = tmp_path / "points.csv"
    table.write_text(f"image,landmark,x,y\n{IMAGE},{POINT},4,3\n", encoding="utf-8")
    cohort = Cohort.from_folder(folder, cache_dir=tmp_path / "cache")
    assert cohort.names == (IMAGE,)
    assert cohort.index(apart(IMAGE)) == cohort.index(IMAGE) == 0
    annotated = read_template_landmarks([folder / apart(IMAGE)], table)
    study = create_study(tmp_path / "study", cohort, images=folder, annotations=annotated)
    assert study.template == IMAGE
    assert study.load_annotations(IMAGE) == study.load_annotations(apart(IMAGE)) == MARKS
    assert FolderGeometries(folder)[IMAGE].shape == (40, 40)


@pytest.mark.parametrize("spelled", [IMAGE, apart(IMAGE)])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "image,landmark,x,y\n{image},{point},4,3\n"),
        ("p.tps", "LM=1\n4 36\nIMAGE={image}\n"),
        ("p.dlc.csv", "scorer,a,a\nbodyparts,{point},{point}\ncoords,x,y\n{image},4,3\n"),
        (
            "p.json",
            '{{"images": [{{"id": 1, "file_name": "{image}"}}], "categories": [{{"id": 1, "keypoints": '
            '["{point}"]}}], "annotations": [{{"image_id": 1, "category_id": 1, "keypoints": [4, 3, 2]}}]}}',
        ),
    ],
)
def test_every_format(folder, tmp_path, spelled, name, text):
    point = unicodedata.normalize("NFD" if spelled != IMAGE else "NFC", POINT)
    (tmp_path / name).write_text(text.format(image=spelled, point=point), encoding="utf-8")
    found = read_landmarks(tmp_path / name, schema=SCHEMA, geometries=FolderGeometries(folder))
    assert found == {IMAGE: MARKS}


def test_a_study_of_an_earlier_version(tmp_path):
    """Its files are called after the decomposed name; the next saving renames them."""
    study = Study.create(tmp_path, schema=SCHEMA)
    study.save_annotations(IMAGE, MARKS)
    (current,) = (tmp_path / "annotations").glob("*.csv")
    earlier = current.with_name(f"{earlier_file_stem(IMAGE)}.csv")
    current.rename(earlier)
    earlier.write_text(apart(earlier.read_text(encoding="utf-8")), encoding="utf-8")
    assert study.load_annotations(IMAGE) == MARKS
    assert study.annotations() == {IMAGE: MARKS}
    moved = LandmarkSet(SCHEMA, [Landmark(POINT, (5, 6), "corrected")])
    study.save_annotations(IMAGE, moved)
    assert study.annotations() == {IMAGE: moved}
    assert list((tmp_path / "annotations").glob("*.csv")) == [current]


def test_two_images_whose_names_look_alike(folder):
    (folder / IMAGE).write_bytes((folder / apart(IMAGE)).read_bytes())
    if len(list(folder.iterdir())) == 1:
        pytest.skip("this file system takes both names for one")
    with pytest.raises(InputError, match=r"two images called .*: rename one"):
        list_files(folder, ())
