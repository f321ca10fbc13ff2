"""Dice of label maps equals that of their probabilities, in value and gradient."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.registration.label_overlap import (
    WarpedLabelMaps,
    label_centroids,
    label_overlap_loss,
    most_common,
)
from napari_landmark.registration.transform.fields_torch import positions, warp

WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


def maps(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    fixed, moving = (torch.randint(0, 4, shape, generator=generator) for _ in range(2))
    displacement = torch.randn(1, len(shape), *shape, generator=generator, dtype=torch.float64)
    return fixed, moving, displacement


def by_probabilities(fixed, moving, displacement):
    one, two = ((part == torch.arange(1, 4).view(3, *[1] * part.ndim)).double() for part in (fixed, moving))
    warped = warp(two[None], displacement)[0]
    common, size = ((values.flatten(1)).sum(1) for values in (one * warped, one + warped))
    return 1 - (WEIGHTS * 2 * common / size).sum() / WEIGHTS.sum()


@pytest.mark.parametrize("shape", [(9, 7), (6, 5, 7)])
def test_is_that_of_probabilities(shape):
    fixed, moving, displacement = maps(shape)
    losses, gradients = [], []
    for compute in (
        lambda field: label_overlap_loss(WarpedLabelMaps(fixed, moving, positions(field)[0]), WEIGHTS),
        lambda field: by_probabilities(fixed, moving, field),
    ):
        field = displacement.clone().requires_grad_()
        loss = compute(field)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(field.grad)
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)


def test_equal_maps_overlap_and_missing_regions_do_not_count():
    fixed = torch.zeros(8, 8, dtype=torch.int64)
    fixed[2:5, 2:6] = 2
    still = positions(torch.zeros(1, 2, 8, 8))[0]
    assert float(label_overlap_loss(WarpedLabelMaps(fixed, fixed, still), WEIGHTS)) == pytest.approx(0)
    empty = torch.zeros_like(fixed)
    assert float(label_overlap_loss(WarpedLabelMaps(empty, fixed, still), WEIGHTS)) == 0


def test_most_common_label_of_blocks():
    labels = torch.tensor([[1, 1, 2, 3], [0, 2, 3, 2], [5, 5, 7, 7], [5, 5, 7, 0]])
    assert most_common(labels, 2).tolist() == [[1, 2], [5, 7]]
    assert most_common(labels, 1) is labels


def test_centroids_from_the_centre():
    labels = torch.zeros(9, 5, dtype=torch.int64)
    labels[1:3, 0:2] = 1
    labels[8, 4] = 3
    centroids, sizes = label_centroids(labels, 3)
    assert sizes.tolist() == [4, 0, 1]
    assert centroids[0].tolist() == [-2.5, -1.5]
    assert centroids[2].tolist() == [4, 2]


def test_nearest_region():
    _, moving, _ = maps((6, 6))
    found = WarpedLabelMaps(moving, moving, positions(torch.full((1, 2, 6, 6), 0.6))[0]).nearest()
    assert torch.equal(found[:5, :5], moving[1:, 1:])
