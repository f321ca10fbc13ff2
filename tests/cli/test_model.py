"""`napari-landmark model`: models of studies and of registrations as files."""

from __future__ import annotations

import hashlib

import pytest

from napari_landmark.cli.app import main


def run(*arguments):
    assert main([str(argument) for argument in arguments]) == 0


def test_a_model_goes_to_another_study_and_detects_there(study, data, tmp_path, capsys):
    archive = tmp_path / "hands.model.zip"
    run("model", "export", study.folder, "--out", archive)
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in capsys.readouterr().out
    run("model", "import", archive, "--out", tmp_path / "new")
    run(
        "detect",
        tmp_path / "new",
        "--images",
        data / "images",
        "--out",
        tmp_path / "new.csv",
        "--device",
        "cpu",
    )
    run("detect", study.folder, "--images", data / "images", "--out", tmp_path / "old.csv", "--device", "cpu")
    assert (tmp_path / "new.csv").read_bytes() == (tmp_path / "old.csv").read_bytes()


def test_a_registration_model_goes_to_a_new_folder(registration_model, tmp_path, capsys):
    from napari_landmark.registration.model import RegistrationModel

    archive = tmp_path / "hands.model.zip"
    run("model", "export", registration_model, "--out", archive)
    run("model", "import", archive, "--out", tmp_path / "model")
    assert "register pair" in capsys.readouterr().out
    first, second = RegistrationModel.load(registration_model), RegistrationModel.load(tmp_path / "model")
    assert first.labels == second.labels
    assert all(
        value.equal(second.network.state_dict()[name]) for name, value in first.network.state_dict().items()
    )
    assert "Registration model" in (tmp_path / "model" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("name", ["009", "../../x"])
def test_an_unknown_model_is_refused(study, tmp_path, refused, name):
    message = refused("model", "export", study.folder, "--name", name, "--out", tmp_path / "a.model.zip")
    assert name in message


def test_an_existing_folder_is_no_place_for_a_registration_model(registration_model, tmp_path, refused):
    archive = tmp_path / "hands.model.zip"
    run("model", "export", registration_model, "--out", archive)
    assert "is there already" in refused("model", "import", archive, "--out", registration_model)
