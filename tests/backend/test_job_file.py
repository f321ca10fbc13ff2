"""Descriptions of jobs: written and read, and refused in one line where something is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_landmark.backend.job_file import JOB, KINDS, read_job, write_job
from napari_landmark.backend.jobs.detect import DetectJob
from napari_landmark.backend.jobs.detect_study import DetectStudyJob
from napari_landmark.backend.jobs.label_study import LabelStudyJob
from napari_landmark.backend.jobs.register_pair import RegisterPairJob
from napari_landmark.backend.jobs.register_study import RegisterStudyJob
from napari_landmark.backend.jobs.register_train import RegisterTrainJob
from napari_landmark.backend.jobs.register_train_study import RegisterTrainStudyJob
from napari_landmark.backend.jobs.suggest import SuggestJob
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.data.errors import ErrorCode, InputError

A, B = Path("/data/é 'x'"), Path("/b")
JOBS = [
    TrainJob(study=A, images=B, minutes=2.5, steps={"self_steps": 3}, fingerprint="ends:1"),
    DetectJob(study=A, images=B, out=B / "x.csv", spacing=(0.5, 0.25), heatmaps=A),
    SuggestJob(images=A, extra=(B, A), spacing=0.2),
    RegisterPairJob(fixed=A, moving=B, out=A, steps=0, region_weights={"3": 2.0}),
    RegisterTrainJob(images=A, labels=B, out=A, resume=True),
    DetectStudyJob(study=A, images=B, model="001", working_size=512),
    RegisterStudyJob(study=A, fixed="a.png", out=B, model=A, guide=False, region_weights={"3": 2.0}),
    LabelStudyJob(study=A, labels=B, out=A, model=B, device="cpu"),
    RegisterTrainStudyJob(study=A, labels=B, landmarks=True, resume=A, region_weights={"3": 2.0}),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.KIND)
def test_every_kind(tmp_path, job):
    write_job(tmp_path, job)
    assert read_job(tmp_path) == job
    assert KINDS[job.KIND] is type(job)


def test_relative_paths_begin_at_the_folder_of_the_job(tmp_path):
    write_job(tmp_path, replace(JOBS[0], study=Path("study"), images=Path("images")))
    assert read_job(tmp_path).study == tmp_path / "study"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": 2}, "speaks protocol 2 of jobs, this napari-landmark 1"),
        ({"protocol": True}, "speaks protocol True"),
        ({"protocol": None}, "speaks protocol None"),
        ({"kind": "shell"}, "unknown kind 'shell'"),
        ({"kind": ["train"]}, "unknown kind"),
        ({"parameters": []}, "has no parameters"),
        ({"parameters": {"study": "a"}}, "lacks 'images'"),
        ({"parameters": {"study": "a", "images": "b", "x": 1}}, "unknown entry 'x'"),
        ({"parameters": {"study": "a", "images": "b", "seed": "1"}}, "its 'seed' cannot be '1'"),
        ({"parameters": {"study": "a", "images": "b", "seed": True}}, "its 'seed' cannot be True"),
        ({"parameters": {"study": "a", "images": "b", "seed": 10**400}}, "its 'seed' cannot be"),
        ({"parameters": {"study": "a\0", "images": "b"}}, "its 'study' cannot be"),
        ({"parameters": {"study": "a", "images": "b", "steps": {"a": "b"}}}, "its 'steps' cannot be"),
        ({"parameters": {"study": "a", "images": "b", "resume": "yes"}}, "its 'resume' cannot be"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, change, message):
    write_job(tmp_path, JOBS[0])
    content = json.loads((tmp_path / JOB).read_text())
    (tmp_path / JOB).write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=r"job\.json: ") as caught:
        read_job(tmp_path)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
    assert (caught.value.code is ErrorCode.OTHER_PROTOCOL) == ("protocol" in change)


def test_no_job(tmp_path):
    with pytest.raises(InputError, match=r"it has no job\.json"):
        read_job(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(JOBS), st.data())
def test_any_value_gives_a_job_or_one_line(tmp_path, job, data):
    write_job(tmp_path, job)
    content = json.loads((tmp_path / JOB).read_text())
    name = data.draw(st.sampled_from(sorted(content["parameters"])))
    content["parameters"][name] = data.draw(json_values)
    (tmp_path / JOB).write_text(json.dumps(content))
    try:
        assert isinstance(read_job(tmp_path), type(job))
    except InputError as error:
        assert "\n" not in str(error)
