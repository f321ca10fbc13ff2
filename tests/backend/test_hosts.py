"""Hosts of a user: kept, found, and refused where ssh would take them for something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.backend.hosts import Host, find_host, hosts_file, read_hosts, save_host
from napari_landmark.backend.ssh_machine import quote_sftp
from napari_landmark.cli.app import main
from napari_landmark.data.errors import ErrorCode, InputError


def test_kept_found_and_forgotten(capsys):
    assert main(["hosts", "list"]) == 0
    assert (
        main(["hosts", "add", "lab 1", "me@lab", "--path", "/a=/b", "--start", "sbatch --wrap {line}"]) == 0
    )
    assert find_host("lab 1").paths == {"/a": "/b"}
    assert main(["hosts", "list"]) == 0
    assert (
        "lab 1: me@lab, napari-landmark, jobs in ~/.napari-landmark-jobs, through sbatch"
        in capsys.readouterr().out
    )
    assert main(["hosts", "remove", "lab 1"]) == 0
    assert read_hosts() == {}
    with pytest.raises(InputError) as caught:
        find_host("lab 1")
    assert caught.value.code is ErrorCode.UNKNOWN_HOST
    assert main(["hosts", "remove", "lab 1"]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"address": "-oProxyCommand=touch x"}, "is none for ssh"),
        ({"address": "a b"}, "is none for ssh"),
        ({"address": "a;b"}, "is none for ssh"),
        ({"address": "a:22"}, "is none for ssh"),
        ({"address": ""}, "is none for ssh"),
        ({"name": "a\nb"}, "give a name"),
        ({"name": "../x"}, "give a name"),
        ({"command": "a\nb"}, "control characters"),
        ({"command": " "}, "is empty"),
        ({"command": "'a"}, "cannot be read"),
        ({"folder": "jobs"}, "must begin with / or ~/"),
        ({"start": "sbatch 'x"}, "cannot be read"),
        ({"paths": {"a": "/b"}}, "give absolute folders"),
    ],
)
def test_refused(change, message):
    with pytest.raises(InputError, match=message):
        Host(**{"name": "lab", "address": "lab", **change})


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"version": 2, "hosts": []}', '{"version": 1, "hosts": {}}', '{"version": 1, "hosts": [3]}',
     '{"version": 1, "hosts": [{"name": 1, "address": "a"}]}',
     '{"version": 1, "hosts": [{"name": "a", "address": "a", "shell": "x"}]}',
     '{"version": 1, "hosts": [{"name": "a", "address": "a", "paths": {"a": 1}}]}'],
)  # fmt: skip
def test_a_damaged_file_is_one_line(content):
    save_host(Host(name="a", address="a"))
    hosts_file().write_text(content)
    with pytest.raises(InputError, match=r"hosts\.json"):
        read_hosts()


def test_what_is_kept_is_plain():
    save_host(Host(name="a", address="a"))
    (entry,) = json.loads(hosts_file().read_text())["hosts"]
    assert "password" not in entry


def test_paths_there(tmp_path):
    (tmp_path / "data" / "é").mkdir(parents=True)
    host = Host(name="a", address="a", paths={str(tmp_path): "/mnt/all", str(tmp_path / "data"): "/mnt/data"})
    assert host.path_there(tmp_path / "data" / "é") == "/mnt/data/é"
    assert host.path_there(tmp_path / "x") == "/mnt/all/x"
    assert host.path_there(Path("/elsewhere")) is None
    assert host.path_there(tmp_path.with_name(tmp_path.name + "x")) is None


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_a_path_for_sftp_is_one_word(path):
    """Undone as the parser of sftp does it: in double quotes a backslash keeps the next quote or backslash."""
    quoted = quote_sftp(path)
    assert quoted[0] == quoted[-1] == '"'
    inner, plain, k = quoted[1:-1], "", 0
    while k < len(inner):
        assert inner[k] != '"'
        k += inner[k] == "\\"
        plain += inner[k]
        k += 1
    assert plain == path
