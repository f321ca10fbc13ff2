"""Many images are registered to one, each into a folder; what is finished is kept."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.progress import CancelToken
from napari_landmark.registration.pairwise import cohort_registration
from napari_landmark.registration.pairwise.cohort_registration import CohortImages, register_cohort
from napari_landmark.registration.transform.transform import Transform

FIXED = "hand_000.png"


@pytest.fixture
def images(data):
    return {path.name: path for path in sorted((data / "images").iterdir())}


@pytest.fixture
def calls(monkeypatch):
    """Names of the images that are registered, in the order of the work."""
    honest, names = cohort_registration.register_pair, []

    def spy(fixed, moving, **options):
        names.append(moving.name)
        return honest(fixed, moving, **options)

    monkeypatch.setattr(cohort_registration, "register_pair", spy)
    return names


def rows(out):
    with (out / "registrations.csv").open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def test_each_image_gets_a_folder_and_a_row(images, data, tmp_path):
    truth = read_landmarks(data / "truth.csv")
    cohort = CohortImages(fixed=FIXED, images=images, landmarks=truth)
    found = register_cohort(cohort, tmp_path / "out", device="cpu", steps=8)
    others = [name for name in images if name != FIXED]
    assert list(found.measures) == others == list(rows(tmp_path / "out"))
    assert not found.problems
    assert not found.cancelled
    for name in others:
        row = rows(tmp_path / "out")[name]
        assert float(row["correlation"]) > float(row["correlation_before"])
        assert float(row["tre_px"]) < float(row["tre_before_px"])
        transform = Transform.load(tmp_path / "out" / name / "transform.nrrd")
        carried = read_landmarks(tmp_path / "out" / name / "warped_landmarks.csv")[FIXED]
        mark = next(mark for mark in carried.values() if mark.position is not None)
        there = transform.to_moving([mark.position])[0]
        np.testing.assert_allclose(there, truth[name][mark.name].position, atol=0.05)


def test_what_is_finished_is_kept(images, tmp_path, calls):
    cohort, cancel = CohortImages(fixed=FIXED, images=images), CancelToken()

    def stop_in_the_second(event):
        if event.step == 1:
            cancel.cancel()

    options = {"device": "cpu", "steps": 2}
    found = register_cohort(cohort, tmp_path, progress=stop_in_the_second, cancel=cancel, **options)
    assert found.cancelled
    assert list(found.measures) == ["hand_001.png"]
    assert not (tmp_path / "hand_002.png").exists()
    calls.clear()
    again = register_cohort(cohort, tmp_path, **options)
    assert calls == ["hand_002.png", "hand_003.png"]
    assert list(again.measures) == ["hand_001.png", "hand_002.png", "hand_003.png"]
    with pytest.raises(InputError, match=r"holds registrations with other settings \(steps 2, now 3\)"):
        register_cohort(cohort, tmp_path, device="cpu", steps=3)


def test_what_has_changed_is_registered_again(images, data, tmp_path, calls):
    truth, out, options = read_landmarks(data / "truth.csv"), tmp_path / "out", {"device": "cpu", "steps": 1}
    others = [name for name in images if name != FIXED]

    def again(landmarks):
        calls.clear()
        register_cohort(CohortImages(fixed=FIXED, images=images, landmarks=landmarks), out, **options)
        return list(calls)

    assert again(truth) == others
    assert again(truth) == []
    images[others[1]].touch()
    assert again(truth) == [others[1]]
    moved = {**truth, others[0]: truth[others[2]]}
    assert again(moved) == [others[0]]
    assert again({**moved, FIXED: truth[others[0]]}) == others
    assert again({**moved, FIXED: truth[others[0]]}) == []


def test_an_image_that_cannot_be_read_is_named_and_the_others_go_on(images, data, tmp_path):
    (data / "images" / "hand_002.png").write_bytes(b"no picture")
    images["gone.png"] = data / "images" / "gone.png"
    found = register_cohort(CohortImages(fixed=FIXED, images=images), tmp_path, device="cpu", steps=1)
    assert list(found.measures) == ["hand_001.png", "hand_003.png"]
    assert set(found.problems) == {"hand_002.png", "gone.png"}
    assert rows(tmp_path)["hand_002.png"]["problem"]
    assert not found.cancelled


def test_nothing_to_register(images, tmp_path):
    with pytest.raises(InputError, match="there is no such image among the 4"):
        register_cohort(CohortImages(fixed="x.png", images=images), tmp_path)
    with pytest.raises(InputError, match="is the only image"):
        register_cohort(CohortImages(fixed=FIXED, images={FIXED: images[FIXED]}), tmp_path)
