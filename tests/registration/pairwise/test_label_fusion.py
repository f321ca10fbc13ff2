"""Label maps are fused by votes; images that look like the target count more where they do."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.metrics import dice
from napari_landmark.registration.pairwise import label_fusion
from napari_landmark.registration.pairwise.label_fusion import fuse_labels, local_likeness


@pytest.fixture
def texture(drawn):
    return drawn.texture((48, 40)).astype(np.float32)


def square(top):
    labels = np.zeros((48, 40), np.uint8)
    labels[top : top + 16, 12:28] = 3
    return labels


def test_the_majority_of_equal_images_wins(texture):
    fused = fuse_labels(texture, [texture] * 3, [square(16), square(16), square(20)])
    np.testing.assert_array_equal(fused.labels, square(16))
    assert fused.labels.dtype == np.uint8
    assert fused.agreement[24, 20] == pytest.approx(1)
    assert fused.agreement[16, 20] == pytest.approx(2 / 3)
    assert 2 / 3 < fused.mean_agreement < 1


def test_one_image_that_fits_outvotes_two_that_do_not(texture, drawn):
    strangers = [drawn.texture((48, 40), seed) for seed in (5, 6)]
    fused = fuse_labels(texture, [texture, *strangers], [square(16), square(20), square(20)])
    assert dice(square(16), fused.labels)[3] > 0.98
    assert dice(square(16), square(20))[3] < 0.8


def test_an_image_counts_where_it_fits(texture, drawn):
    stranger = drawn.texture((48, 40), 5).astype(np.float32)
    half = np.where(np.arange(40) < 20, texture, stranger)
    other = np.where(np.arange(40) < 20, stranger, texture)
    weights = local_likeness(texture, half)
    assert weights[8:40, 8:14].mean() > 2 * weights[8:40, 26:32].mean()
    left, right = np.full((48, 40), 1), np.full((48, 40), 2)
    fused = fuse_labels(texture, [half, other], [left, right]).labels
    assert (fused[8:40, 6:14] == 1).mean() > 0.95
    assert (fused[8:40, 26:34] == 2).mean() > 0.95


def test_contrast_does_not_matter(texture):
    np.testing.assert_allclose(
        local_likeness(texture, texture), local_likeness(texture, 70 * texture - 4000), atol=1e-3
    )


def test_slabs_give_the_same(monkeypatch, texture, drawn):
    images = [drawn.texture((48, 40), seed) for seed in (1, 2, 3)]
    labels = [square(top) for top in (14, 16, 19)]
    whole = fuse_labels(texture, images, labels)
    monkeypatch.setattr(label_fusion, "_AT_ONCE", 200)
    parts = fuse_labels(texture, images, labels)
    np.testing.assert_array_equal(whole.labels, parts.labels)
    np.testing.assert_array_equal(whole.agreement, parts.agreement)


def test_images_without_contrast_vote_alike():
    flat = np.zeros((12, 12), np.float32)
    maps = [np.full((12, 12), value) for value in (2, 5, 5)]
    fused = fuse_labels(flat, [flat] * 3, maps)
    assert (fused.labels == 5).all()
    empty = fuse_labels(flat, [flat], [np.zeros((12, 12), np.uint8)])
    assert empty.mean_agreement is None


def test_what_does_not_fit_together_is_refused(texture):
    with pytest.raises(ValueError, match="0 label maps of 0 images"):
        fuse_labels(texture, [], [])
    with pytest.raises(ValueError, match="1 label maps of 2 images"):
        fuse_labels(texture, [texture, texture], [square(16)])
    with pytest.raises(ValueError, match="other shapes"):
        fuse_labels(texture, [texture], [square(16)[:-1]])
