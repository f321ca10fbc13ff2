"""Landmark schemas of common use, with the definitions of textbooks."""

from __future__ import annotations

from napari_landmark.data.landmarks import LandmarkSchema

_CEPHALOMETRIC = {
    "Sella": "Centre of the pituitary fossa (sella turcica), found by eye.",
    "Nasion": "Most anterior point of the suture between the frontal and the nasal bones, in the midline.",
    "Orbitale": "Lowest point of the lower margin of the orbit; halfway where both orbits show.",
    "Porion": "Uppermost point of the external auditory meatus (anatomic porion).",
    "Subspinale (A)": "Deepest point of the concavity of the maxilla between the anterior nasal spine and the "
    "alveolar bone of the upper incisors.",
    "Supramentale (B)": "Deepest point of the concavity of the mandible between the alveolar bone of the lower "
    "incisors and pogonion.",
    "Pogonion": "Most anterior point of the bony chin.",
    "Menton": "Lowest point of the mandibular symphysis.",
    "Gnathion": "Point of the bony chin halfway between pogonion and menton, the most anterior and inferior.",
    "Gonion": "Point of the angle of the mandible, where the bisector of the tangents to its lower border and to "
    "the ramus meets the bone; halfway where both sides show.",
    "Incision inferius": "Tip of the crown of the most anterior lower incisor.",
    "Incision superius": "Tip of the crown of the most anterior upper incisor.",
    "Upper lip": "Most anterior point of the upper lip.",
    "Lower lip": "Most anterior point of the lower lip.",
    "Subnasale": "Where the columella of the nose meets the upper lip in the midline.",
    "Soft tissue pogonion": "Most anterior point of the soft tissue of the chin.",
    "Posterior nasal spine": "Tip of the posterior spine of the palatine bone, at the back of the hard palate.",
    "Anterior nasal spine": "Tip of the anterior nasal spine of the maxilla, at the lower margin of the nasal opening.",
    "Articulare": "Where the outline of the ramus of the mandible's back crosses the lower border of the cranial base.",
}

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


def cephalometric() -> LandmarkSchema:
    """Schema of the 19 landmarks of lateral cephalograms, in the order of the ISBI 2015 challenge."""
    return LandmarkSchema(tuple(_CEPHALOMETRIC), definitions=tuple(_CEPHALOMETRIC.values()))


def hand_phantom() -> LandmarkSchema:
    """Schema of the synthetic hand radiographs."""
    from napari_landmark.synthetic import LANDMARKS

    return LandmarkSchema(LANDMARKS, definitions=tuple(_hand_definition(name) for name in LANDMARKS))


def head_phantom() -> LandmarkSchema:
    """Schema of the synthetic CT of heads."""
    from napari_landmark.synthetic import HEAD_LANDMARKS

    return LandmarkSchema(
        HEAD_LANDMARKS, definitions=tuple(_head_definition(name) for name in HEAD_LANDMARKS)
    )


def unnamed() -> LandmarkSchema:
    """Schema of one landmark, for users who name landmarks while they place them."""
    return LandmarkSchema(("landmark 1",))


PRESETS = {
    "I name them while placing": unnamed,
    "Lateral cephalogram, 19 landmarks (ISBI 2015)": cephalometric,
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
