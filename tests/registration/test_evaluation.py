"""Evaluation of a perfect registration, of one that does nothing, and of tables of pairs."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.progress import CancelToken
from napari_landmark.registration import evaluation
from napari_landmark.registration.evaluation import evaluate_registration, read_pairs
from napari_landmark.registration.pairwise.header_alignment import header_alignment
from napari_landmark.registration.transform.transform import Transform

NAMES = ("a.png", "b.png", "c.png")
ROWS = {"a.png": 10, "b.png": 15, "c.png": 12}  # first row of the square in each
SCHEMA = LandmarkSchema(("corner", "other"))


@pytest.fixture
def data(tmp_path):
    """Squares at different heights, their label maps and their corners."""
    images, labels, landmarks = {}, {}, {}
    for name, row in ROWS.items():
        array = np.zeros((40, 40), np.uint8)
        array[row : row + 10, 10:20] = 200
        for folder, content in (("images", array), ("labels", array // 100)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(content).save(tmp_path / folder / name)
        images[name], labels[name] = tmp_path / "images" / name, tmp_path / "labels" / name
        landmarks[name] = LandmarkSet(
            SCHEMA, [Landmark("corner", (row, 10), Status.PLACED), Landmark("other", None, Status.MISSING)]
        )
    return SimpleNamespace(images=images, labels=labels, landmarks=landmarks)


def perfect(fixed, moving):
    step = 1.0 if fixed.geometry.spacing is None else fixed.geometry.spacing[0]
    transform = Transform.affine(
        np.eye(2),
        ((ROWS[moving.name] - ROWS[fixed.name]) * step, 0),
        fixed=fixed.geometry,
        moving=moving.geometry,
    )
    return SimpleNamespace(transform=transform, seconds=0.5)


def idle(fixed, moving):
    return SimpleNamespace(transform=header_alignment(fixed.geometry, moving.geometry), seconds=0.1)


PAIRS = [("a.png", "b.png"), ("a.png", "c.png")]


class TestEvaluation:
    def test_a_perfect_registration(self, data):
        result = evaluate_registration(
            perfect, PAIRS, data.images, labels=data.labels, landmarks=data.landmarks, spacing=0.5
        )
        assert result.to_json() == {
            "dice_before": pytest.approx((0.5 + 0.8) / 2),
            "dice": 1,
            "dice_per_label": {"2": 1},
            "tre_before_mm": pytest.approx((2.5 + 1) / 2, abs=1e-4),
            "tre_mm": pytest.approx(0, abs=1e-4),
            "tre_before_px": pytest.approx((5 + 2) / 2, abs=1e-4),
            "tre_px": pytest.approx(0, abs=1e-4),
            "folding_percent": 0,
            "seconds_per_pair": 0.5,
            "n_pairs": 2,
        }
        assert (result.n_pairs_with_labels, result.n_landmarks, result.n_lost) == (2, 2, 0)

    def test_no_registration(self, data):
        result = evaluate_registration(idle, PAIRS, data.images, labels=data.labels, landmarks=data.landmarks)
        assert result.dice == result.dice_before
        assert result.tre_px == result.tre_before_px == pytest.approx(3.5, abs=1e-4)
        assert (result.tre_mm, result.tre_before_mm) == (None, None)

    def test_a_registration_the_wrong_way_round_is_worse(self, data):
        def reversed_(fixed, moving):
            return SimpleNamespace(
                transform=dataclasses.replace(
                    perfect(moving, fixed).transform, fixed=fixed.geometry, moving=moving.geometry
                ),
                seconds=0,
            )

        result = evaluate_registration(
            reversed_, PAIRS, data.images, labels=data.labels, landmarks=data.landmarks
        )
        assert result.tre_px == pytest.approx(7, abs=1e-4)
        assert result.dice < result.dice_before

    def test_label_maps_of_some_images(self, data):
        del data.labels["c.png"]
        result = evaluate_registration(perfect, PAIRS, data.images, labels=data.labels)
        assert (result.n_pairs, result.n_pairs_with_labels) == (2, 1)
        assert result.dice_before == pytest.approx(0.5)
        assert (result.tre_px, result.n_landmarks) == (None, 0)

    def test_without_labels_and_landmarks(self, data):
        result = evaluate_registration(perfect, PAIRS, data.images)
        assert (result.dice, result.dice_per_label, result.tre_px) == (None, {}, None)
        assert result.folding_percent == 0

    def test_labels_that_one_pair_lacks(self, data):
        Image.fromarray(np.where(np.arange(40)[:, None] < 3, 9, np.zeros((40, 40))).astype(np.uint8)).save(
            data.labels["c.png"]
        )
        result = evaluate_registration(idle, PAIRS, data.images, labels=data.labels)
        assert result.dice_per_label == {2: pytest.approx(0.25), 9: 0}
        assert result.dice == pytest.approx((0.5 + 0) / 2)

    def test_an_image_of_successive_pairs_is_read_once(self, data, monkeypatch):
        read = []
        honest = evaluation.read_image

        def counting(path, **options):
            read.append(path.name)
            return honest(path, **options)

        monkeypatch.setattr(evaluation, "read_image", counting)
        evaluate_registration(idle, PAIRS, data.images)
        assert read == ["a.png", "b.png", "c.png"]

    def test_progress_and_cancel(self, data):
        cancel, events = CancelToken(), []

        def progress(event):
            events.append(event.fraction)
            if event.step == 1:
                cancel.cancel()

        result = evaluate_registration(
            idle, [*PAIRS, ("b.png", "c.png")], data.images, progress=progress, cancel=cancel
        )
        assert result.cancelled
        assert result.n_pairs == 2
        assert events == [0, pytest.approx(1 / 3)]
        whole = evaluate_registration(
            idle, PAIRS, data.images, progress=lambda event: events.append(event.fraction)
        )
        assert not whole.cancelled
        assert events[-1] == 1

    def test_a_label_map_of_another_size(self, data):
        Image.fromarray(np.zeros((30, 40), np.uint8)).save(data.labels["b.png"])
        with pytest.raises(InputError, match=r"b.png: has 40 x 30 pixels and its image 40 x 40"):
            evaluate_registration(idle, PAIRS, data.images, labels=data.labels)

    def test_landmarks_of_a_volume(self, data):
        data.landmarks["b.png"] = LandmarkSet(SCHEMA, [Landmark("corner", (1, 2, 3), Status.PLACED)])
        with pytest.raises(InputError, match=r"b.png: its landmarks have 3 coordinates and the image 2 axes"):
            evaluate_registration(idle, PAIRS, data.images, landmarks=data.landmarks)


class TestPairs:
    def read(self, tmp_path, text, names=NAMES):
        (tmp_path / "pairs.csv").write_text(text, encoding="utf-8")
        return read_pairs(tmp_path / "pairs.csv", names)

    @pytest.mark.parametrize(
        "text",
        [
            "fixed,moving\na.png,b.png\na.png,c.png\n",
            "\ufefffixed;moving\r\na.png;b.png\r\n\r\na.png;c.png\r\n",
            "number\tMoving\tFixed\n1\tb.png\ta.png\n2\tc\tA.PNG\n",
            "fixed,moving\nimages/a.png,b\na.png, c.png ",
        ],
    )
    def test_tables(self, tmp_path, text):
        assert self.read(tmp_path, text) == PAIRS

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "holds no pairs"),
            ("fixed,moving\n", "holds no pairs"),
            ("a.png,b.png\n", "line 1: the first line must name the columns fixed,moving"),
            (
                "fixed,moving\na.png,nothing.png\n",
                r"line 2: there is no image 'nothing.png' \(there is e.g. 'a.png'",
            ),
            ("fixed,moving\na.png\n", "line 2: a name is missing"),
            ("fixed,moving\na.png,a.png\n", "line 2: a.png cannot be registered to itself"),
            ('fixed,moving\n"a.png,b.png\n', "is not a readable row"),
        ],
    )
    def test_mistakes(self, tmp_path, text, message):
        with pytest.raises(InputError, match=message) as caught:
            self.read(tmp_path, text)
        assert "pairs.csv" in str(caught.value)

    def test_a_name_that_means_two_images(self, tmp_path):
        with pytest.raises(InputError, match=r"line 2: 'a' may be the image a.png or a.tif"):
            self.read(tmp_path, "fixed,moving\nb.png,a\n", ("a.png", "a.tif", "b.png"))

    def test_no_such_file(self, tmp_path):
        with pytest.raises(InputError, match="there is no such file"):
            read_pairs(tmp_path / "pairs.csv", NAMES)
