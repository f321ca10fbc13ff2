"""Loss of a registration: image similarity, overlap of regions, smoothness, folds, distance of landmarks.

Every term has a weight, and a weight of zero leaves it out. The similarity has more weight in and around the regions;
single regions can be given more weight than others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

import torch
import torch.nn.functional as F

from napari_landmark.data.errors import InputError
from napari_landmark.registration.label_overlap import WarpedLabelMaps, label_overlap_loss
from napari_landmark.registration.transform.fields_torch import jacobian_determinant

_LEAST_DETERMINANT = 0.1
_WINDOW = {2: 9, 3: 5}  # pixels, by number of axes: cells of a volume are larger beside what they show
_SIMILARITY_SCALES = (1, 2, 4)
_DICE_SCALES = (1, 4, 16)
_FLAT = 1e-5  # product of variances (of values 0..1) below which windows have no structure to compare


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss; 0 leaves a term out.

    Parameters
    ----------
    similarity : float
        1 - local normalized cross-correlation of fixed and warped image.
    dice : float
        Soft Dice loss of the regions.
    bending : float
        Bending energy of the smooth displacement.
    jacobian : float
        Penalty on determinants of the Jacobian near or below zero (folds).
    landmarks : float
        Distance of landmarks that are known in both images, as a fraction of the longest side.
    roi : float
        Additional weight of the similarity in the regions and at their borders.
    regions : mapping of int to float
        Weight of single labels in `dice` and `roi`; 1 for those not named.

    Raises
    ------
    InputError
        A weight is not a finite number from 0 on.
    """

    similarity: float = 1.0
    dice: float = 1.0
    bending: float = 1.0
    jacobian: float = 10.0
    landmarks: float = 10.0
    roi: float = 2.0
    regions: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            values = value.values() if name == "regions" else [value]
            if not all(0 <= v < float("inf") for v in values):
                raise InputError(f"the weight {name} of the registration: expected numbers from 0 on")

    def region_weights(self, labels: tuple[int, ...]) -> torch.Tensor:
        """Weights (labels,) in the order of the labels."""
        return torch.tensor([float(self.regions.get(label, 1.0)) for label in labels])

    def to_json(self) -> dict:
        """Plain values for the description of the model."""
        values = asdict(self)
        values["regions"] = {str(label): weight for label, weight in self.regions.items()}
        return values

    @classmethod
    def from_json(cls, values: object) -> LossWeights:
        """Read the values of `to_json`; missing ones have their default, unknown names are ignored.

        Raises
        ------
        InputError
            A weight is not a finite number from 0 on.
        """
        given = values if isinstance(values, Mapping) else {}
        names = [term.name for term in fields(cls) if term.name != "regions" and term.name in given]
        try:
            regions = {
                int(label): float(weight) for label, weight in dict(given.get("regions") or {}).items()
            }
            terms = {name: float(given[name]) for name in names}
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"the weights of the registration: expected numbers ({error})") from error
        return cls(**terms, regions=regions)

    def with_regions(self, regions: Mapping[int, float]) -> LossWeights:
        """Copy with other weights of the labels that are named."""
        return replace(self, regions={**self.regions, **regions})


@dataclass(frozen=True)
class PairTensors:
    """Batch of pairs under a candidate map, all on the grid of the fixed images: the input of the loss.

    Parameters
    ----------
    fixed, warped : (batch, 1, *shape) tensors
    displacement : (batch, d, *coarse) tensor
        Of the smooth part, in pixels of its own grid, which may be coarser.
    fixed_regions, warped_regions : (batch, labels, *shape) tensors or None
        Probabilities; both or none.
    region_confidence : (batch, labels) tensor or None
        Confidence of the probabilities of both images, 0..1; None for 1.
    distances : (batch, landmarks) tensor or None
        Between warped and fixed landmarks, as fractions of the longest side; NaN for an unknown landmark.
    landmark_weights : (batch, landmarks) tensor or None
        0..1; None for 1.
    label_maps : WarpedLabelMaps or None
        Instead of regions, of a batch of one pair.
    """

    fixed: torch.Tensor
    warped: torch.Tensor
    displacement: torch.Tensor
    fixed_regions: torch.Tensor | None = None
    warped_regions: torch.Tensor | None = None
    region_confidence: torch.Tensor | None = None
    distances: torch.Tensor | None = None
    landmark_weights: torch.Tensor | None = None
    label_maps: WarpedLabelMaps | None = None

    @property
    def regions(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Fixed and warped regions, None without any label."""
        if self.fixed_regions is None or self.warped_regions is None or not self.fixed_regions.shape[1]:
            return None
        return self.fixed_regions, self.warped_regions


def loss_terms(
    pairs: PairTensors, weights: LossWeights, region_weights: torch.Tensor, *, coarse: bool = True
) -> dict[str, torch.Tensor]:
    """Compute every term whose weight is not zero and whose inputs are given, before its weight.

    Parameters
    ----------
    pairs : PairTensors
    weights : LossWeights
    region_weights : (labels,) tensor
        From `LossWeights.region_weights`.
    coarse : bool
        Average similarity and Dice over several scales. Structures far apart attract each other, at the price of
        the last tenths of a pixel.

    Returns
    -------
    dict of str to scalar tensor
        By name of the weight.
    """
    terms: dict[str, torch.Tensor] = {}
    if weights.similarity:
        roi = None
        if pairs.regions is not None and weights.roi:
            roi = roi_weight_map(*pairs.regions, region_weights, roi=weights.roi)
        elif pairs.label_maps is not None and weights.roi:
            roi = _roi_of_label_maps(pairs.label_maps, region_weights, roi=weights.roi)
        terms["similarity"] = similarity_loss(pairs.fixed, pairs.warped, roi, coarse=coarse)
    if weights.dice and pairs.regions is not None:
        terms["dice"] = dice_loss(
            *pairs.regions, region_weights, confidence=pairs.region_confidence, coarse=coarse
        )
    if weights.dice and pairs.label_maps is not None:
        terms["dice"] = label_overlap_loss(pairs.label_maps, region_weights)
    if weights.bending:
        # Interpolated linearly to the grid of the images a field has so much of its energy.
        share = pairs.displacement.shape[-1] / pairs.fixed.shape[-1]
        terms["bending"] = bending_energy(pairs.displacement) * share**2
    if weights.jacobian:
        terms["jacobian"] = F.relu(_LEAST_DETERMINANT - jacobian_determinant(pairs.displacement)).mean()
    if weights.landmarks and pairs.distances is not None:
        terms["landmarks"] = landmark_loss(pairs.distances, pairs.landmark_weights)
    return terms


def weighted_sum(terms: Mapping[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    """Sum of the terms, each multiplied by its weight."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def similarity_loss(
    fixed: torch.Tensor, warped: torch.Tensor, weight_map: torch.Tensor | None = None, *, coarse: bool = True
) -> torch.Tensor:
    """1 - squared local normalized cross-correlation, averaged with weights (batch, 1, *shape).

    With `coarse` the mean over the images at full size and downsampled by 2 and 4.
    """
    losses = []
    for scale in _scales(_SIMILARITY_SCALES if coarse else (1,), fixed, least=2 * _WINDOW[fixed.ndim - 2]):
        correlation = local_correlation(_downsample(fixed, scale), _downsample(warped, scale))
        if weight_map is None:
            losses.append(1 - correlation.mean())
        else:
            weight = _downsample(weight_map, scale)
            losses.append((weight * (1 - correlation)).sum() / weight.sum())
    return torch.stack(losses).mean()


def roi_weight_map(
    fixed: torch.Tensor, warped: torch.Tensor, region_weights: torch.Tensor, *, roi: float
) -> torch.Tensor:
    """(batch, 1, *shape) weight of the similarity: 1 far from the regions, up to 1 + roi in them, blurred outwards.

    `fixed` and `warped` (batch, labels, *shape) are probabilities of the regions, `region_weights` (labels,).
    """
    weight = region_weights.to(fixed.device).view(1, -1, *[1] * (fixed.ndim - 2))
    both = torch.maximum(fixed, warped).detach()
    return _blurred((both * weight).amax(1, keepdim=True), roi)


def _roi_of_label_maps(maps: WarpedLabelMaps, region_weights: torch.Tensor, *, roi: float) -> torch.Tensor:
    """The same weight map of label maps."""
    weights = torch.cat([region_weights.new_zeros(1), region_weights]).to(maps.positions)
    mask = torch.maximum(weights[maps.fixed], weights[maps.nearest()])
    return _blurred(mask[None, None], roi)


def _blurred(mask: torch.Tensor, roi: float) -> torch.Tensor:
    for _ in range(2):  # two box filters: nearly a Gaussian
        mask = box_mean(mask, 7)
    return 1 + roi * mask


def dice_loss(
    fixed: torch.Tensor,
    warped: torch.Tensor,
    region_weights: torch.Tensor,
    *,
    confidence: torch.Tensor | None = None,
    coarse: bool = True,
) -> torch.Tensor:
    """1 - soft Dice, averaged over the regions that at least one of the images has.

    With `coarse` the mean over the regions at full size and downsampled by 4 and 16.

    Parameters
    ----------
    fixed, warped : (batch, labels, *shape) tensors
        Probabilities of the regions.
    region_weights : (labels,) tensor
    confidence : (batch, labels) tensor, optional
        Multiplies the weights.
    """
    axes = tuple(range(2, fixed.ndim))
    weight = region_weights.to(fixed.device).expand(fixed.shape[:2])
    if confidence is not None:
        weight = weight * confidence
    present = (fixed.square() + warped.square()).detach().sum(axes) > 1
    weight = weight * present
    losses = []
    for scale in _scales(_DICE_SCALES if coarse else (1,), fixed, least=4):
        small_fixed, small_warped = _downsample(fixed, scale), _downsample(warped, scale)
        overlap = 2 * (small_fixed * small_warped).sum(axes)
        size = (small_fixed.square() + small_warped.square()).sum(axes)
        losses.append((1 - (overlap + 1e-3) / (size + 1e-3)) * weight)
    return torch.stack(losses).mean(0).sum() / weight.sum().clamp(min=1e-6)


def landmark_loss(distances: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Huber loss of distances (batch, landmarks), averaged with weights of that shape; 0 without landmarks.

    Linear for large distances, so that a wrong landmark has a bounded influence. NaN for an unknown landmark.
    """
    known = ~distances.isnan()
    weight = known.float() if weights is None else known * torch.nan_to_num(weights)
    losses = F.huber_loss(
        torch.nan_to_num(distances), torch.zeros_like(distances), reduction="none", delta=0.01
    )
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6) / 0.01


def _scales(scales: tuple[int, ...], values: torch.Tensor, *, least: int) -> list[int]:
    """Scales at which the longest side still has at least so many pixels; always the finest."""
    return [scale for scale in scales if scale == 1 or max(values.shape[2:]) >= least * scale]


def _downsample(values: torch.Tensor, scale: int) -> torch.Tensor:
    """Means over blocks; a remainder at the end is a smaller block."""
    if scale == 1:
        return values
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[values.ndim - 2]
    return pool(values, scale, ceil_mode=True, count_include_pad=False)


def local_correlation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Squared normalized cross-correlation of (batch, 1, *shape) in windows of 9 pixels (volumes: 5), 0..1."""
    # Box filters as pooling are 3.5 times faster than the convolutions of MONAI's loss.
    moments = torch.cat([first, second, first * second, first * first, second * second], 1)
    mean_first, mean_second, product, square_first, square_second = box_mean(
        moments, _WINDOW[first.ndim - 2]
    ).split(1, 1)
    covariance = product - mean_first * mean_second
    variance_first = (square_first - mean_first.square()).clamp(min=0)
    variance_second = (square_second - mean_second.square()).clamp(min=0)
    return covariance.square() / (variance_first * variance_second + _FLAT)


def box_mean(values: torch.Tensor, window: int) -> torch.Tensor:
    """Mean of (batch, channels, *shape) over the part inside the image of a box around each pixel."""
    dims = values.ndim - 2
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[dims]
    for axis in range(dims):  # one axis after the other: 27 additions instead of 729 in a volume
        size = [window if i == axis else 1 for i in range(dims)]
        half = [n // 2 for n in size]
        values = pool(values, size, stride=1, padding=half, count_include_pad=False)
    return values


def bending_energy(displacement: torch.Tensor) -> torch.Tensor:
    """Mean squared second derivatives of a displacement (batch, d, *shape), in pixels (Rueckert et al., 1999)."""
    dims = displacement.ndim - 2
    energies = []
    for i in range(dims):
        for j in range(i, dims):
            second = displacement.diff(dim=i + 2).diff(dim=j + 2)
            energies.append(second.square().mean() * (1 if i == j else 2))
    return torch.stack(energies).sum()
