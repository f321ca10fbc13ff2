"""Mistakes in the input of `detect`: one clear line and status 2."""

from __future__ import annotations

import json
import shutil

import pytest

pytestmark = pytest.mark.usefixtures("quick")


class TestDetectRefuses:
    @pytest.fixture
    def options(self, study, data, tmp_path):
        def options(**changes):
            given = {
                "study": study.folder, "images": data / "images", "out": tmp_path / "found.csv", "device": "cpu",
                **changes,
            }  # fmt: skip
            named = [part for key, value in given.items() if key != "study" for part in (f"--{key}", value)]
            return [given["study"], *named]

        return options

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"study": "nothing"}, "nothing: is not a study: it has no study.json"),
            ({"images": "nothing"}, "nothing: there is no such folder"),
            (
                {"out": "found.xlsx"},
                "found.xlsx: landmarks are written as CSV; give a name that ends in .csv",
            ),
            ({"device": "tpu"}, "device 'tpu' is unknown"),
            ({"spacing": "nan"}, "--spacing"),
            ({"spacing": "-1"}, "--spacing"),
        ],
    )
    def test_options(self, refused, options, tmp_path, changes, message):
        assert message in refused("detect", *options(**changes))
        assert not (tmp_path / "found.csv").exists()

    def test_folders_and_files_mistaken(self, refused, options, tmp_path):
        (tmp_path / "a.csv").mkdir()
        (tmp_path / "file").write_text("")
        assert "is a folder" in refused("detect", *options(out=tmp_path / "a.csv"))
        assert "is a file" in refused("detect", *options(out=tmp_path / "file" / "a.csv"))
        assert "is a file" in refused("detect", *options(heatmaps=tmp_path / "file"))

    def test_an_empty_folder(self, refused, options, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "empty: holds no image that can be used; choose" in refused(
            "detect", *options(images=tmp_path / "empty")
        )

    def test_a_study_without_a_model(self, refused, options, study):
        shutil.rmtree(study.models_dir)
        line = refused("detect", *options())
        assert str(study.folder) in line
        assert "no trained model yet; run `napari-landmark train` first" in line

    @pytest.mark.parametrize("name", ["model.json", "embedding.safetensors", "detector.safetensors"])
    def test_a_damaged_model(self, refused, options, study, name):
        (study.models_dir / "001" / name).write_bytes(b"nonsense")
        assert name in refused("detect", *options())

    def test_a_study_of_a_newer_version(self, refused, options, study):
        path = study.folder / "study.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
        assert "newer version" in refused("detect", *options())
