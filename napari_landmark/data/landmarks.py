"""Landmarks: names, positions and status."""

from __future__ import annotations

import colorsys
import dataclasses
import difflib
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.curves import Curve, check_curves, curves_among, curves_from_json
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.links import Link, segments

logger = logging.getLogger(__name__)

# Bright colours on a dark grey image. Any two of them differ by 15 or more in CIELAB for usual vision and for those
# who lack red or green receptors (Machado et al. 2009), and by 10 for those who lack blue ones.
_PALETTE = (
    "#b6ff00", "#ff12c8", "#ff375b", "#92ffc8", "#b65bff", "#c8b624", "#ff2492", "#ed80ff", "#929212",
    "#eded5b", "#a4ff92", "#eda45b", "#edb6ff", "#92db92", "#5bdbb6", "#8080c8", "#6da46d", "#ffdbff",
    "#499292", "#c8a4c8",
)  # fmt: skip


class Status(StrEnum):
    """Status of a landmark in one image."""

    UNPLACED = "unplaced"
    MISSING = "missing"
    PLACED = "placed"
    PREDICTED = "predicted"
    CORRECTED = "corrected"
    PREDICTED_MISSING = "predicted_missing"

    @property
    def is_manual(self) -> bool:
        """True for a manual decision of the user, which predictions never replace."""
        return self in (Status.MISSING, Status.PLACED, Status.CORRECTED)

    @property
    def has_position(self) -> bool:
        """True for the statuses of a landmark with a position."""
        return self in (Status.PLACED, Status.PREDICTED, Status.CORRECTED)


@dataclass(frozen=True)
class Landmark:
    """One landmark in one image.

    Parameters
    ----------
    name : str
        Name in the schema; its letters are composed (Unicode NFC).
    position : tuple of float, optional
        Continuous index coordinates in array axis order; None without a position.
    status : Status, optional
        PLACED, PREDICTED and CORRECTED require a position, the others exclude it. MISSING is what a user says,
        PREDICTED_MISSING what a model does.
    confidence : float, optional
        Between 0 and 1; of a PREDICTED_MISSING landmark the probability that it is missing.
    expected_error : float, optional
        Expected distance from the truth in native pixels.
    covariance : tuple of d tuples of d float, optional
        Covariance of the error in squared native pixels, in array axis order; only with a position.
    covered : bool, optional
        Whether a user placed it where it is covered by something else, so that its position is a judgement;
        visibility 1 of COCO. Only manual positions are covered.
    """

    name: str
    position: tuple[float, ...] | None = None
    status: Status = Status.UNPLACED
    confidence: float | None = None
    expected_error: float | None = None
    covered: bool = False
    covariance: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", composed_name(self.name))
        object.__setattr__(self, "status", Status(self.status))
        if self.position is not None:
            position = tuple(float(value) for value in self.position)
            if len(position) not in (2, 3) or not all(map(math.isfinite, position)):
                raise InputError(
                    f"landmark {self.name!r}: a position of {position}, expected two or three finite values"
                )
            object.__setattr__(self, "position", position)
        if self.status.has_position != (self.position is not None):
            state = "without a position" if self.position is None else "with a position"
            raise InputError(f"landmark {self.name!r}: status '{self.status}' {state}")
        object.__setattr__(self, "covered", bool(self.covered))
        if self.covered and not (self.status.is_manual and self.status.has_position):
            raise InputError(
                f"landmark {self.name!r}: covered, with status '{self.status}': only a placed one can be"
            )
        for field, upper in (("confidence", 1.0), ("expected_error", math.inf)):
            value = getattr(self, field)
            if value is None:
                continue
            value = float(value)
            if not (math.isfinite(value) and 0 <= value <= upper):
                expected = "0 to 1" if upper == 1 else "0 or more"
                raise InputError(f"landmark {self.name!r}: a {field} of {value}, expected {expected}")
            object.__setattr__(self, field, value)
        if self.covariance is not None:
            rows = tuple(tuple(float(value) for value in row) for row in self.covariance)
            if self.position is None or not _is_covariance(rows, len(self.position)):
                raise InputError(
                    f"landmark {self.name!r}: an error covariance of {rows}, expected a symmetric matrix of "
                    "variances and covariances, one row for each coordinate"
                )
            object.__setattr__(self, "covariance", rows)


@dataclass(frozen=True)
class LandmarkSchema:
    """Landmark names in order, with a colour and a definition each.

    Parameters
    ----------
    names : tuple of str
        Unique, not empty; their letters are composed (Unicode NFC).
    colors : tuple of str, optional
        '#rrggbb'; a palette by default.
    definitions : tuple of str, optional
        Anatomical definition for the annotator; empty by default.
    links : tuple of Link, optional
        Lines and outlines through landmarks, for drawings and exports.
    curves : tuple of Curve, optional
        Chains of semilandmarks, whose names are landmarks of the schema as well.
    """

    names: tuple[str, ...]
    colors: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    curves: tuple[Curve, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.names, str):
            raise InputError(f"landmark names: expected a list of names, got the text {self.names!r}")
        names = tuple(composed_name(name) if isinstance(name, str) else name for name in self.names)
        if not names:
            raise InputError("no landmark names: give at least one")
        seen: set[str] = set()
        for name in names:
            if not isinstance(name, str) or not name or name != name.strip() or not name.isprintable():
                raise InputError(
                    f"landmark name {name!r}: expected one line of text with no space before or after it"
                )
            if name in seen:
                raise InputError(f"landmark name {name!r} is there twice: rename one of them")
            seen.add(name)
        colors = tuple(self.colors) or default_colors(len(names))
        definitions = tuple(self.definitions) or ("",) * len(names)
        for what, values in (("colours", colors), ("definitions", definitions)):
            if len(values) != len(names):
                raise InputError(f"{len(values)} {what} for {len(names)} landmark names: give one for each")
        for name, color in zip(names, colors, strict=True):
            if not isinstance(color, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
                raise InputError(f"landmark {name!r}: colour {color!r}, expected '#rrggbb'")
        for link in self.links:
            if unknown := [name for name in link.landmarks if name not in seen]:
                title = link.name or " - ".join(link.landmarks)
                raise InputError(
                    f"link {title!r}: unknown landmark {unknown[0]!r}{did_you_mean(unknown[0], names)}"
                )
        check_curves(self.curves, names)
        object.__setattr__(self, "links", tuple(self.links))
        object.__setattr__(self, "curves", tuple(self.curves))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "colors", tuple(color.lower() for color in colors))
        object.__setattr__(self, "definitions", tuple(str(text) for text in definitions))

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and composed_name(name) in self.names

    @property
    def drawn_segments(self) -> tuple[tuple[str, str], ...]:
        """Pairs of names between which a line is drawn: neighbours on links and on curves, each pair once."""
        return segments((*self.links, *(Link(curve.chain, name=curve.name) for curve in self.curves)))

    def index(self, name: str) -> int:
        """Row of a landmark; InputError with the known names for an unknown one."""
        try:
            return self.names.index(composed_name(name))
        except ValueError:
            raise InputError(
                f"unknown landmark {name!r}: the landmarks are {', '.join(self.names)}"
            ) from None

    def part(self, names: Iterable[str]) -> LandmarkSchema:
        """Schema of some of the landmarks, in the given order; links and curves stay where all their landmarks do."""
        rows = [self.index(name) for name in names]
        kept = tuple(self.names[row] for row in rows)
        return LandmarkSchema(
            kept,
            tuple(self.colors[row] for row in rows),
            tuple(self.definitions[row] for row in rows),
            self.links_among(kept),
            curves_among(self.curves, kept),
        )

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        rows = zip(self.names, self.colors, self.definitions, strict=True)
        return {
            "landmarks": [{"name": n, "color": c, "definition": d} for n, c, d in rows],
            **({"links": [link.to_json() for link in self.links]} if self.links else {}),
            **({"curves": [curve.to_json() for curve in self.curves]} if self.curves else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LandmarkSchema:
        """Schema from the object of `to_json`; InputError for anything else.

        A curve of which a landmark is missing is left out, with a warning in the log.
        """
        try:
            rows = [(row["name"], row.get("color"), row.get("definition", "")) for row in data["landmarks"]]
        except (KeyError, TypeError, AttributeError):
            raise InputError(
                "a list of landmarks was expected: objects with 'name', 'color', 'definition'"
            ) from None
        fallback = default_colors(len(rows))
        colors = tuple(color or default for (_, color, _), default in zip(rows, fallback, strict=True))
        links = data.get("links", [])
        if not isinstance(links, list):
            raise InputError("'links' must be a list of objects with 'landmarks'")
        definitions = tuple(text or "" for _, _, text in rows)
        names = tuple(name for name, _, _ in rows)
        # A version that knows no curves may have renamed or removed their landmarks: the study must open all the same.
        curves = curves_from_json(data)
        kept = curves_among(curves, {composed_name(name) for name in names if isinstance(name, str)})
        for curve in set(curves) - set(kept):
            logger.warning("curve %r is left out: not all of its landmarks are there", curve.name)
        return cls(names, colors, definitions, tuple(map(Link.from_json, links)), kept)

    def links_among(
        self, names: Iterable[str], *, renamed: Mapping[str, str] | None = None
    ) -> tuple[Link, ...]:
        """Links whose landmarks are all among some names, after old names are replaced by new ones."""
        kept, renamed = set(names), renamed or {}
        links = (link.renamed(renamed) for link in self.links)
        return tuple(link for link in links if kept.issuperset(link.landmarks))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Text ', did you mean ...?' with the most similar known name; empty where none is similar."""
    lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f", did you mean {lower[close[0]]!r}?" if close else ""


class LandmarkSet(Mapping[str, Landmark]):
    """Immutable mapping of landmark names to the landmarks of one image, in the order of the schema.

    It has every name of the schema; a landmark that is not given is UNPLACED.

    Parameters
    ----------
    schema : LandmarkSchema
        Names and order.
    landmarks : iterable of Landmark, optional
        Known landmarks, in any order.
    image_state : ImageState, optional
        Judgement of the model whose predictions these are.
    """

    def __init__(
        self,
        schema: LandmarkSchema,
        landmarks: Iterable[Landmark] = (),
        *,
        image_state: ImageState | None = None,
    ) -> None:
        self._schema, self._image_state = schema, image_state
        known: dict[str, Landmark] = {}
        ndims: set[int] = set()
        for landmark in landmarks:
            if landmark.name in known:
                raise InputError(f"landmark {landmark.name!r} is there twice")
            if landmark.name not in schema:
                schema.index(landmark.name)  # raises, with the known names
            known[landmark.name] = landmark
            if landmark.position is not None:
                ndims.add(len(landmark.position))
        if len(ndims) > 1:
            raise InputError(
                "landmarks with two and with three coordinates in one image: give all of them alike"
            )
        self._ndim = ndims.pop() if ndims else None
        self._landmarks = {name: known.get(name) or Landmark(name) for name in schema.names}

    @classmethod
    def from_array(
        cls,
        schema: LandmarkSchema,
        positions: ArrayLike,
        status: Status = Status.PLACED,
        confidence: ArrayLike | None = None,
        expected_error: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
    ) -> LandmarkSet:
        """Landmarks from rows in schema order.

        Parameters
        ----------
        schema : LandmarkSchema
            Names of the rows.
        positions : (n, ndim) array_like
            Index coordinates; a row with NaN is an unplaced landmark.
        status : Status, optional
            Status of every landmark that has a position.
        confidence, expected_error : (n,) array_like, optional
            NaN where unknown.
        covariance : (n, ndim, ndim) array_like, optional
            Of the error in squared pixels, in array axis order; NaN where unknown.
        """
        rows = np.asarray(positions, dtype=np.float64)
        if rows.ndim != 2 or len(rows) != len(schema):
            raise ValueError(f"expected positions of shape ({len(schema)}, ndim), got {rows.shape}")
        confidences = _column(confidence, len(schema))
        errors = _column(expected_error, len(schema))
        shape = (len(rows), rows.shape[1], rows.shape[1])
        covariances = np.full(shape, np.nan) if covariance is None else np.asarray(covariance, np.float64)
        if covariances.shape != shape:
            raise ValueError(f"expected covariances of shape {shape}, got {covariances.shape}")
        return cls(
            schema,
            (
                Landmark(
                    name,
                    tuple(row.tolist()),
                    status,
                    _or_none(sure),
                    _or_none(error),
                    covariance=None if np.isnan(spread).any() else tuple(map(tuple, spread.tolist())),
                )
                for name, row, sure, error, spread in zip(
                    schema.names, rows, confidences, errors, covariances, strict=True
                )
                if not np.isnan(row).any()
            ),
        )

    @property
    def schema(self) -> LandmarkSchema:
        """Names, order, colours and definitions."""
        return self._schema

    @property
    def image_state(self) -> ImageState | None:
        """Judgement of the model of the image; None for annotations, and where the model makes none."""
        return self._image_state

    @property
    def ndim(self) -> int | None:
        """Number of coordinates, None while nothing has a position."""
        return self._ndim

    def __getitem__(self, name: str) -> Landmark:
        return self._landmarks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._landmarks)

    def __len__(self) -> int:
        return len(self._landmarks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LandmarkSet):
            return NotImplemented
        mine, others = ((marks._schema, marks._landmarks, marks._image_state) for marks in (self, other))
        return mine == others

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        placed = sum(landmark.position is not None for landmark in self.values())
        return f"LandmarkSet({placed} of {len(self)} landmarks have a position)"

    def positions(self, ndim: int | None = None) -> NDArray[np.float64]:
        """Index coordinates in schema order, (n, ndim), NaN where there is no position.

        `ndim` is the number of columns of a set without positions, 2 by default.
        """
        width = self._ndim or ndim or 2
        nowhere = (math.nan,) * width
        return np.array([landmark.position or nowhere for landmark in self.values()], dtype=np.float64)

    def confidences(self) -> NDArray[np.float64]:
        """(n,) confidences in schema order, NaN where unknown."""
        return np.array([_or_nan(landmark.confidence) for landmark in self.values()])

    def expected_errors(self) -> NDArray[np.float64]:
        """(n,) expected errors in native pixels in schema order, NaN where unknown."""
        return np.array([_or_nan(landmark.expected_error) for landmark in self.values()])

    def covariances(self, ndim: int | None = None) -> NDArray[np.float64]:
        """(n, ndim, ndim) covariances of the errors in squared native pixels in schema order, NaN where unknown.

        `ndim` is that of `positions`.
        """
        width = self._ndim or ndim or 2
        unknown = ((math.nan,) * width,) * width
        return np.array([landmark.covariance or unknown for landmark in self.values()], dtype=np.float64)

    def with_landmark(self, landmark: Landmark) -> LandmarkSet:
        """A copy with one landmark replaced, by its name."""
        others = (known for known in self.values() if known.name != landmark.name)
        return LandmarkSet(self._schema, (*others, landmark), image_state=self._image_state)

    def merged_with_prediction(self, prediction: LandmarkSet) -> LandmarkSet:
        """Manual landmarks of this set, completed with predicted ones.

        Names that are not in this schema are left out. A position of `prediction` becomes PREDICTED whatever its
        status is. The state of the image is that of `prediction`.
        """
        merged = []
        for landmark in self.values():
            predicted = prediction.get(landmark.name)
            if not landmark.status.is_manual and predicted is not None:
                if predicted.position is not None:
                    landmark = dataclasses.replace(predicted, status=Status.PREDICTED, covered=False)
                elif predicted.status is Status.PREDICTED_MISSING:
                    landmark = predicted
            merged.append(landmark)
        return LandmarkSet(self._schema, merged, image_state=prediction.image_state)


def check_axes(landmarks: Iterable[Landmark], geometry: Geometry, *, image: str) -> None:
    """Refuse positions with another number of coordinates than the image has axes.

    Parameters
    ----------
    landmarks : iterable of Landmark
        Landmarks of one image; those without a position pass.
    geometry : Geometry
        Geometry of the image.
    image : str
        Name of the image, for the message.

    Raises
    ------
    InputError
        With the image and the first landmark that does not fit.
    """
    for mark in landmarks:
        if mark.position is not None and len(mark.position) != geometry.ndim:
            raise InputError(
                f"{image}: landmark {mark.name!r} has {len(mark.position)} coordinates and the image "
                f"{geometry.ndim} axes; give {'x and y' if geometry.ndim == 2 else 'x, y and z'}"
            )


def check_inside(landmarks: Iterable[Landmark], geometry: Geometry, *, image: str) -> None:
    """Refuse positions outside the image, by more than half a pixel beyond its border.

    Parameters
    ----------
    landmarks : iterable of Landmark
        Landmarks of one image; those without a position pass.
    geometry : Geometry
        Geometry of the image.
    image : str
        Name of the image, for the message.

    Raises
    ------
    InputError
        With the image and the first landmark outside, or with another number of coordinates than axes.
    """
    marks = tuple(landmarks)
    check_axes(marks, geometry, image=image)
    for mark in marks:
        # Some programs count pixel corners: they differ by half a pixel.
        if mark.position is not None and not geometry.contains([mark.position], margin=0.5)[0]:
            place = ", ".join(f"{value:g}" for value in reversed(mark.position))
            size = " x ".join(str(count) for count in reversed(geometry.shape))
            raise InputError(
                f"{image}: landmark {mark.name!r} at ({place}) lies outside the image of {size} pixels; "
                "correct it, in pixels from 0, or choose the landmarks of this image"
            )


def default_colors(count: int) -> tuple[str, ...]:
    """`count` distinguishable colours, '#rrggbb'."""
    colors = list(_PALETTE[:count])
    while len(colors) < count:
        # Steps of the golden ratio keep successive hues far apart.
        rgb = colorsys.hls_to_rgb(len(colors) * 0.61803398875 % 1, 0.55 + 0.15 * (len(colors) % 2), 0.85)
        colors.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return tuple(colors)


def _column(values: ArrayLike | None, count: int) -> NDArray[np.float64]:
    column = np.full(count, np.nan) if values is None else np.asarray(values, dtype=np.float64)
    if column.shape != (count,):
        raise ValueError(f"expected {count} values, got an array of shape {column.shape}")
    return column


def _is_covariance(rows: tuple[tuple[float, ...], ...], ndim: int) -> bool:
    """Whether rows are those of a symmetric matrix whose correlations are at most 1; rounding is forgiven."""
    if len(rows) != ndim or any(len(row) != ndim for row in rows):
        return False
    if not all(math.isfinite(value) for row in rows for value in row):
        return False
    variances = [rows[k][k] for k in range(ndim)]
    if min(variances) < 0:
        return False
    slack = 1e-5 * max(variances)
    return all(
        abs(rows[i][j] - rows[j][i]) <= slack
        and abs(rows[i][j]) <= math.sqrt(variances[i] * variances[j]) + slack
        for i in range(ndim)
        for j in range(i)
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
