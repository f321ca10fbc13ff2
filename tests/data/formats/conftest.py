"""What the tests of all landmark formats share: drawn landmarks, drawn geometries, spoiled files."""

from __future__ import annotations

import json
import string
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

_names = st.text(st.sampled_from(string.printable[:95] + "éß日"), min_size=1, max_size=8).filter(
    lambda name: name == name.strip() and name.isprintable()
)
_images = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "_- é日"), min_size=1, max_size=8
).map(lambda stem: f"{stem}.png")
_fractions = st.floats(0, 1).map(lambda value: round(value, 6))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _geometry(draw: st.DrawFn, ndim: int) -> Geometry:
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() if ndim == 3 else np.eye(2)
    return Geometry(
        shape=tuple(draw(st.integers(4, 2000)) for _ in range(ndim)),
        spacing=tuple(draw(st.floats(0.01, 9)) for _ in range(ndim)),
        origin=tuple(draw(st.floats(-1000, 1000)) for _ in range(ndim)),
        direction=tuple(map(tuple, turned.tolist())),
    )


@st.composite
def _sets(
    draw: st.DrawFn, ndim: int, most_images: int = 3
) -> tuple[dict[str, LandmarkSet], dict[str, Geometry]]:
    schema = LandmarkSchema(tuple(draw(st.lists(_names, min_size=1, max_size=4, unique=True))))
    sets, geometries = {}, {}
    images = st.lists(_images, min_size=1, max_size=most_images, unique_by=str.casefold)
    for image in draw(images):
        geometry = geometries[image] = draw(_geometry(ndim))
        marks = []
        for name in schema.names:
            status = draw(st.sampled_from(Status))
            position = None
            if status.has_position:
                position = tuple(round(draw(_fractions) * (size - 1), 6) for size in geometry.shape)
            confidence = draw(st.none() | _fractions)
            marks.append(Landmark(name, position, status, confidence, draw(st.none() | _fractions)))
        sets[image] = LandmarkSet(schema, marks)
    return sets, geometries


@st.composite
def _spoiled(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes of a good file with some cut out and others put in."""
    data = content
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 20))
        inserted = draw(
            st.binary(max_size=6)
            | st.sampled_from([b"", b"\n", b",", b"-", b"1e999", b"nan", b"=", b'"', b"9" * 400])
        )
        data = data[:start] + inserted + data[start + length :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@st.composite
def _spoiled_json(draw: st.DrawFn, content: bytes) -> bytes:
    """A good JSON file in which one value is another."""
    data = json.loads(content)
    place = data
    while True:
        key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not (isinstance(place[key], dict | list) and place[key]) or draw(st.integers(0, 4)) == 0:
            break
        place = place[key]
    place[key] = draw(_json)
    return json.dumps(data).encode()


@pytest.fixture(scope="session")
def drawn():
    """Strategies: geometry(ndim), sets(ndim, most_images), spoiled(bytes), spoiled_json(bytes)."""
    return SimpleNamespace(geometry=_geometry, sets=_sets, spoiled=_spoiled, spoiled_json=_spoiled_json)


@pytest.fixture(scope="session")
def survives():
    """Checks that a reader refuses bytes with a clear message or reads them, and nothing else."""

    def check(read, path, content, **options):
        path.write_bytes(content)
        try:
            found = read(path, **options)
        except InputError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
        else:
            assert all(isinstance(marks, LandmarkSet) for marks in found.values())

    return check


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("formats")
