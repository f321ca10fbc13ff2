import numpy as np
import pytest

from napari_landmark.cli.app import main
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.synthetic import SCHEMA


class TestSuggest:
    def test_names_images_with_their_scores(self, data, capsys):
        arguments = ["suggest", "--images", str(data / "images"), "--count", "2", "--minutes", "0.02"]
        assert main([*arguments, "--device", "cpu"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        scores = [float(line.split("  ")[0]) for line in lines]
        assert scores == sorted(scores, reverse=True)
        names = {path.name for path in (data / "images").iterdir()}
        assert {line.split("  ")[1] for line in lines} <= names

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            (["--count", "0"], "--count 0"),
            (["--minutes", "-1"], "--minutes -1"),
            (["--images", "nowhere"], "nowhere"),
            (["--device", "abacus"], "abacus"),
        ],
    )
    def test_bad_use(self, data, capsys, changes, word):
        assert main(["suggest", "--images", str(data / "images"), *changes]) == 2
        error = capsys.readouterr().err
        assert word in error
        assert len(error.strip().splitlines()) <= 2

    def test_neither_images_nor_a_study(self, capsys):
        assert main(["suggest"]) == 2
        assert "--images DIR, or --study STUDY" in capsys.readouterr().err


class TestCorrections:
    def test_a_study_without_a_model(self, data, tmp_path, capsys):
        Study.create(tmp_path / "study", schema=SCHEMA, images=data / "images")
        assert main(["suggest", "--study", str(tmp_path / "study")]) == 2
        assert "has no trained model yet" in capsys.readouterr().err

    def test_names_predicted_images_and_what_they_bring(self, data, tmp_path, capsys):
        study = Study.create(tmp_path / "study", schema=SCHEMA, images=data / "images")
        names = sorted(path.name for path in (data / "images").iterdir())
        rng = np.random.default_rng(0)
        for name in names:
            study.save_predictions(
                name,
                LandmarkSet.from_array(
                    SCHEMA,
                    rng.uniform(5, 30, (len(SCHEMA), 2)),
                    status=Status.PREDICTED,
                    expected_error=np.full(len(SCHEMA), 2.0),
                ),
            )
        folder = study.models_dir / "001"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text('{"training": {"complete": true, "annotated": []}}')
        assert main(["suggest", "--study", str(tmp_path / "study"), "--count", "2"]) == 0
        captured = capsys.readouterr()
        assert len(captured.out.splitlines()) == 2
        assert set(captured.out.splitlines()) <= set(names)
        assert "expected gain" in captured.err
