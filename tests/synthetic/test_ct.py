"""The drawn CT: what it claims to know about itself is measured in the voxels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.window import looks_like_hounsfield
from napari_landmark.synthetic import HEAD_LANDMARKS, HEAD_REGIONS, head_phantom, write_sample_volumes
from napari_landmark.synthetic import volume_sample as sample

VOLUMES = Path(__file__).resolve().parents[2] / "sample_data" / "volumes"


@pytest.fixture(scope="module")
def phantoms():
    return [head_phantom(seed, size=44) for seed in range(100, 108)]


def label_at(phantom, points):
    """Names of the regions at positions (n, 3) in mm of the world."""
    index = np.round(phantom.image.geometry.to_index(points)).astype(int)
    names = {value: name for name, value in HEAD_REGIONS.items()}
    return [names[int(phantom.labels[tuple(i)])] for i in index]


def world(phantom, name):
    return phantom.image.geometry.to_world([phantom.landmarks[name].position])[0]


def test_the_same_seed_gives_the_same_bytes():
    first, again, other = (head_phantom(seed, size=24) for seed in (7, 7, 8))
    assert first.image.array.tobytes() == again.image.array.tobytes()
    assert first.landmarks == again.landmarks and first.image.geometry == again.image.geometry
    assert other.image.array.tobytes() != first.image.array.tobytes()


def test_every_landmark_is_on_the_volume(phantoms):
    for phantom in phantoms:
        assert phantom.image.geometry.contains(phantom.landmarks.positions(), margin=-1).all()


def test_tips_end_where_the_bone_ends(phantoms):
    """Before a tip is bone, a voxel and a half beyond it is none."""
    for tip, along, region in (
        ("coronoid_left", np.array((1.0, -0.35, 0.0)), "mandible"),
        ("mastoid_right", np.array((-1.0, 0.0, 0.0)), "skull"),
        ("menton", np.array((-1.0, 0.0, 0.0)), "mandible"),
    ):
        inner, outer = [], []
        step = along / np.linalg.norm(along)
        for phantom in phantoms:
            voxel = phantom.image.geometry.mean_spacing
            inner += label_at(phantom, [world(phantom, tip) - (0.5 * voxel + 1) * step])
            outer += label_at(phantom, [world(phantom, tip) + 1.5 * voxel * step])
        assert inner.count(region) >= 6, (tip, inner)
        assert outer.count(region) <= 1, (tip, outer)


def test_right_is_right_in_the_world(phantoms):
    for phantom in phantoms:
        for name in ("gonion", "zygion", "orbit", "condyle"):
            assert world(phantom, f"{name}_right")[2] < world(phantom, f"{name}_left")[2] - 40
        assert world(phantom, "menton")[0] < world(phantom, "nasion")[0] - 60
        assert world(phantom, "inion")[1] > world(phantom, "nasion")[1] + 120


def test_rotations_go_with_the_header(phantoms):
    """Drawn in other voxels, the same place of the world shows the same region."""
    turned = [p.image.geometry.direction for p in phantoms]
    assert np.linalg.det(turned[0]) == pytest.approx(1)
    assert np.abs(np.array(turned) - np.eye(3)).max(axis=(1, 2)).min() > 0.05
    for phantom in phantoms:
        array = phantom.image.array.astype(float)
        bone = map_coordinates(array, np.array([phantom.landmarks["gonion_left"].position]).T, order=1)
        assert bone[0] > 250


def test_intensities_are_those_of_ct(phantoms):
    for phantom in phantoms:
        assert looks_like_hounsfield(phantom.image.array)
        brain = phantom.image.array[phantom.labels == HEAD_REGIONS["brain"]]
        assert 0 < np.median(brain) < 70
        assert set(np.unique(phantom.labels)) == set(HEAD_REGIONS.values())


def test_heads_differ(phantoms):
    lengths = [np.linalg.norm(world(p, "nasion") - world(p, "inion")) for p in phantoms]
    faces = [np.linalg.norm(world(p, "nasion") - world(p, "menton")) for p in phantoms]
    assert np.std(lengths) / np.mean(lengths) > 0.02 and np.std(faces) / np.mean(faces) > 0.03


class TestSampleVolumes:
    def test_are_what_the_code_draws(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sample, "TRAINING_VOLUMES", 2)
        monkeypatch.setattr(sample, "HELD_OUT_VOLUMES", 1)
        write_sample_volumes(tmp_path)
        for name in ("images/head_000.nii.gz", "images/head_001.nii.gz", "labels/head_001.nii.gz"):
            fresh, kept = read_image(tmp_path / name), read_image(VOLUMES / name)
            assert fresh.array.tobytes() == kept.array.tobytes() and fresh.geometry == kept.geometry
        for name in ("template.csv", "schema.json"):
            assert (tmp_path / name).read_bytes() == (VOLUMES / name).read_bytes()

    def test_hold_what_their_readme_says(self):
        images = sorted(path.name for path in (VOLUMES / "images").iterdir())
        held_out = sorted(path.name for path in (VOLUMES / "heldout" / "images").iterdir())
        assert (len(images), len(held_out)) == (8, 4)
        assert sorted(path.name for path in (VOLUMES / "labels").iterdir()) == images + held_out
        assert sum(path.stat().st_size for path in VOLUMES.rglob("*") if path.is_file()) < 3e6
        image = read_image(VOLUMES / "images" / "head_003.nii.gz")
        drawn = head_phantom(3)
        np.testing.assert_allclose(image.geometry.direction, drawn.image.geometry.direction, atol=1e-6)
        np.testing.assert_allclose(image.geometry.origin, drawn.image.geometry.origin, atol=1e-3)
        assert image.geometry.is_anatomical

    def test_tables_hold_the_exact_landmarks(self):
        with (VOLUMES / "template.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["landmark"] for row in rows] == list(HEAD_LANDMARKS)
        stored = np.array([[float(row[axis]) for axis in "zyx"] for row in rows])
        np.testing.assert_allclose(stored, head_phantom(0).landmarks.positions(), atol=0.00051)
