"""A model that was saved predicts the same; a damaged one is refused in a line that names the file."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.serialization import FORMAT_VERSION, read_model, save_model
from napari_landmark.detection.model.store import load_model
from napari_landmark.learning.checkpoint import load_tensors, save_tensors


@pytest.fixture
def model(study):
    return load_model(study, device="cpu")


@pytest.fixture
def folder(study):
    return study.models_dir / "001"


@pytest.fixture
def image(phantoms):
    return phantoms[2].image


def test_there_and_back(model, image, tmp_path):
    save_model(model, tmp_path / "copy")
    again = read_model(tmp_path / "copy", device=model.device)
    assert again.detect(image).landmarks == model.detect(image).landmarks
    assert again.digest() == model.digest()
    np.testing.assert_allclose(again.refiner.typical, model.refiner.typical, atol=1e-4)
    assert again.schema == model.schema
    assert again.record == model.record


def test_without_a_detector(model, image, tmp_path):
    alone = LandmarkModel(
        model.schema, model.canvas, model.embedding, model.descriptors, None, device=model.device
    )
    save_model(alone, tmp_path / "copy")
    again = read_model(tmp_path / "copy", device=model.device)
    assert again.detector is None
    assert again.detect(image).landmarks == alone.detect(image).landmarks


def test_without_a_refiner(model, image, tmp_path):
    model.refiner = None
    save_model(model, tmp_path / "copy")
    assert not list((tmp_path / "copy").glob("close_*"))
    again = read_model(tmp_path / "copy", device=model.device)
    assert again.refiner is None
    assert again.detect(image).landmarks == model.detect(image).landmarks


def written_by(folder, version):
    """Change a model folder to what an earlier version of the format held."""
    path = folder / "model.json"
    sidecar = {**json.loads(path.read_text()), "version": version}
    del sidecar["patch_detector"]
    (folder / "patch_detector.safetensors").unlink()
    for part in ("embedding", "detector") if version < 4 else ():
        sidecar[part]["shrink"] = sidecar[part].pop("downsampling")
    if version == 2:
        sidecar["close_up"] = None
    if version == 1:
        del sidecar["close_up"], sidecar["typical_support"]
    if version < 3:
        for name in ("close_up", "close_templates"):
            (folder / f"{name}.safetensors").unlink()
    path.write_text(json.dumps(sidecar))


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_models_of_earlier_versions(folder, model, image, version):
    written_by(folder, version)
    again = read_model(folder, device=model.device)
    model.patch_detector = None
    if version < 3:
        model.refiner = None
    assert (again.refiner is None) == (version < 3)
    assert again.embedding.config == model.embedding.config
    assert again.detector.config == model.detector.config
    assert again.digest() == model.digest()
    assert again.detect(image).landmarks == model.detect(image).landmarks


def test_the_version_of_the_format(folder):
    sidecar = json.loads((folder / "model.json").read_text())
    assert sidecar["version"] == FORMAT_VERSION == 5
    assert sidecar["embedding"]["downsampling"] == 1
    assert "shrink" not in sidecar["embedding"]


def test_an_interrupted_save_leaves_no_mixture(model, tmp_path, monkeypatch):
    save_model(model, tmp_path / "copy")

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(model.descriptors.positions.__class__, "contiguous", stop)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, tmp_path / "copy")
    monkeypatch.undo()
    with pytest.raises(InputError, match="holds no landmark model"):
        read_model(tmp_path / "copy", device=model.device)


def test_the_record_says_how_it_was_trained(model):
    assert model.record["options"]["seed"] == 0
    assert model.record["templates"] == ["hand_000.png"]
    assert set(model.record["versions"]) >= {"napari-landmark", "torch", "numpy", "python"}
    assert len(model.record["data_fingerprint"].removeprefix("ends:")) == 64


def test_an_empty_folder(tmp_path, model):
    with pytest.raises(InputError, match=r"holds no landmark model \(model.json is missing\)"):
        read_model(tmp_path, device=model.device)


@pytest.mark.parametrize("name", ["embedding", "detector", "templates", "close_up", "close_templates"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_damaged_weights_are_named(folder, model, name, damage):
    path = folder / f"{name}.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        other = "detector" if "templates" in name else "templates"
        path.write_bytes((folder / f"{other}.safetensors").read_bytes())
    with pytest.raises(InputError, match=path.name):
        read_model(folder, device=model.device)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda sidecar: "{", "cannot be read as JSON"),
        (lambda sidecar: "", "cannot be read as JSON"),
        (lambda sidecar: "[]", "is not a landmark model"),
        (lambda sidecar: json.dumps({**sidecar, "format": "other"}), "is not a landmark model"),
        (lambda sidecar: json.dumps({**sidecar, "version": 99}), "another version"),
        (lambda sidecar: json.dumps({**sidecar, "embedding": 3}), "not a complete model description"),
        (lambda sidecar: json.dumps({**sidecar, "detector": {}}), "not a complete model description"),
        (lambda sidecar: json.dumps({**sidecar, "canvas": "x"}), "not a complete model description"),
        (lambda sidecar: json.dumps({**sidecar, "canvas": [1e999, 64]}), "not a complete model description"),
        (lambda sidecar: json.dumps({**sidecar, "schema": {}}), "not a complete model description"),
        (
            lambda sidecar: json.dumps({k: v for k, v in sidecar.items() if k != "canvas"}),
            "not a complete model description",
        ),
        (
            lambda sidecar: json.dumps({**sidecar, "embedding": {**sidecar["embedding"], "spatial_dims": 7}}),
            "not a complete model description",
        ),
        (
            lambda sidecar: json.dumps(
                {**sidecar, "embedding": {**sidecar["embedding"], "channels": [8, 8, 8, 8, -1]}}
            ),
            "not a complete model description",
        ),
        (
            lambda sidecar: json.dumps({**sidecar, "embedding": {**sidecar["embedding"], "size": 5}}),
            "do not fit",
        ),
    ],
)
def test_a_damaged_sidecar_is_named(folder, model, spoil, message):
    path = folder / "model.json"
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(InputError, match=message) as caught:
        read_model(folder, device=model.device)
    assert str(folder) in str(caught.value)


def test_typical_consensus_may_be_unknown(folder, model, image):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "typical_support": None}))
    again = read_model(folder, device=model.device)
    assert again.refiner.typical is None
    again.usual_errors = None  # after a few steps, what is called missing means nothing
    assert np.isfinite(again.detect(image).landmarks.expected_errors()).all()


@pytest.mark.parametrize("first", ["-1", "1.5", "NaN", "1e999", '"x"', "null", "[1]", "1" + "0" * 400])
def test_typical_consensus_that_cannot_be(folder, model, first):
    path = folder / "model.json"
    sidecar = json.loads(path.read_text())
    values = [0.5] * (len(model.schema) - 1)
    text = json.dumps({**sidecar, "typical_support": ["first", *values]})
    path.write_text(text.replace('"first"', first))
    with pytest.raises(InputError, match="not a complete model description"):
        read_model(folder, device=model.device)
    path.write_text(json.dumps({**sidecar, "typical_support": values}))
    with pytest.raises(InputError, match="not a complete model description"):
        read_model(folder, device=model.device)


@pytest.mark.skipif(sys.platform == "win32", reason="how much memory was taken")
@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("close_up", {"window": 2**40}, "not a complete model description"),
        ("close_up", {"window": 10**30}, "not a complete model description"),
        ("close_up", {"window": 96}, "not a complete model description"),  # larger than the canvas
        ("close_up", {"window": 33}, "not a complete model description"),
        ("close_up", {"window": 32.0}, "not a complete model description"),
        ("close_up", {"window": "32"}, "not a complete model description"),
        ("close_up", {"window": 0}, "not a complete model description"),
        ("close_up", {"window": -32}, "not a complete model description"),
        ("close_up", {"window": None}, "not a complete model description"),
        ("close_up", {"spatial_dims": 3}, "not a complete model description"),
        ("close_up", {"size": 2**40}, r"do not fit|not a complete model description"),
        ("close_up", {"size": 10**30}, r"do not fit|not a complete model description"),
        ("close_up", {"channels": [8, 8, 8, 8, 2**40]}, r"do not fit|not a complete model description"),
        ("close_up", {"channels": [8, 8]}, "not a complete model description"),
        ("close_up", {"size": 16}, "do not fit"),
        ("embedding", {"size": 2**40}, r"do not fit|not a complete model description"),
        ("detector", {"landmarks": 2**40}, "not a complete model description"),
        ("detector", {"downsampling": -1}, "not a complete model description"),
        ("detector", {"downsampling": 7}, "not a complete model description"),
        ("detector", {"sigma": 0}, "not a complete model description"),
        ("detector", {"sigma": float("nan")}, "not a complete model description"),
        ("detector", {"radius": True}, "not a complete model description"),
        ("embedding", {"spatial_dims": [2]}, "not a complete model description"),
    ],
)
def test_absurd_numbers_are_refused_and_take_no_memory(folder, model, part, values, message):
    import resource

    path = folder / "model.json"
    sidecar = json.loads(path.read_text())
    path.write_text(json.dumps({**sidecar, part: {**sidecar[part], **values}}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=message) as caught:
        read_model(folder, device=model.device)
    assert str(folder) in str(caught.value)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (
        1 if sys.platform == "darwin" else 1024
    )
    assert taken < 100e6


@pytest.mark.parametrize(("name", "places"), [("templates", "positions"), ("close_templates", "offsets")])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda tensors, places: {**tensors, places: tensors[places][:, :-1]},
        lambda tensors, places: {**tensors, places: tensors[places][:0]},
        lambda tensors, places: {**tensors, "vectors.0": tensors["vectors.0"][:, :-1]},
        lambda tensors, places: {**tensors, "vectors.0": tensors["vectors.0"][..., :-1]},
        lambda tensors, places: {**tensors, "maps.1": tensors["maps.1"][:0]},
        lambda tensors, places: {**tensors, "maps.1": tensors["maps.1"][..., 0]},
        lambda tensors, places: {**tensors, "maps.1": tensors["maps.1"].narrow(-3, 0, 5)},
        lambda tensors, places: {name: value for name, value in tensors.items() if name != "maps.0"},
    ],
)
def test_templates_of_another_shape_are_named(folder, model, name, places, spoil):
    path = folder / f"{name}.safetensors"
    save_tensors(path, spoil(load_tensors(path)[0], places))
    with pytest.raises(InputError, match=rf"{name}\.safetensors"):
        read_model(folder, device=model.device)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tensors: {**tensors, "vectors.1": tensors["vectors.1"][:, :, :-1]},  # a point too few
        lambda tensors: {**tensors, "maps.1": tensors["maps.1"][..., 1:-1, 1:-1]},
    ],
)
def test_patch_descriptors_that_do_not_fit_are_named(folder, model, spoil):
    path = folder / "close_templates.safetensors"
    save_tensors(path, spoil(load_tensors(path)[0]))
    with pytest.raises(InputError, match=r"close_templates\.safetensors"):
        read_model(folder, device=model.device)


def test_a_patch_embedding_of_the_second_version_is_refused(folder, model, image):
    path = folder / "model.json"
    sidecar = {**json.loads(path.read_text()), "version": 2}
    path.write_text(json.dumps(sidecar))
    with pytest.raises(InputError, match="another version"):
        read_model(folder, device=model.device)
    path.write_text(json.dumps({**sidecar, "close_up": None}))
    assert read_model(folder, device=model.device).refiner is None
