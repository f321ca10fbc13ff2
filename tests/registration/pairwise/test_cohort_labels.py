"""All images of a cohort get a label map, by those that have one."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_geometry
from napari_landmark.metrics import dice
from napari_landmark.progress import CancelToken
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.options import PairOptions
from napari_landmark.registration.pairwise import cohort_labels
from napari_landmark.registration.pairwise.cohort_labels import LabelledCohort, label_cohort
from napari_landmark.registration.pairwise.label_fusion import FusedLabels

QUICK = PairOptions(device="cpu", working_size=128, steps=30)


@pytest.fixture
def images(data):
    return {path.name: path for path in sorted((data / "images").iterdir())}


@pytest.fixture
def drawn_maps(phantoms, tmp_path, images):
    """Label maps of the first three hands, as files."""
    from PIL import Image

    folder = tmp_path / "given"
    folder.mkdir()
    for phantom in phantoms[:3]:
        Image.fromarray(phantom.labels).save(folder / phantom.image.name)
    return {phantom.image.name: folder / phantom.image.name for phantom in phantoms[:3]}


@pytest.fixture
def instant(monkeypatch):
    """Segmentation that returns the map of the first atlas; the names of its images and atlases."""
    calls = []

    def segment(image, atlases, *, cancel=None, **options):
        calls.append((image.name, [atlas.image.name for atlas in atlases]))
        if cancel is not None and cancel.cancelled:
            return None
        return FusedLabels(atlases[0].labels, np.full(atlases[0].labels.shape, 0.75, np.float32))

    monkeypatch.setattr(cohort_labels, "segment_by_atlases", segment)
    return calls


def table(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_other_image_is_labelled_and_the_overlap_told(images, drawn_maps, phantoms, tmp_path):
    cohort = LabelledCohort(images=images, labels=drawn_maps)
    found = label_cohort(cohort, tmp_path / "out", options=QUICK)
    last = phantoms[3]
    made = read_label_map(tmp_path / "out" / "hand_003.nrrd", read_geometry(images[last.image.name]))
    overlap = np.mean(list(dice(last.labels, made).values()))
    before = [np.mean(list(dice(last.labels, other.labels).values())) for other in phantoms[:3]]
    assert overlap > max(before) + 0.1
    assert list(found.agreement) == [last.image.name]
    assert not found.problems
    assert not found.cancelled
    assert 0.2 < np.mean(list(found.expected_dice.values())) < 1
    assert {int(row["label"]) for row in table(tmp_path / "out" / "held_out.csv")} == set(found.expected_dice)


def test_each_labelled_image_is_checked_by_the_others(images, drawn_maps, tmp_path, instant):
    label_cohort(LabelledCohort(images=images, labels=drawn_maps), tmp_path / "out")
    names = list(drawn_maps)
    assert instant[0] == ("hand_003.png", names)
    assert instant[1:] == [(name, [other for other in names if other != name]) for name in names]


def test_no_check_with_two_label_maps_or_on_request(images, drawn_maps, tmp_path, instant):
    two = dict(list(drawn_maps.items())[:2])
    assert not label_cohort(LabelledCohort(images=images, labels=two), tmp_path / "two").expected_dice
    without = label_cohort(LabelledCohort(images=images, labels=drawn_maps), tmp_path / "no", check=False)
    assert not without.expected_dice
    assert not (tmp_path / "no" / "held_out.csv").exists()


def test_what_is_finished_is_kept(images, drawn_maps, tmp_path, instant):
    one = {name: path for name, path in list(drawn_maps.items())[:1]}
    cohort, cancel = LabelledCohort(images=images, labels=one), CancelToken()
    honest = cohort_labels.segment_by_atlases

    def stop_in_the_second(image, atlases, **options):
        if image.name == "hand_002.png":
            cancel.cancel()
        return honest(image, atlases, **options)

    cohort_labels.segment_by_atlases = stop_in_the_second
    out = tmp_path / "out"
    found = label_cohort(cohort, out, cancel=cancel)
    assert found.cancelled
    assert list(found.agreement) == ["hand_001.png"]
    assert not (out / "hand_002.nrrd").exists()
    cohort_labels.segment_by_atlases = honest
    instant.clear()
    again = label_cohort(cohort, out)
    assert [name for name, _ in instant] == ["hand_002.png", "hand_003.png"]
    assert again.agreement == dict.fromkeys(["hand_001.png", "hand_002.png", "hand_003.png"], 0.75)
    assert [row["agreement"] for row in table(out / "labels.csv")] == ["0.75"] * 3
    with pytest.raises(InputError, match="holds label maps with other settings"):
        label_cohort(LabelledCohort(images=images, labels=drawn_maps), out)


def test_a_map_that_was_drawn_anew_is_not_mixed_with_the_former(images, drawn_maps, tmp_path, instant):
    from PIL import Image

    cohort = LabelledCohort(images=images, labels=drawn_maps)
    label_cohort(cohort, tmp_path / "out", check=False)
    path = next(iter(drawn_maps.values()))
    changed = np.array(Image.open(path))
    changed[0, 0] = changed.max()
    Image.fromarray(changed).save(path)
    with pytest.raises(InputError, match=r"holds label maps with other settings \(labelled\)"):
        label_cohort(cohort, tmp_path / "out", check=False)


def test_a_table_that_somebody_changed_is_made_anew(images, drawn_maps, tmp_path, instant):
    cohort = LabelledCohort(images=images, labels=drawn_maps)
    first = label_cohort(cohort, tmp_path / "out")
    for name in ("labels.csv", "held_out.csv"):
        path = tmp_path / "out" / name
        path.write_text(path.read_text().replace("0.", "about 0."))
    assert label_cohort(cohort, tmp_path / "out") == first


def test_an_image_that_cannot_be_read_is_named(images, drawn_maps, tmp_path, instant):
    images["hand_003.png"].write_bytes(b"no image")
    found = label_cohort(LabelledCohort(images=images, labels=drawn_maps), tmp_path / "out", check=False)
    assert list(found.problems) == ["hand_003.png"]
    assert table(tmp_path / "out" / "labels.csv")[0]["problem"] == found.problems["hand_003.png"]


def test_mistakes_are_told(images, drawn_maps, tmp_path, instant):
    with pytest.raises(InputError, match="draw that of one image at least"):
        LabelledCohort(images=images, labels={})
    with pytest.raises(InputError, match="would have one name"):
        LabelledCohort(images={"a.png": tmp_path, "a.jpg": tmp_path}, labels=drawn_maps)
    given = next(iter(drawn_maps.values())).parent
    cohort = LabelledCohort(images=images, labels=drawn_maps)
    with pytest.raises(InputError, match="holds the label maps that were given"):
        label_cohort(cohort, given)
    full = LabelledCohort(images={name: images[name] for name in drawn_maps}, labels=drawn_maps)
    with pytest.raises(InputError, match="all 3 images have a label map"):
        label_cohort(full, tmp_path / "out")
    assert not (tmp_path / "out").exists()
