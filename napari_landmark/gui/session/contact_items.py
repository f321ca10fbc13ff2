"""Choice and order of the crops of a contact sheet: one landmark in all images, or all landmarks of one image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from napari_landmark.data.landmarks import Status
from napari_landmark.gui.session.session import Session


class ContactFilter(StrEnum):
    """Crops that are shown."""

    ALL = "All"
    UNDECIDED = "To review"
    DOUBTFUL = "Doubtful images"
    ODD = "Odd shapes"
    MANUAL = "Placed by a person"


@dataclass(frozen=True)
class ContactItem:
    """One landmark in one image.

    Parameters
    ----------
    image, landmark : str
    center : tuple of float
        Its position when the sheet was made, index coordinates.
    """

    image: str
    landmark: str
    center: tuple[float, ...]


def contact_items(
    session: Session,
    *,
    landmark: str = "",
    image: str = "",
    chosen: ContactFilter = ContactFilter.ALL,
    least_error: float = 0.0,
) -> list[ContactItem]:
    """Landmarks that have a position, the largest expected error first and those of persons last.

    Parameters
    ----------
    landmark : str, optional
        Only this one.
    image : str, optional
        Only of this image.
    chosen : ContactFilter, optional
    least_error : float, optional
        Predictions of smaller expected errors are left out; in the unit of `Session.pixel_lengths`.
    """
    store, schema = session.require_store(), session.require_study().schema
    images = (image,) if image else session.names
    positions, errors, manual = store.result_arrays(images)
    lengths = np.array([session.pixel_lengths.get(name, 1.0) for name in images])
    comparable = np.where(manual, -1.0, np.nan_to_num(errors, nan=np.inf) * lengths[:, None])
    ndim = session.geometry(images[0]).ndim if images else 2
    wanted = ~np.isnan(positions[..., -1])
    if landmark:
        wanted &= np.array([name == landmark for name in schema.names])
    if chosen is ContactFilter.UNDECIDED:
        wanted &= ~manual
    elif chosen is ContactFilter.MANUAL:
        wanted &= manual
    elif chosen is ContactFilter.DOUBTFUL:
        flagged = store.flagged_images()
        wanted &= np.array([name in flagged for name in images])[:, None]
    elif chosen is ContactFilter.ODD:
        shapes = {} if session.odd_shapes is None else session.odd_shapes.shapes
        odd = [name in shapes and bool(shapes[name].finding) for name in images]
        wanted &= np.array(odd)[:, None]
    if least_error > 0:
        wanted &= comparable >= least_error
    order = np.argsort(-comparable, axis=None, kind="stable")
    order = order[wanted.ravel()[order]]
    return [
        ContactItem(
            images[number // len(schema)],
            schema.names[number % len(schema)],
            tuple(positions[number // len(schema), number % len(schema), 3 - ndim :].tolist()),
        )
        for number in order.tolist()
    ]


def is_undecided(session: Session, item: ContactItem) -> bool:
    """Whether the landmark of an item is a prediction that nobody decided on."""
    mark = session.result(item.image).get(item.landmark)
    return mark is not None and mark.status is Status.PREDICTED
