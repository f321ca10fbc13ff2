"""What the commands of `register` work on: small hands with label maps, and a model that knows next to nothing."""

from __future__ import annotations

import dataclasses

import pytest
from PIL import Image

from napari_landmark.cli.app import main


@pytest.fixture
def labels(data, phantoms):
    """A folder with the label maps of the first two hands."""
    (data / "labels").mkdir()
    for phantom in phantoms[:2]:
        Image.fromarray(phantom.labels).save(data / "labels" / phantom.image.name)
    return data / "labels"


@pytest.fixture(scope="session")
def registration_model(tmp_path_factory, cohort, phantoms):
    """Folder of a model trained for two steps."""
    from napari_landmark.registration.options import RegistrationOptions
    from napari_landmark.registration.training.train import train_registration

    folder = tmp_path_factory.mktemp("registration") / "model"
    known = {phantom.image.name: phantom.labels for phantom in phantoms[:2]}
    train_registration(cohort, known, options=RegistrationOptions(device="cpu", steps=2), folder=folder)
    return folder


@pytest.fixture
def two_steps(monkeypatch):
    """Trainings of registration models take two steps."""
    from napari_landmark.registration import options

    honest = options.default_registration_options

    def short(*arguments, **keywords):
        return dataclasses.replace(honest(*arguments, **keywords), steps=2)

    monkeypatch.setattr(options, "default_registration_options", short)


@pytest.fixture
def train_options(data, tmp_path):
    """The options of a good `train` command, as a list that can be changed."""

    def options(**changes):
        given = {
            "images": data / "images",
            "template": data / "images" / "hand_000.png",
            "landmarks": data / "template.csv",
            "out": tmp_path / "study",
            "device": "cpu",
            **changes,
        }
        return [
            part for key, value in given.items() if value is not None for part in (f"--{key}", str(value))
        ]

    return options


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused with status 2; gives its one line."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == 2, captured.err
        assert "Traceback" not in captured.err
        last = captured.err.strip().splitlines()[-1]
        assert last.startswith("napari-landmark: ")
        return last

    return run
