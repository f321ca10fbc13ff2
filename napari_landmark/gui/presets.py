"""Schemas of landmarks and measurements that a new study can begin with."""

from __future__ import annotations

from collections.abc import Callable

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.measurement.presets.preset import PRESET_NAMES, preset

_RAYS = {"thumb": "thumb", "index": "index finger", "middle": "middle finger", "ring": "ring finger",
         "little": "little finger"}  # fmt: skip
_JOINTS = {
    "cmc": "Middle of the joint between the wrist (trapezium) and the metacarpal of the {}.",
    "mcp": "Middle of the knuckle joint (metacarpophalangeal) of the {}.",
    "pip": "Middle of the inner finger joint (proximal interphalangeal) of the {}.",
    "dip": "Middle of the outer finger joint (distal interphalangeal) of the {}.",
    "ip": "Middle of the joint between the two phalanges of the {}.",
    "tip": "Tip of the last bone of the {}.",
}
_HAND_MEASUREMENTS = [
    {
        "name": "2D:4D ratio",
        "text": "Length of the index finger to that of the ring finger, from the knuckle to the tip.",
        "ratio": [{"distance": ["index_mcp", "index_tip"]}, {"distance": ["ring_mcp", "ring_tip"]}],
    },
    {
        "name": "spread of the thumb",
        "text": "Angle between the first and the second metacarpal.",
        "angle": [["thumb_cmc", "thumb_mcp"], ["capitate", "index_mcp"]],
    },
    {
        "name": "spread of the fingers",
        "text": "Angle between the index and the little finger.",
        "angle": [["index_mcp", "index_tip"], ["little_mcp", "little_tip"]],
    },
    {
        "name": "slope of the radius",
        "text": "Angle of the line of both styloid processes to the third metacarpal.",
        "angle": [["radial_styloid", "ulnar_styloid"], ["capitate", "middle_mcp"]],
        "range": "0-90",
    },
    {
        "name": "length of the hand",
        "text": "Distance from the capitate to the tip of the middle finger.",
        "distance": ["capitate", "middle_tip"],
    },
]
_HEAD = {
    "nasion": "Middle of the upper end of the nasal bone, between the orbits.",
    "rhinion": "Tip of the nasal bone.",
    "sella": "Middle of the pit in the base of the skull.",
    "inion": "Tip of the bump at the back of the skull, in the midline.",
    "menton": "Lowest point of the chin's bone, in the midline.",
    "dens": "Tip of the tooth of the second vertebra.",
    "orbit": "Middle of the {} orbit.",
    "zygion": "Outermost point of the {} cheek bone's arch.",
    "condyle": "Middle of the {} condyle of the mandible.",
    "coronoid": "Tip of the {} coronoid process of the mandible, before the condyle.",
    "gonion": "Middle of the {} angle of the mandible.",
    "mastoid": "Tip of the {} mastoid process, behind the ear.",
}
_WRIST = {
    "capitate": "Middle of the capitate, the largest bone of the wrist.",
    "radial_styloid": "Tip of the styloid process of the radius, on the side of the thumb.",
    "ulnar_styloid": "Tip of the styloid process of the ulna, on the side of the little finger.",
}


def hand_phantom() -> SchemaFile:
    """Schema of the synthetic hand radiographs, whose rays are linked, with a few measurements to try."""
    from napari_landmark.synthetic import LANDMARKS

    rays = {ray: [name for name in LANDMARKS if name.startswith(f"{ray}_")] for ray in _RAYS}
    links = tuple(Link(("capitate", *names), name=_RAYS[ray]) for ray, names in rays.items())
    landmarks = LandmarkSchema(
        LANDMARKS, definitions=tuple(_hand_definition(name) for name in LANDMARKS), links=links
    )
    measurements = MeasurementSchema.from_json({"measurements": _HAND_MEASUREMENTS})
    return SchemaFile(landmarks, measurements, title="Hand phantom (sample data)")


def head_phantom() -> SchemaFile:
    """Schema of the synthetic CT of heads."""
    from napari_landmark.synthetic import HEAD_LANDMARKS

    definitions = tuple(_head_definition(name) for name in HEAD_LANDMARKS)
    return SchemaFile(
        LandmarkSchema(HEAD_LANDMARKS, definitions=definitions), title="Head phantom (sample data)"
    )


def unnamed() -> SchemaFile:
    """Schema of one landmark, for users who name landmarks while they place them."""
    return SchemaFile(LandmarkSchema(("landmark 1",)), title="I name them while placing")


def _made(name: str) -> Callable[[], SchemaFile]:
    return lambda: preset(name)


PRESETS: dict[str, Callable[[], SchemaFile]] = {
    unnamed().title: unnamed,
    **{preset(name).title: _made(name) for name in PRESET_NAMES},
    "Hand phantom (sample data)": hand_phantom,
    "Head phantom (sample data)": head_phantom,
}
"""Functions that make a schema, by the title that the user selects."""


def _head_definition(name: str) -> str:
    part, _, side = name.partition("_")
    return _HEAD[part].format(side)


def _hand_definition(name: str) -> str:
    if name in _WRIST:
        return _WRIST[name]
    ray, joint = name.split("_")
    return _JOINTS[joint].format(_RAYS[ray])
