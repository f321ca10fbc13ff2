"""A list of images is worked through in parts that together give the same as one run."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import find_image
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.subjects import subject_name
from napari_landmark.detection.inference import detect as module
from napari_landmark.detection.inference.detect import (
    ImageReference,
    detect_images,
    merge_shards,
)
from napari_landmark.detection.inference.shard import Shard
from napari_landmark.detection.model.store import load_model
from napari_landmark.progress import CancelToken

COUNT = 3


@pytest.fixture
def model(study):
    return load_model(study, device="cpu")


@pytest.fixture
def references(data):
    (data / "images" / "hand_001a.png").write_bytes((data / "images" / "hand_001.png").read_bytes()[:900])
    return [ImageReference(name, path) for name, path in image_files(data / "images")[0]]


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "found.csv.part.jsonl"


@pytest.fixture
def shards(model, references, journal):
    """Detections of every shard, whose journals are kept."""
    return [
        detect_images(model, references, journal=journal, shard=Shard(index, COUNT), spacing=0.5)
        for index in range(COUNT)
    ]


def names(detections):
    return list(detections.landmarks)


class TestList:
    def test_images_from_anywhere_under_names_of_their_own(self, model, data, tmp_path):
        moved = (data / "images" / "hand_002.png").rename(tmp_path / "elsewhere.png")
        found = detect_images(
            model,
            [ImageReference("second", moved), ImageReference("first", data / "images" / "hand_000.png")],
        )
        assert names(found) == list(found.geometries) == ["second", "first"]
        assert found.skipped_files == []

    def test_nothing_to_do(self, model):
        assert names(detect_images(model, [])) == []

    def test_two_images_of_one_name(self, model, references):
        with pytest.raises(InputError, match=r"hand_000\.png: is the name of two images"):
            detect_images(model, [references[0], *references])

    def test_a_file_that_cannot_be_opened_is_skipped(self, model, references, monkeypatch):
        read = module.read_image

        def refuse(path, **options):
            if path.name == "hand_002.png":
                raise PermissionError(13, "Permission denied", str(path))
            return read(path, **options)

        monkeypatch.setattr(module, "read_image", refuse)
        found = detect_images(model, references)
        assert names(found) == ["hand_000.png", "hand_001.png", "hand_003.png"]
        assert [file.name for file in found.skipped_files] == ["hand_001a.png", "hand_002.png"]
        assert found.skipped_files[1].reason == "cannot be read (Permission denied)"

    def test_a_file_that_is_gone_is_skipped(self, model, references):
        references[3].path.unlink()
        found = detect_images(model, references)
        assert "hand_002.png" in {file.name for file in found.skipped_files}
        assert names(found) == ["hand_000.png", "hand_001.png", "hand_003.png"]

    def test_a_resumed_run_tries_skipped_files_again(self, model, references, journal, data):
        assert [f.name for f in detect_images(model, references, journal=journal).skipped_files] == [
            "hand_001a.png"
        ]
        (data / "images" / "hand_001a.png").write_bytes((data / "images" / "hand_001.png").read_bytes())
        found = detect_images(model, references, journal=journal)
        assert found.n_resumed == 4
        assert found.skipped_files == []
        assert len(names(found)) == 5

    def test_heatmaps_that_cannot_be_written_end_the_run(self, model, references, tmp_path, journal):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="cannot be written"):
            detect_images(model, references, heatmaps=tmp_path / "file" / "heat", journal=journal)


class TestSeveralSubjects:
    @pytest.fixture
    def model(self, model, monkeypatch):
        """A model that finds a second subject in one image, ten pixels below the first."""
        detect = model.detect
        model.usual_errors = None  # after a few steps, what is called missing means nothing

        def several(image, **options):
            found = detect(image, **options)
            if image.name != "hand_002.png":
                return replace(found, subjects=())  # a model of few steps may think that it saw several
            first = found.landmarks
            below = LandmarkSet.from_array(
                model.schema, np.add(first.positions(2), (10, 0)), status="predicted"
            )
            subjects = tuple(
                LandmarkSet(model.schema, marks.values(), image_state=ImageState.SEVERAL)
                for marks in (first, below)
            )
            return replace(found, landmarks=subjects[0], subjects=subjects)

        monkeypatch.setattr(model, "detect", several)
        return model

    def test_each_has_rows_of_its_own(self, model, references, tmp_path):
        found = detect_images(model, references)
        landmarks, geometries = found.by_subject()
        assert list(landmarks) == list(geometries)
        assert list(landmarks) == [
            *("hand_000.png", "hand_001.png", "hand_002.png", "hand_002.png (subject 2)", "hand_003.png")
        ]
        write_landmarks(tmp_path / "found.csv", landmarks, geometries=geometries)
        read = read_landmarks(tmp_path / "found.csv")
        first, second = (read[name].positions(2) for name in list(landmarks)[2:4])
        np.testing.assert_allclose(second - first, np.tile((10.0, 0.0), (len(first), 1)), atol=1e-3)

    def test_a_reader_never_takes_the_second_one_for_the_first(self, model, references):
        known = [reference.name for reference in references]
        assert find_image(subject_name("hand_002.png", 2), known) is None

    def test_a_resumed_run_keeps_them(self, model, references, journal):
        whole = detect_images(model, references, journal=journal)
        again = detect_images(model, references, journal=journal)
        assert again.n_resumed == len(whole.landmarks)
        assert again.further_subjects == whole.further_subjects
        assert list(again.further_subjects) == ["hand_002.png"]


class TestShards:
    def test_each_does_its_part(self, shards, references):
        assert [names(found) for found in shards] == [
            ["hand_000.png", "hand_002.png"],
            ["hand_001.png", "hand_003.png"],
            [],
        ]
        assert [file.name for found in shards for file in found.skipped_files] == ["hand_001a.png"]

    def test_merged_they_are_one_run(self, model, references, shards, journal, tmp_path):
        whole = detect_images(model, references, spacing=0.5)
        merged = merge_shards(model, references, journal=journal, count=COUNT, spacing=0.5)
        assert merged.skipped_files == whole.skipped_files
        assert merged.geometries == whole.geometries
        for name, found in (("whole", whole), ("merged", merged)):
            write_landmarks(tmp_path / f"{name}.csv", found.landmarks, geometries=found.geometries)
        assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()

    def test_more_shards_than_images(self, model, references, journal):
        for index in range(7):
            detect_images(model, references, journal=journal, shard=Shard(index, 7))
        merged = merge_shards(model, references, journal=journal, count=7)
        assert names(merged) == names(detect_images(model, references))

    def test_an_interrupted_shard_is_named_and_can_be_resumed(self, model, references, shards, journal):
        path = Shard(1, COUNT).journal(journal)
        path.unlink()
        cancel = CancelToken()
        stopped = detect_images(
            model,
            references,
            journal=journal,
            shard=Shard(1, COUNT),
            spacing=0.5,
            progress=lambda event: cancel.cancel(),
            cancel=cancel,
        )
        assert stopped.cancelled
        message = r"1-of-3\.jsonl: lacks hand_003\.png: run shard 1 of 3 again"
        with pytest.raises(InputError, match=message.replace("hand_003", "hand_00[0-9]a?")):
            merge_shards(model, references, journal=journal, count=COUNT, spacing=0.5)
        resumed = detect_images(model, references, journal=journal, shard=Shard(1, COUNT), spacing=0.5)
        assert resumed.n_resumed == 1
        merge_shards(model, references, journal=journal, count=COUNT, spacing=0.5)

    def test_a_shard_that_was_not_run(self, model, references, shards, journal):
        Shard(0, COUNT).journal(journal).unlink()
        with pytest.raises(
            InputError, match=r"0-of-3\.jsonl: lacks hand_000\.png and 1 more: run shard 0 of 3"
        ):
            merge_shards(model, references, journal=journal, count=COUNT, spacing=0.5)

    def test_another_model_or_spacing(self, model, references, shards, journal):
        with pytest.raises(InputError, match="another model or spacing"):
            merge_shards(model, references, journal=journal, count=COUNT, spacing=0.25)
        model.refiner = None
        with pytest.raises(InputError, match="another model or spacing"):
            merge_shards(model, references, journal=journal, count=COUNT, spacing=0.5)

    def test_an_image_that_changed_since(self, model, references, shards, journal):
        os.utime(references[0].path, (1, 1))
        with pytest.raises(InputError, match=r"lacks hand_000\.png: run shard 0"):
            merge_shards(model, references, journal=journal, count=COUNT, spacing=0.5)
