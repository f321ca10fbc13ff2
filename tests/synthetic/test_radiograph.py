"""The drawn radiographs: what they claim to know about themselves is measured in the pixels."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_landmark.data.images.image import read_image
from napari_landmark.synthetic import LANDMARKS, REGIONS, Phantom, hand_phantom, write_sample_data

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample_data"
FINGERS = ("index", "middle", "ring", "little")
# (joint, its neighbour outwards, the region beyond it)
JOINTS = [
    ("thumb_cmc", "thumb_mcp", "metacarpals"),
    ("thumb_mcp", "thumb_ip", "proximal phalanges"),
    ("thumb_ip", "thumb_tip", "distal phalanges"),
]
for _finger in FINGERS:
    JOINTS += [
        (f"{_finger}_mcp", f"{_finger}_pip", "proximal phalanges"),
        (f"{_finger}_pip", f"{_finger}_dip", "middle phalanges"),
        (f"{_finger}_dip", f"{_finger}_tip", "distal phalanges"),
    ]
BEFORE_THE_TIP = {"thumb": "thumb_ip", **{finger: f"{finger}_dip" for finger in FINGERS}}


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [hand_phantom(seed) for seed in range(100, 124)]


def point(phantom: Phantom, name: str) -> np.ndarray:
    return np.array(phantom.landmarks[name].position)


def direction(phantom: Phantom, start: str, end: str) -> np.ndarray:
    arrow = point(phantom, end) - point(phantom, start)
    return arrow / np.linalg.norm(arrow)


def label_at(phantom: Phantom, position: np.ndarray) -> int:
    row, column = np.rint(position).astype(int)
    return int(phantom.labels[row, column])


def distance_to(phantom: Phantom, region: str, position: np.ndarray) -> float:
    """Return how far the region's edge is from a position outside it, in pixels."""
    inside = np.argwhere(phantom.labels == REGIONS[region])
    return float(np.linalg.norm(inside - position, axis=1).min()) - 0.5  # from a pixel's middle to its edge


class TestOnePhantom:
    def test_is_the_same_for_the_same_seed(self):
        first, second = hand_phantom(7), hand_phantom(7)
        assert first.image.array.tobytes() == second.image.array.tobytes()
        assert first.labels.tobytes() == second.labels.tobytes()
        assert np.array_equal(first.landmarks.positions(), second.landmarks.positions())

    def test_differs_for_another_seed(self):
        assert not np.allclose(hand_phantom(7).landmarks.positions(), hand_phantom(8).landmarks.positions())

    def test_has_the_size_that_was_asked_for(self):
        phantom = hand_phantom(3, size=(200, 181))
        assert phantom.image.array.shape == phantom.labels.shape == (200, 181)
        assert phantom.image.geometry.contains(phantom.landmarks.positions()).all()

    def test_is_an_eight_bit_image_of_unknown_spacing(self):
        image = hand_phantom(0).image
        assert image.array.dtype == np.uint8
        assert image.geometry.shape == image.array.shape
        assert not image.geometry.has_spacing
        assert image.name == "hand_000.png"

    def test_every_landmark_is_placed(self):
        landmarks = hand_phantom(0).landmarks
        assert tuple(landmarks.schema.names) == LANDMARKS
        assert np.isfinite(landmarks.positions()).all()


class TestStructures:
    def test_landmarks_keep_away_from_the_border(self, phantoms):
        for phantom in phantoms:
            assert phantom.image.geometry.contains(phantom.landmarks.positions(), margin=12).all()

    def test_every_region_is_drawn(self, phantoms):
        for phantom in phantoms:
            assert set(np.unique(phantom.labels)) == set(REGIONS.values())

    def test_joints_lie_in_the_gap_in_front_of_their_bone(self, phantoms):
        for phantom in phantoms:
            for joint, outwards, region in JOINTS:
                place, arrow = point(phantom, joint), direction(phantom, joint, outwards)
                assert label_at(phantom, place + 4 * arrow) == REGIONS[region], (phantom.image.name, joint)
                assert label_at(phantom, place - 4 * arrow) > REGIONS["soft tissue"], (
                    phantom.image.name,
                    joint,
                )
                assert 0 < distance_to(phantom, region, place) < 3, (phantom.image.name, joint)

    def test_joints_are_in_the_middle_of_the_dark_line(self, phantoms):
        offsets = np.arange(-3, 3.01, 0.1)
        profiles = []
        for phantom in phantoms:
            for joint, outwards, _ in JOINTS:
                path = point(phantom, joint)[:, None] + direction(phantom, joint, outwards)[:, None] * offsets
                profiles.append(ndimage.map_coordinates(phantom.image.array.astype(float), path, order=1))
        profile = np.mean(profiles, axis=0)
        darkest = offsets[np.argmin(profile)]
        assert abs(darkest) < 0.35
        assert profile[0] - profile.min() > 15
        assert profile[-1] - profile.min() > 15

    @pytest.mark.parametrize("finger", ["thumb", *FINGERS])
    def test_tips_are_where_the_last_bone_ends(self, phantoms, finger):
        steps = np.arange(-6, 6, 0.05)
        ends = []
        for phantom in phantoms:
            arrow = direction(phantom, BEFORE_THE_TIP[finger], f"{finger}_tip")
            on_bone = [
                label_at(phantom, point(phantom, f"{finger}_tip") + step * arrow)
                == REGIONS["distal phalanges"]
                for step in steps
            ]
            ends.append(steps[np.flatnonzero(on_bone).max()])
        assert np.abs(ends).max() < 1.0
        assert abs(np.mean(ends)) < 0.35

    @pytest.mark.parametrize(("name", "region"), [("radial_styloid", "radius"), ("ulnar_styloid", "ulna")])
    def test_styloids_are_tips_of_their_bones(self, phantoms, name, region):
        for phantom in phantoms:
            place = point(phantom, name)
            outwards = place - point(phantom, "capitate")
            assert abs(distance_to(phantom, region, place)) < 1.0
            # The bone is on one side only: nothing of it lies towards the fingers.
            axis = direction(phantom, "capitate", "middle_mcp")
            beyond = np.argwhere(phantom.labels == REGIONS[region]) @ axis > place @ axis + 4
            assert not beyond.any(), (phantom.image.name, outwards)

    def test_the_capitate_is_among_the_carpals(self, phantoms):
        for phantom in phantoms:
            assert label_at(phantom, point(phantom, "capitate")) == REGIONS["carpals"]

    def test_labels_follow_the_image(self, phantoms):
        for phantom in phantoms:
            inner = {
                name: phantom.image.array[ndimage.binary_erosion(phantom.labels == value, iterations=2)]
                for name, value in REGIONS.items()
                if name in ("background", "soft tissue", "metacarpals", "carpals")
            }
            means = {name: float(np.median(values)) for name, values in inner.items()}
            assert means["background"] + 15 < means["soft tissue"] < means["metacarpals"] - 10

    def test_cortex_is_brighter_than_marrow(self, phantoms):
        for phantom in phantoms:
            bone = ndimage.binary_fill_holes(phantom.labels == REGIONS["proximal phalanges"])
            middle = np.mean([point(phantom, "middle_mcp"), point(phantom, "middle_pip")], axis=0)
            arrow = direction(phantom, "middle_mcp", "middle_pip")
            across = np.array([arrow[1], -arrow[0]])
            offsets = np.arange(-12, 12.1, 0.5)
            path = middle[:, None] + across[:, None] * offsets
            on_bone = ndimage.map_coordinates(bone.astype(float), path, order=1) > 0.5
            profile = ndimage.map_coordinates(phantom.image.array.astype(float), path, order=1)[on_bone]
            centre = profile[len(profile) // 2]
            assert max(profile[: len(profile) // 2]) > centre
            assert max(profile[len(profile) // 2 :]) > centre


class TestVariety:
    def test_landmarks_move_by_more_than_a_twentieth_of_the_size(self, phantoms):
        relative = np.array([p.landmarks.positions() / p.image.array.shape for p in phantoms])
        spread = np.linalg.norm(relative.std(axis=0), axis=1)
        assert spread.min() > 0.05

    def test_shapes_differ_when_pose_is_taken_away(self, phantoms):
        bones = [
            [np.linalg.norm(point(p, a) - point(p, b)) for a, b, _ in JOINTS]  # lengths of the bones
            for p in phantoms
        ]
        lengths = np.array(bones) / np.sum(bones, axis=1, keepdims=True)
        assert (lengths.std(axis=0) / lengths.mean(axis=0)).min() > 0.02

    def test_sizes_and_exposures_differ(self, phantoms):
        assert len({p.image.array.shape for p in phantoms}) > 20
        rows, columns = np.array([p.image.array.shape for p in phantoms]).T
        assert rows.min() >= 320
        assert rows.max() <= 420
        assert columns.min() >= 260
        assert columns.max() <= 340
        bone = [np.median(p.image.array[p.labels == REGIONS["metacarpals"]]) for p in phantoms]
        assert np.std(bone) > 10


class TestSampleData:
    def test_is_what_the_code_draws(self, tmp_path):
        write_sample_data(tmp_path)
        written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
        kept = {
            path.relative_to(SAMPLE_DATA)
            for path in SAMPLE_DATA.rglob("*")
            if path.is_file() and "volumes" not in path.parts
        }
        assert written == kept
        for name in sorted(written):
            if name.suffix == ".png":  # the same pixels; how they are packed is the PNG library's affair
                fresh, stored = (read_image(folder / name).array for folder in (tmp_path, SAMPLE_DATA))
                assert fresh.tobytes() == stored.tobytes(), name
            else:
                assert (tmp_path / name).read_bytes() == (SAMPLE_DATA / name).read_bytes(), name

    def test_holds_what_its_readme_says(self):
        training = sorted(path.name for path in (SAMPLE_DATA / "images").iterdir())
        held_out = sorted(path.name for path in (SAMPLE_DATA / "heldout" / "images").iterdir())
        labels = sorted(path.name for path in (SAMPLE_DATA / "labels").iterdir())
        assert len(training) == 44
        assert len(held_out) == 12
        assert labels == training + held_out
        assert sum(path.stat().st_size for path in SAMPLE_DATA.rglob("*") if path.is_file()) < 6e6

    def test_tables_hold_the_exact_landmarks(self):
        for table, seeds in (
            (SAMPLE_DATA / "template.csv", [0]),
            (SAMPLE_DATA / "heldout/truth.csv", range(44, 56)),
        ):
            with table.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            assert [row["landmark"] for row in rows] == list(LANDMARKS) * len(seeds)
            for number, seed in enumerate(seeds):
                phantom = hand_phantom(seed)
                own = rows[number * len(LANDMARKS) : (number + 1) * len(LANDMARKS)]
                assert {row["image"] for row in own} == {phantom.image.name}
                stored = np.array([[float(row["y"]), float(row["x"])] for row in own])
                np.testing.assert_allclose(stored, phantom.landmarks.positions(), atol=0.00051)

    def test_the_module_says_how_it_is_called(self):
        result = subprocess.run(
            [sys.executable, "-m", "napari_landmark.synthetic"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 2
        assert result.stderr.startswith("usage:")
