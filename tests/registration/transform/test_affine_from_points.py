import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_landmark.registration.transform.affine_from_points import affine_from_points, region_affine
from napari_landmark.registration.transform.fields_torch import affine_displacement, centred_positions, warp


def blobs(centres: torch.Tensor, shape: tuple[int, ...], radius: float = 4.0) -> torch.Tensor:
    """(1, regions, *shape) balls about centres (regions, d), relative to the centre of the grid."""
    grid = centred_positions(shape)
    distance = (grid - centres.view(-1, *[1] * len(shape), len(shape))).norm(dim=-1)
    return torch.sigmoid(2 * (radius - distance))[None]


CENTRES = {
    2: torch.tensor([[-20.0, -10.0], [15.0, -12.0], [4.0, 20.0], [-14.0, 15.0]]),
    3: torch.tensor([[-12.0, -8, 2], [10, -9, -7], [4, 12, 5], [-8, 9, -10], [6, -3, 11]]),
}


class TestRegionAffine:
    @pytest.mark.parametrize("degrees", [0, 25, 120, 180])
    def test_recovers_a_rotation_however_far(self, degrees):
        turn = math.radians(degrees)
        matrix = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * 1.1
        shift = torch.tensor([6.0, -4.0])
        fixed = blobs(CENTRES[2], (96, 96))
        moving = blobs(CENTRES[2] @ matrix.T + shift, (96, 96))
        found, moved = region_affine(fixed, moving)
        ends = CENTRES[2] @ found[0].T + moved[0]
        torch.testing.assert_close(ends, CENTRES[2] @ matrix.T + shift, atol=1, rtol=0)
        seen = warp(moving, affine_displacement(found, moved, (96, 96)))
        assert float(((seen > 0.5) == (fixed > 0.5)).float().mean()) > 0.99

    def test_volumes(self):
        shift = torch.tensor([5.0, -3.0, 2.0])
        found, moved = region_affine(
            blobs(CENTRES[3], (48, 48, 48)), blobs(CENTRES[3] * 0.9 + shift, (48, 48, 48))
        )
        torch.testing.assert_close(found[0], torch.eye(3) * 0.9, atol=0.03, rtol=0)
        torch.testing.assert_close(moved[0], shift, atol=0.3, rtol=0)

    def test_one_region_is_a_shift(self):
        centre = torch.tensor([[8.0, -9.0]])
        found, moved = region_affine(blobs(centre, (64, 64)), blobs(centre + 11, (64, 64)))
        ends = centre @ found[0].T + moved[0]
        torch.testing.assert_close(ends, centre + 11, atol=0.1, rtol=0)
        torch.testing.assert_close(found[0], torch.eye(2), atol=0.05, rtol=0)

    @pytest.mark.parametrize("regions", [0, 2])
    def test_without_regions_the_identity(self, regions):
        nothing = torch.zeros(2, regions, 32, 32)
        found, moved = region_affine(nothing, nothing)
        torch.testing.assert_close(found, torch.eye(2).expand(2, 2, 2))
        torch.testing.assert_close(moved, torch.zeros(2, 2))

    def test_a_region_of_one_image_says_nothing(self):
        fixed, moving = blobs(CENTRES[2], (96, 96)), blobs(CENTRES[2] + 5, (96, 96))
        moving[:, 0] = 0
        found, moved = region_affine(fixed, moving)
        ends = CENTRES[2] @ found[0].T + moved[0]
        torch.testing.assert_close(ends, CENTRES[2] + 5, atol=0.3, rtol=0)

    def test_regions_of_low_confidence_count_less(self):
        fixed, moving = blobs(CENTRES[2], (96, 96)), blobs(CENTRES[2] + 5, (96, 96))
        errors = {}
        for name, wrong in {"low": torch.tensor(0.1), "high": blobs(torch.zeros(1, 2), (96, 96))}.items():
            moving[:, 0] = wrong  # its centroid is the middle of the image both times
            found, moved = region_affine(fixed, moving)
            ends = CENTRES[2][1:] @ found[0].T + moved[0]
            errors[name] = float((ends - CENTRES[2][1:] - 5).norm(dim=1).max())
        assert 0 < errors["low"] < 0.6 * errors["high"]


class TestFewPoints:
    """Directions that they leave open are rotated with them: nothing collapses, nothing is mirrored."""

    @pytest.mark.parametrize("degrees", [0, 60, 90, 150, 180])
    def test_two_in_a_picture(self, degrees):
        here = torch.tensor([[[-20.0, 5.0], [18.0, -9.0]]])
        turn = math.radians(degrees)
        matrix = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        there = here @ matrix.T + torch.tensor([4.0, -7.0])
        found, shift = affine_from_points(here, there, torch.ones(1, 2), half=48)
        torch.testing.assert_close(found[0], matrix, atol=0.03, rtol=0)
        torch.testing.assert_close(here @ found[0].T + shift, there, atol=0.6, rtol=0)

    @pytest.mark.parametrize("degrees", [20, 45, 90, 170])
    def test_three_rotated_out_of_their_plane(self, degrees):
        here = torch.tensor([[[-12.0, -8, 0], [10, -9, 0], [4, 12, 0]]])
        matrix = torch.from_numpy(Rotation.from_rotvec([math.radians(degrees), 0, 0]).as_matrix()).float()
        found, shift = affine_from_points(here, here @ matrix.T, torch.ones(1, 3), half=24)
        aside = torch.tensor([3.0, 2.0, 12.0])
        torch.testing.assert_close(found[0] @ aside + shift[0], matrix @ aside, atol=0.7, rtol=0)
        assert float(torch.linalg.det(found[0])) > 0.9

    def test_pairs_of_a_batch_are_independent(self):
        chance = torch.Generator().manual_seed(1)
        here, there = (20 * torch.randn(3, 5, 2, generator=chance) for _ in range(2))
        weight = torch.rand(3, 5, generator=chance)
        whole = affine_from_points(here, there, weight, half=48)
        for n in range(3):
            alone = affine_from_points(here[[n]], there[[n]], weight[[n]], half=48)
            for a, b in zip(whole, alone, strict=True):
                torch.testing.assert_close(a[[n]], b)
