"""Record of a training: with what it may be resumed, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.training.train import train
from napari_landmark.synthetic import SCHEMA

pytestmark = pytest.mark.usefixtures("small_networks")


class TestRecord:
    def test_nothing_to_resume(self, fresh, study, cohort, few):
        for known in (fresh(), study):
            with pytest.raises(InputError, match="no interrupted training to resume") as caught:
                train(known, cohort, options=few, resume=True)
            assert caught.value.code is ErrorCode.NOTHING_TO_RESUME

    def test_resume_after_the_images_changed(self, fresh, data, cohort, cancel_in, few):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in("self", 1))
        (data / "images" / "hand_003.png").unlink()
        with pytest.raises(InputError, match=r"the images have changed since that training"):
            train(study, Cohort.from_folder(data / "images"), options=few, resume=True)

    @pytest.mark.parametrize("names", [SCHEMA.names[::-1], ("other", *SCHEMA.names[1:])])
    def test_resume_after_the_landmarks_changed(self, fresh, cohort, cancel_in, names, few):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in("detector", 2))
        record = (study.models_dir / "001" / "run.json").read_bytes()
        study.update(schema=LandmarkSchema(names))
        with pytest.raises(InputError, match=r"the landmarks have changed since that training"):
            train(study, cohort, options=few, resume=True)
        assert (study.models_dir / "001" / "run.json").read_bytes() == record

    def test_resume_at_another_working_resolution(self, fresh, data, cancel_in, few):
        for path in (data / "images").iterdir():
            Image.fromarray(np.kron(np.asarray(Image.open(path)), np.ones((2, 2), np.uint8))).save(path)
        small, large = (Cohort.from_folder(data / "images", working_size=size) for size in (64, 128))
        study = fresh()
        train(study, small, options=few, cancel=cancel_in("self", 1))
        with pytest.raises(InputError, match=r"the working resolution has changed since that training"):
            train(study, large, options=few, resume=True)

    def test_resume_of_another_version_of_the_training(self, fresh, cohort, cancel_in, few):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in("patch", 2))
        path = study.models_dir / "001" / "run.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "format_version": record["format_version"] - 1}))
        with pytest.raises(InputError, match=r"has changed how it trains since that training"):
            train(study, cohort, options=few, resume=True)

    def test_resume_of_a_record_that_lacks_the_landmarks(self, fresh, cohort, cancel_in, few):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in("self", 1))
        path = study.models_dir / "001" / "run.json"
        record = json.loads(path.read_text())
        del record["landmarks"]
        path.write_text(json.dumps(record))
        with pytest.raises(InputError, match=r"run\.json: is of an older version, .* the landmarks"):
            train(study, cohort, options=few, resume=True)

    @pytest.mark.parametrize("content", ["", "{}", '{"options": {"nonsense": 1}}'])
    def test_a_damaged_record_is_named(self, fresh, cohort, cancel_in, content, few):
        study = fresh()
        train(study, cohort, options=few, cancel=cancel_in("self", 1))
        (study.models_dir / "001" / "run.json").write_text(content)
        with pytest.raises(InputError, match=r"run\.json: cannot be read"):
            train(study, cohort, options=few, resume=True)

    def test_another_kind_of_device_goes_on_with_steps_that_suit_it(self, fresh, cohort, cancel_in, few):
        study = fresh()
        begun = replace(few, batch_factor=8, patch_steps=1, seed=4)
        report = train(study, cohort, options=begun, cancel=cancel_in("self", 2))
        path = report.model_dir / "run.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "device": "cuda (a card)"}))
        resumed = train(study, cohort, options=few, resume=True)
        assert [h.steps for h in resumed.histories] == [3, 2, 4, 4, 2, 3]
        options = json.loads(path.read_text())["options"]
        assert (options["batch_factor"], options["patch_steps"], options["seed"]) == (1, 4, 4)
