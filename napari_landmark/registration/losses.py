"""What a good registration is: similar images, regions on regions, smooth, without folds, landmarks on landmarks.

Every term has a weight, and a weight of zero leaves it out. The similarity counts more in and around the regions
that matter; single regions can be given more weight than others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

import torch
import torch.nn.functional as F

from napari_landmark.data.errors import InputError
from napari_landmark.registration.transform.fields_torch import jacobian_determinant

_LEAST_DETERMINANT = 0.1
_WINDOW = 9
_SIMILARITY_SCALES = (1, 2, 4)
_DICE_SCALES = (1, 4, 16)
_FLAT = 1e-5  # product of variances (of values 0..1) below which there is nothing to compare


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; 0 leaves a term out.

    Parameters
    ----------
    similarity : float
        1 - local normalised cross-correlation of fixed and warped image.
    dice : float
        Soft Dice loss of the regions.
    bending : float
        Bending energy of the smooth displacement.
    jacobian : float
        Penalty on determinants near or below zero (folds).
    landmarks : float
        Distance of landmarks that are known in both images, as a fraction of the canvas.
    roi : float
        How much more the similarity counts in the regions and at their borders than elsewhere.
    regions : mapping of int to float
        Weight of single labels in `dice` and `roi`; 1 for those not named.
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
        """(labels,) weights in the order of the labels."""
        return torch.tensor([float(self.regions.get(label, 1.0)) for label in labels])

    def to_json(self) -> dict:
        """Plain values for the model's sidecar."""
        values = asdict(self)
        values["regions"] = {str(label): weight for label, weight in self.regions.items()}
        return values

    @classmethod
    def from_json(cls, values: object) -> LossWeights:
        """What `to_json` gave; whatever is missing has its default, and names not known are left aside.

        Raises
        ------
        InputError
            A weight is not a number from 0 on.
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
        """The same, but with other weights of the labels that are named."""
        return replace(self, regions={**self.regions, **regions})


@dataclass(frozen=True)
class Scene:
    """One batch of pairs under a candidate map, all on the grid of the fixed images.

    Parameters
    ----------
    fixed, warped : (batch, 1, *shape) tensors
    displacement : (batch, d, *shape) tensor
        Of the smooth part.
    fixed_regions, warped_regions : (batch, labels, *shape) tensors or None
        Probabilities.
    region_trust : (batch, labels) tensor or None
        How far the probabilities of both images are to be trusted, 0..1.
    distances : (batch, landmarks) tensor or None
        Of known landmarks, as fractions of the canvas; NaN where one is not known.
    landmark_trust : (batch, landmarks) tensor or None
    """

    fixed: torch.Tensor
    warped: torch.Tensor
    displacement: torch.Tensor
    fixed_regions: torch.Tensor | None = None
    warped_regions: torch.Tensor | None = None
    region_trust: torch.Tensor | None = None
    distances: torch.Tensor | None = None
    landmark_trust: torch.Tensor | None = None


def loss_terms(
    scene: Scene, weights: LossWeights, region_weights: torch.Tensor, *, coarse: bool = True
) -> dict[str, torch.Tensor]:
    """Value of every term that is switched on and can be computed, before its weight.

    With `coarse`, similarity and Dice are means over several scales: what lies far apart attracts each other, at the
    price of the last tenths of a pixel.
    """
    terms: dict[str, torch.Tensor] = {}
    has_regions = scene.fixed_regions is not None and scene.fixed_regions.shape[1] > 0
    if weights.similarity:
        emphasis = roi_emphasis(scene, weights.roi, region_weights) if has_regions and weights.roi else None
        terms["similarity"] = similarity_loss(scene.fixed, scene.warped, emphasis, coarse=coarse)
    if weights.dice and has_regions:
        terms["dice"] = dice_loss(scene, region_weights, coarse=coarse)
    if weights.bending:
        terms["bending"] = bending_energy(scene.displacement)
    if weights.jacobian:
        terms["jacobian"] = F.relu(_LEAST_DETERMINANT - jacobian_determinant(scene.displacement)).mean()
    if weights.landmarks and scene.distances is not None:
        terms["landmarks"] = landmark_loss(scene.distances, scene.landmark_trust)
    return terms


def total(terms: Mapping[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    """The weighted sum."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def similarity_loss(
    fixed: torch.Tensor, warped: torch.Tensor, emphasis: torch.Tensor | None = None, *, coarse: bool = True
) -> torch.Tensor:
    """1 - squared local normalised cross-correlation, averaged with `emphasis` (batch, 1, *shape) as weight.

    With `coarse` the mean over the images as they are and shrunk twofold and fourfold.
    """
    losses = []
    for scale in _scales(_SIMILARITY_SCALES if coarse else (1,), fixed, least=2 * _WINDOW):
        correlation = local_correlation(_shrunk(fixed, scale), _shrunk(warped, scale))
        if emphasis is None:
            losses.append(1 - correlation.mean())
        else:
            weight = _shrunk(emphasis, scale)
            losses.append((weight * (1 - correlation)).sum() / weight.sum())
    return torch.stack(losses).mean()


def roi_emphasis(scene: Scene, roi: float, region_weights: torch.Tensor) -> torch.Tensor:
    """(batch, 1, *shape) weight of the similarity: 1 far from the regions, up to 1 + roi in them, blurred outwards."""
    weight = region_weights.to(scene.fixed.device).view(1, -1, *[1] * (scene.fixed.ndim - 2))
    both = torch.maximum(scene.fixed_regions, scene.warped_regions).detach()
    mask = (both * weight).amax(1, keepdim=True)
    for _ in range(2):  # two box filters: nearly a Gaussian
        mask = box_mean(mask, 7)
    return 1 + roi * mask


def dice_loss(scene: Scene, region_weights: torch.Tensor, *, coarse: bool = True) -> torch.Tensor:
    """1 - soft Dice, averaged over regions by their weight and trust; a region absent from both counts nothing.

    With `coarse` the mean over the regions as they are and shrunk fourfold and sixteenfold.
    """
    axes = tuple(range(2, scene.fixed.ndim))
    weight = region_weights.to(scene.fixed.device).expand(scene.fixed_regions.shape[:2])
    if scene.region_trust is not None:
        weight = weight * scene.region_trust
    present = (scene.fixed_regions.square() + scene.warped_regions.square()).detach().sum(axes) > 1
    weight = weight * present
    losses = []
    for scale in _scales(_DICE_SCALES if coarse else (1,), scene.fixed, least=4):
        fixed, warped = (_shrunk(part, scale) for part in (scene.fixed_regions, scene.warped_regions))
        overlap = 2 * (fixed * warped).sum(axes)
        size = (fixed.square() + warped.square()).sum(axes)
        losses.append((1 - (overlap + 1e-3) / (size + 1e-3)) * weight)
    return torch.stack(losses).mean(0).sum() / weight.sum().clamp(min=1e-6)


def landmark_loss(distances: torch.Tensor, trust: torch.Tensor | None) -> torch.Tensor:
    """Mean distance, linear for large ones (a wrong landmark must not drag everything), 0 without landmarks."""
    known = ~distances.isnan()
    weight = known.float() if trust is None else known * torch.nan_to_num(trust)
    losses = F.huber_loss(
        torch.nan_to_num(distances), torch.zeros_like(distances), reduction="none", delta=0.01
    )
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6) / 0.01


def _scales(scales: tuple[int, ...], values: torch.Tensor, *, least: int) -> list[int]:
    """Those at which the longest side still has so many pixels; always the finest."""
    return [scale for scale in scales if scale == 1 or max(values.shape[2:]) >= least * scale]


def _shrunk(values: torch.Tensor, scale: int) -> torch.Tensor:
    """Means over blocks; a rest at the end is a smaller block."""
    if scale == 1:
        return values
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[values.ndim - 2]
    return pool(values, scale, ceil_mode=True, count_include_pad=False)


def local_correlation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Squared normalised cross-correlation of (batch, 1, *shape) in windows of 9 pixels, 0..1.

    Box filters as pooling: measured 3.5 times faster than the convolutions of MONAI's loss.
    """
    moments = torch.cat([first, second, first * second, first * first, second * second], 1)
    mean_first, mean_second, product, square_first, square_second = box_mean(moments, _WINDOW).split(1, 1)
    covariance = product - mean_first * mean_second
    variance_first = (square_first - mean_first.square()).clamp(min=0)
    variance_second = (square_second - mean_second.square()).clamp(min=0)
    return covariance.square() / (variance_first * variance_second + _FLAT)


def box_mean(values: torch.Tensor, window: int) -> torch.Tensor:
    """Mean of (batch, channels, *shape) over a box around each pixel, as far as the box lies on the image."""
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
