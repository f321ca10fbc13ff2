"""Synthetic radiograph with landmarks and label map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.synthetic.chance import Draw
from napari_landmark.synthetic.hand import LANDMARKS, Hand
from napari_landmark.synthetic.pose import pose_hand
from napari_landmark.synthetic.view import View
from napari_landmark.synthetic.xray import draw_radiograph

SCHEMA = LandmarkSchema(names=LANDMARKS)

MARGIN = 10.0  # pixels that stay free around the hand


@dataclass(frozen=True)
class Phantom:
    """Synthetic image with landmarks and label map.

    Attributes
    ----------
    image : MedicalImage
        Radiograph, uint8 ``[y, x]`` of unknown spacing; or CT, int16 ``[z, y, x]``.
    landmarks : LandmarkSet
        All of them placed, exact to a fraction of a pixel.
    labels : numpy.ndarray
        uint8, the shape of the image; values of ``REGIONS`` or ``HEAD_REGIONS``.
    """

    image: MedicalImage
    landmarks: LandmarkSet
    labels: np.ndarray


def hand_phantom(seed: int, *, size: tuple[int, int] | None = None) -> Phantom:
    """Draw a right hand whose shape, pose and exposure follow from the seed.

    Parameters
    ----------
    seed : int
        Not negative. The same seed gives the same bytes.
    size : tuple of int, optional
        Rows and columns. By default they follow from the seed: 320-420 by 260-340.

    Returns
    -------
    Phantom
        The image is named ``hand_<seed>.png``, the seed padded to three digits.

    Examples
    --------
    >>> phantom = hand_phantom(0)
    >>> phantom.labels.shape == phantom.image.array.shape
    True
    """
    draw = Draw(seed)
    drawn_size = (round(draw.uniform(320, 420)), round(draw.uniform(260, 340)))
    hand = pose_hand(draw)
    view = _view_of(hand, size or drawn_size, draw)
    array, labels = draw_radiograph(hand, view, draw)
    image = MedicalImage(array=array, geometry=Geometry(shape=array.shape), name=f"hand_{seed:03d}.png")
    return Phantom(image, LandmarkSet.from_array(SCHEMA, view.to_pixels(hand.positions())), labels)


def _view_of(hand: Hand, size: tuple[int, int], draw: Draw) -> View:
    """Return a view that shows the whole hand and the end of the forearm, at a random position."""
    points = hand.positions()
    # Around the landmarks: flesh at the tips and sides, and a good part of the forearm below.
    low = points.min(axis=0) - np.array((9.0, 10.0))
    high = points.max(axis=0) + np.array((draw.uniform(22.0, 38.0), 10.0))
    space = np.array(size) - 2 * MARGIN
    scale = float(np.min(space / (high - low))) * draw.uniform(0.86, 1.0)
    slack = space - scale * (high - low)
    # The forearm is cut by the lower edge or nearly so: where the image is higher, most of the rest is above the hand.
    shift = slack * np.array((draw.uniform(0.3, 1.0), draw.uniform(0.0, 1.0)))
    offset = MARGIN + shift - scale * low
    return View(size, scale, (float(offset[0]), float(offset[1])))
