"""Registration network."""

import pytest
import torch

from napari_landmark.registration.networks.registration_network import (
    NetworkConfig,
    RegistrationNetwork,
    compose_alignment,
    fit_affine,
)
from napari_landmark.registration.transform.fields_torch import affine_displacement, centred_positions

TINY = (8, 8, 8, 8, 8)


class TestNetwork:
    @pytest.mark.parametrize(("dims", "regions"), [(2, 0), (2, 2), (3, 1)])
    def test_is_the_identity_before_training(self, dims, regions):
        torch.manual_seed(0)
        network = RegistrationNetwork(NetworkConfig(dims, regions, channels=TINY)).eval()
        shape = (64,) * dims if dims == 2 else (32,) * dims
        fixed, moving = torch.rand(2, 2, 1 + regions, *shape)
        moving[:, 1:] = fixed[:, 1:]
        with torch.no_grad():
            found = network(fixed, moving)
        assert found.displacement.shape == (2, dims, *shape)
        assert float(found.displacement.abs().max()) < 0.2
        torch.testing.assert_close(found.matrix, torch.eye(dims).expand(2, dims, dims), atol=0.01, rtol=0)

    def test_is_initialized_by_the_regions(self):
        network = RegistrationNetwork(NetworkConfig(2, 1, channels=TINY)).eval()
        fixed, moving = torch.zeros(2, 1, 2, 64, 64)
        fixed[:, 1, 10:20, 10:20] = 1
        moving[:, 1, 30:40, 14:24] = 1
        with torch.no_grad():
            found = network(fixed, moving)
        torch.testing.assert_close(
            found.displacement[0, :, 15, 15], torch.tensor([20.0, 4.0]), atol=0.3, rtol=0
        )

    def test_positions_keep_their_digits_in_reduced_precision(self):
        network = RegistrationNetwork(NetworkConfig(2, 0, channels=TINY)).eval()
        images = torch.rand(2, 1, 1, 64, 64)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            found = network(*images)
        again = compose_alignment(found.matrix, found.shift, found.velocity, (64, 64))
        assert found.matrix.dtype == found.displacement.dtype == torch.float32
        torch.testing.assert_close(found.displacement, again.displacement)

    def test_every_part_learns(self):
        network = RegistrationNetwork(NetworkConfig(2, 1, channels=TINY))
        found = network(*torch.rand(2, 2, 2, 64, 64))
        found.displacement.square().sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


class TestFitAffine:
    @pytest.mark.parametrize("dims", [2, 3])
    def test_recovers_a_map_nearly(self, dims):
        # Nearly: it is regularized towards the identity.
        matrix = torch.eye(dims)[None] * 1.1
        shift = torch.full((1, dims), 3.0)
        cells = affine_displacement(matrix, shift / 8, (8,) * dims) * 8
        found, moved = fit_affine(cells, torch.zeros(1, *[8] * dims), 8)
        torch.testing.assert_close(found, matrix, atol=0.02, rtol=0)
        torch.testing.assert_close(moved, shift, atol=0.2, rtol=0)

    def test_heavy_cells_decide(self):
        cells = torch.zeros(1, 2, 8, 8)
        cells[:, 0, :, 4:] = 16  # two cells down, in the right half
        weight = torch.full((1, 8, 8), -20.0)
        weight[..., :4] = 5
        matrix, shift = fit_affine(cells, weight, 8)
        mapped = (
            torch.einsum("ij,...j->...i", matrix[0] - torch.eye(2), centred_positions((8, 8)) * 8) + shift[0]
        )
        assert float(mapped[:, :4].abs().max()) < 0.5


class TestComposition:
    def test_without_diffeomorphism_the_output_is_the_displacement(self):
        velocity = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
        matrix, shift = torch.eye(2)[None], torch.zeros(1, 2)
        found = compose_alignment(matrix, shift, velocity, (8, 8), diffeomorphic=False)
        torch.testing.assert_close(found.smooth, velocity)
        torch.testing.assert_close(found.displacement, velocity)
