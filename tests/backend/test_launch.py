"""Commands of queues: words in, words out, and no shell in between."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.backend.job_folder import Phase, inspect_folder, read_launched
from napari_landmark.backend.launch import fill_template, kill_worker, launch_worker
from napari_landmark.data.errors import InputError

from .conftest import private


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_a_folder_of_any_name_stays_one_word(name):
    folder = Path("/jobs") / name
    words = ["napari-landmark", "work", str(folder)]
    assert fill_template("srun {words}", words=words) == ["srun", *words]
    (_, _, line) = fill_template("sbatch --wrap {line}", words=words)
    assert shlex.split(line) == words
    assert fill_template("x --dir={folder}", folder=folder) == ["x", f"--dir={folder}"]


def test_a_queue_gets_the_worker_and_its_answer_is_kept(tmp_path):
    folder = private(tmp_path / "j $(touch bad) 'é'")
    script = tmp_path / "queue.py"
    script.write_text("import sys, json; print(json.dumps(sys.argv[1:]))")
    template = f"{shlex.join([sys.executable, str(script)])} --wrap {{line}}"
    launch_worker(folder, command="env A=1 napari-landmark", template=template)
    launched = read_launched(folder)
    assert launched["queued"] is True
    assert str(folder) in launched["answer"].encode().decode("unicode_escape") or "\\u" in launched["answer"]
    assert inspect_folder(folder).phase is Phase.WAITING
    assert not (tmp_path / "bad").exists() and not (folder / "bad").exists()
    out = tmp_path / "cancelled"
    kill_worker(folder, template=f"{sys.executable} -c \"open({str(out)!r}, 'w').close()\" {{id}}")
    assert out.exists()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("false {line}", "false: exit status 1"),
        ("/no/queue {line}", "/no/queue: cannot be started"),
        ("sbatch 'x", "cannot be read"),
    ],
)
def test_a_queue_that_refuses_is_told(tmp_path, template, message):
    with pytest.raises(InputError, match=message):
        launch_worker(private(tmp_path / "job"), template=template)
