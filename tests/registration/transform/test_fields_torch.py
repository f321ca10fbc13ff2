"""Displacement fields as tensors."""

import math

import numpy as np
import pytest
import torch

from napari_landmark.registration.transform.fields_torch import (
    affine_after_field,
    affine_displacement,
    compose,
    compose_affine,
    integrate,
    jacobian_determinant,
    resize_field,
    warp,
)

SHAPES = [(24, 32), (24, 28, 32)]


def smooth(shape, strength, seed=0):
    """A smooth field of one batch."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, len(shape), *[4] * len(shape), generator=generator) * strength
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    return torch.nn.functional.interpolate(coarse, size=shape, mode=mode, align_corners=True)


def inner(values, margin=4):
    return values[(..., *[slice(margin, -margin)] * (values.ndim - 2))]


class TestWarp:
    def test_pulls_back(self):
        image = torch.zeros(1, 1, 10, 12)
        image[0, 0, 6, 4] = 1
        shift = torch.zeros(1, 2, 10, 12)
        shift[:, 0], shift[:, 1] = 2, -3
        found = warp(image, shift)
        assert found[0, 0, 4, 7] == pytest.approx(1)  # (4, 7) of the fixed maps to (6, 4) of the moving image
        assert float(found.sum()) == pytest.approx(1)


class TestAffine:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_keeps_the_centre_and_adds_the_shift(self, shape):
        dims = len(shape)
        matrix = torch.eye(dims)[None] * 1.5
        field = affine_displacement(matrix, torch.full((1, dims), 2.0), shape)
        first = field[(0, slice(None), *[0] * dims)]
        expected = torch.tensor([-(n - 1) / 4 + 2 for n in shape])
        torch.testing.assert_close(first, expected)

    def test_after_a_field(self):
        angle = math.radians(30)
        turn = torch.tensor([[[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]])
        shift, field = torch.tensor([[1.0, -2.0]]), smooth((24, 32), 2)
        whole = affine_after_field(field, turn, shift)
        expected = compose(field, affine_displacement(turn, shift, (24, 32)))
        torch.testing.assert_close(inner(whole, 8), inner(expected, 8), atol=1e-3, rtol=0)

    def test_two_in_a_row(self):
        chance = torch.Generator().manual_seed(0)
        maps = [
            (torch.randn(1, 2, 2, generator=chance), torch.randn(1, 2, generator=chance)) for _ in range(2)
        ]
        matrix, shift = compose_affine(*maps)
        point = torch.tensor([3.0, -7.0])
        once = maps[0][0][0] @ point + maps[0][1][0]
        torch.testing.assert_close(matrix[0] @ point + shift[0], maps[1][0][0] @ once + maps[1][1][0])


class TestIntegrate:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_negative_velocity_is_the_inverse(self, shape):
        velocity = smooth(shape, 1.0)
        forward, backward = integrate(velocity), integrate(-velocity)
        largest = float(inner(forward).abs().max())
        assert largest > 0.5
        # Every composition interpolates: what remains is that, not the integration.
        assert float(inner(compose(forward, backward)).abs().max()) < 0.1 * largest

    def test_a_constant_velocity_is_a_shift(self):
        velocity = torch.full((1, 2, 16, 16), 1.25)
        torch.testing.assert_close(integrate(velocity), velocity)

    def test_has_no_folds(self):
        assert float(jacobian_determinant(integrate(smooth((48, 48), 4))).min()) > 0


class TestJacobian:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_of_affine_maps(self, shape):
        dims = len(shape)
        matrix = torch.eye(dims) + 0.2 * torch.randn(dims, dims, generator=torch.Generator().manual_seed(1))
        field = affine_displacement(matrix[None], torch.zeros(1, dims), shape)
        determinant = jacobian_determinant(field)
        assert determinant.shape == (1, *[n - 1 for n in shape])
        np.testing.assert_allclose(determinant.numpy(), float(torch.linalg.det(matrix)), rtol=1e-4)

    def test_of_a_mirror_is_negative(self):
        field = affine_displacement(torch.tensor([[[-1.0, 0], [0, 1]]]), torch.zeros(1, 2), (8, 8))
        assert float(jacobian_determinant(field).max()) < 0


class TestResize:
    def test_the_map_stays(self):
        matrix = torch.eye(2)[None] * 1.2
        coarse = affine_displacement(matrix, torch.zeros(1, 2), (16, 24))
        fine = affine_displacement(matrix, torch.zeros(1, 2), (32, 48))
        torch.testing.assert_close(inner(resize_field(coarse, (32, 48))), inner(fine), atol=1e-4, rtol=0)
