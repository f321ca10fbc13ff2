"""Schemas of the synthetic images: landmarks with definitions and links, and measurements to try."""

from __future__ import annotations

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.synthetic.hand import LANDMARKS
from napari_landmark.synthetic.head import HEAD_LANDMARKS

HAND_TITLE, HEAD_TITLE = "Hand phantom (sample data)", "Head phantom (sample data)"
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
_HEAD_LINKS = (
    Link(("condyle_right", "gonion_right", "menton", "gonion_left", "condyle_left"), name="mandible"),
    Link(("nasion", "rhinion"), name="nasal bone"),
)
_HEAD_MEASUREMENTS = [
    {
        "name": "width of the face",
        "text": "Distance of the cheek bones' outermost points.",
        "distance": ["zygion_right", "zygion_left"],
    },
    {
        "name": "gonial angle, right",
        "text": "Angle of the right half of the mandible at gonion.",
        "angle": ["condyle_right", "gonion_right", "menton"],
    },
    {
        "name": "gonial angle, left",
        "text": "Angle of the left half of the mandible at gonion.",
        "angle": ["condyle_left", "gonion_left", "menton"],
    },
    {
        "name": "asymmetry of the mandible",
        "text": "Length from condyle over gonion to menton, right less left.",
        "combination": [
            [1, {"distance": ["condyle_right", "gonion_right"]}],
            [1, {"distance": ["gonion_right", "menton"]}],
            [-1, {"distance": ["condyle_left", "gonion_left"]}],
            [-1, {"distance": ["gonion_left", "menton"]}],
        ],
    },
    {
        "name": "depth of the chin",
        "text": "Distance of menton from the line of sella and nasion.",
        "distance": ["menton", ["sella", "nasion"]],
    },
]


def hand_schema() -> SchemaFile:
    """Schema of the hand radiographs, whose rays are linked."""
    rays = {ray: [name for name in LANDMARKS if name.startswith(f"{ray}_")] for ray in _RAYS}
    links = tuple(Link(("capitate", *names), name=_RAYS[ray]) for ray, names in rays.items())
    definitions = tuple(_hand_definition(name) for name in LANDMARKS)
    measurements = MeasurementSchema.from_json({"measurements": _HAND_MEASUREMENTS})
    return SchemaFile(
        LandmarkSchema(LANDMARKS, definitions=definitions, links=links), measurements, title=HAND_TITLE
    )


def head_schema() -> SchemaFile:
    """Schema of the CT of heads."""
    definitions = tuple(_head_definition(name) for name in HEAD_LANDMARKS)
    measurements = MeasurementSchema.from_json({"measurements": _HEAD_MEASUREMENTS})
    return SchemaFile(
        LandmarkSchema(HEAD_LANDMARKS, definitions=definitions, links=_HEAD_LINKS),
        measurements,
        title=HEAD_TITLE,
    )


def _head_definition(name: str) -> str:
    part, _, side = name.partition("_")
    return _HEAD[part].format(side)


def _hand_definition(name: str) -> str:
    if name in _WRIST:
        return _WRIST[name]
    ray, joint = name.split("_")
    return _JOINTS[joint].format(_RAYS[ray])
