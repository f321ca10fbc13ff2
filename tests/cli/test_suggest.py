import pytest

from napari_landmark.cli.app import main


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
