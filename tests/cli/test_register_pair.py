"""`register pair`: everything it writes fits together, and nothing is written where something is wrong."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_landmark.cli.app import main
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.nrrd import write_nrrd
from napari_landmark.data.landmarks import Status
from napari_landmark.registration.pairwise import pair_files as pair_module
from napari_landmark.registration.pairwise.header_alignment import header_alignment
from napari_landmark.registration.result import Registration
from napari_landmark.registration.transform.transform import Transform


@pytest.fixture
def arguments(data, labels, tmp_path):
    def build(*flags, **changes):
        options = {
            "fixed": data / "images" / "hand_000.png",
            "moving": data / "images" / "hand_001.png",
            "out": tmp_path / "pair",
            "device": "cpu",
            "steps": 1,
            **changes,
        }
        given = [part for key, value in options.items() if value is not None for part in (f"--{key}", value)]
        return [str(part) for part in ("register", "pair", *given, *flags)]

    return build


@pytest.fixture
def known(data, labels):
    """Options that say everything there is to know about the two hands."""
    return {
        "fixed-labels": labels / "hand_000.png",
        "moving-labels": labels / "hand_001.png",
        "fixed-landmarks": data / "truth.csv",
        "moving-landmarks": data / "truth.csv",
    }


def test_what_is_written_fits_together(arguments, known, labels, data, tmp_path, registration_model, capsys):
    assert main(arguments(**known, model=registration_model, spacing=0.5)) == 0
    out = tmp_path / "pair"
    assert sorted(path.name for path in out.iterdir()) == [
        "measures.json", "overview.png", "transform.json", "transform.nrrd",
        "warped.nrrd", "warped.png", "warped_labels.nrrd", "warped_landmarks.csv",
    ]  # fmt: skip
    transform = Transform.load(out / "transform.nrrd")
    moving = read_image(data / "images" / "hand_001.png", spacing=0.5)
    warped = read_image(out / "warped.nrrd")
    np.testing.assert_array_equal(warped.array, transform.warp_image(moving).array)
    assert warped.geometry.spacing == (0.5, 0.5)
    np.testing.assert_array_equal(np.array(Image.open(out / "warped.png")), warped.array)
    carried = read_landmarks(out / "warped_landmarks.csv")["hand_000.png"]
    truth = read_landmarks(data / "truth.csv")["hand_001.png"]
    np.testing.assert_allclose(transform.to_moving(carried.positions()), truth.positions(), atol=1e-2)
    assert carried["index_tip"].status is Status.PREDICTED
    moved = transform.warp_labels(np.array(Image.open(labels / "hand_001.png")))
    np.testing.assert_array_equal(read_image(out / "warped_labels.nrrd").array, moved)
    measures = json.loads((out / "measures.json").read_text())
    assert measures["guided_by"] == ["labels", "landmarks"]
    for key in ("correlation", "dice", "tre_mm", "tre_px"):
        before = key.replace("tre", "tre_before") if "tre" in key else f"{key}_before"
        assert isinstance(measures[key], float)
        assert isinstance(measures[before], float)
    assert measures["tre_mm"] == pytest.approx(measures["tre_px"] / 2)
    with Image.open(out / "overview.png") as overview:
        assert overview.width > 1000
    printed = capsys.readouterr().out
    assert "Dice" in printed
    assert "landmark error" in printed


def test_itk_makes_the_same_of_the_files(arguments, data, tmp_path):
    assert main(arguments(spacing=0.5)) == 0
    out = tmp_path / "pair"
    moving = sitk.GetImageFromArray(np.array(Image.open(data / "images" / "hand_001.png")).astype(np.float32))
    moving.SetSpacing((0.5, 0.5))
    field = sitk.ReadImage(str(out / "transform.nrrd"), sitk.sitkVectorFloat64)
    expected = sitk.Resample(
        moving,
        sitk.ReadImage(str(out / "warped.nrrd")),
        sitk.DisplacementFieldTransform(field),
        sitk.sitkLinear,
        -1,
    )
    expected = sitk.GetArrayFromImage(expected)
    inside = expected >= 0
    assert inside.mean() > 0.5
    warped = read_image(out / "warped.nrrd").array
    assert np.abs(warped[inside] - expected[inside]).max() < 0.6  # whole numbers are rounded


@pytest.mark.parametrize(("given", "expected"), [([], {1: 3.0, 2: 0.5}), (["2=4"], {1: 3.0, 2: 4.0})])
def test_weights_of_the_model_hold_unless_others_are_given(
    arguments, registration_model, tmp_path, monkeypatch, given, expected
):
    shutil.copytree(registration_model, tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    sidecar = json.loads(path.read_text())
    sidecar["training"]["options"]["weights"] |= {"bending": 0.25, "regions": {"1": 3, "2": 0.5}}
    path.write_text(json.dumps(sidecar))
    honest, used = pair_module.register_pair, []

    def spy(*images, options, **known):
        used.append(options.weights)
        return honest(*images, options=options, **known)

    monkeypatch.setattr(pair_module, "register_pair", spy)
    flags = [part for text in given for part in ("--region-weight", text)]
    assert main(arguments(*flags, model=tmp_path / "model", steps=0)) == 0
    assert used[0].regions == expected
    assert used[0].bending == 0.25


def test_an_unknown_spacing_stays_unknown(arguments, tmp_path):
    assert main(arguments(steps=0)) == 0
    assert not read_image(tmp_path / "pair" / "warped.nrrd").geometry.has_spacing
    assert json.loads((tmp_path / "pair" / "transform.json").read_text())["unit"] == "px"
    names = {path.name for path in (tmp_path / "pair").iterdir()}
    assert not names & {"warped_labels.nrrd", "warped_landmarks.csv"}


def test_moving_landmarks_alone_are_carried(arguments, data, tmp_path):
    assert main(arguments(**{"moving-landmarks": data / "truth.csv"})) == 0
    assert list(read_landmarks(tmp_path / "pair" / "warped_landmarks.csv")) == ["hand_000.png"]
    measures = json.loads((tmp_path / "pair" / "measures.json").read_text())
    assert measures["guided_by"] == []
    assert "tre_px" not in measures


def test_volumes(arguments, tmp_path, monkeypatch):
    def laid_over(fixed, moving, **options):
        return Registration(header_alignment(fixed.geometry, moving.geometry), 0.1)

    monkeypatch.setattr(pair_module, "register_pair", laid_over)
    volume = np.random.default_rng(0).normal(size=(10, 20, 16)).astype(np.float32)
    for name in ("a.nrrd", "b.nrrd"):
        write_nrrd(tmp_path / name, volume, Geometry(volume.shape, spacing=(2, 1, 1)))
    assert main(arguments(fixed=tmp_path / "a.nrrd", moving=tmp_path / "b.nrrd", steps=0)) == 0
    names = {path.name for path in (tmp_path / "pair").iterdir()}
    assert names == {"measures.json", "overview.png", "transform.json", "transform.nrrd", "warped.nrrd"}


@pytest.mark.parametrize(("flag", "searched"), [("--any-rotation", True), ("--upright", False), (None, None)])
def test_the_grid_and_the_search_of_rotations(arguments, monkeypatch, flag, searched):
    seen = []
    honest = pair_module.register_pair
    monkeypatch.setattr(
        pair_module,
        "register_pair",
        lambda *given, options, **others: seen.append(options) or honest(*given, options=options, **others),
    )
    assert main(arguments(*([flag] if flag else []), **{"working-size": 48})) == 0
    assert (seen[0].working_size, seen[0].any_rotation) == (48, searched)


def test_stopped(arguments, tmp_path, monkeypatch, capsys):
    honest = pair_module.register_pair

    def stopped(*given, progress, cancel, **options):
        cancel.cancel()
        return honest(*given, progress=progress, cancel=cancel, **options)

    monkeypatch.setattr(pair_module, "register_pair", stopped)
    assert main(arguments()) == 130
    assert "stopped: nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "pair").exists()


class TestRefuses:
    @pytest.fixture(autouse=True)
    def _untouched(self, tmp_path):
        yield
        assert not (tmp_path / "pair").exists()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"fixed": "nothing.png"}, "nothing.png: there is no such file"),
            ({"moving": None}, "--moving"),
            ({"model": "nothing"}, "nothing: holds no registration model"),
            ({"fixed-labels": "nothing.png"}, "nothing.png: there is no such file"),
            ({"moving-landmarks": "nothing.csv"}, "nothing.csv: there is no such file"),
            ({"steps": -1}, "--steps -1: give a number from 0 on"),
            ({"working-size": 8}, "--working-size 8: give 32 or more"),
            ({"working-size": 64, "model": "any"}, "--working-size 64: a model has a grid of its own"),
            ({"spacing": 0}, "--spacing"),
            ({"device": "tpu"}, "device 'tpu' is unknown"),
            ({"region-weight": "x"}, "--region-weight x: give LABEL=WEIGHT"),
        ],
    )
    def test_options(self, refused, arguments, changes, message):
        assert message in refused(*arguments(**changes))

    def test_a_label_map_of_another_size(self, refused, arguments, labels):
        Image.fromarray(np.zeros((30, 40), np.uint8)).save(labels / "hand_001.png")
        line = refused(*arguments(**{"moving-labels": labels / "hand_001.png"}))
        assert "hand_001.png: has 40 x 30 pixels and its image 64 x 64" in line

    def test_a_picture_and_a_volume(self, refused, arguments, tmp_path):
        write_nrrd(tmp_path / "v.nrrd", np.zeros((5, 20, 20), np.uint8), Geometry((5, 20, 20)))
        assert "give two of one kind" in refused(*arguments(moving=tmp_path / "v.nrrd"))

    def test_landmarks_of_another_image(self, refused, arguments, data):
        line = refused(*arguments(**{"moving-landmarks": data / "template.csv"}))
        assert "template.csv: has no rows for hand_001.png (it has hand_000.png)" in line

    def test_landmarks_of_a_volume(self, refused, arguments, data):
        (data / "v.csv").write_text("image,landmark,x,y,z\nhand_001.png,a,1,2,3\n")
        line = refused(*arguments(**{"moving-landmarks": data / "v.csv"}))
        assert "has 3 coordinates and the image 2 axes" in line

    def test_a_damaged_model(self, refused, arguments, tmp_path):
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "model.json").write_text("{")
        assert "model.json: " in refused(*arguments(model=tmp_path / "model"))


def test_what_was_given_is_not_overwritten(refused, arguments, data, tmp_path):
    (tmp_path / "pair").mkdir()
    inside = tmp_path / "pair" / "warped.png"
    inside.write_bytes((data / "images" / "hand_000.png").read_bytes())
    before = inside.read_bytes()
    assert "would be overwritten; choose another folder for the results" in refused(*arguments(fixed=inside))
    assert inside.read_bytes() == before
