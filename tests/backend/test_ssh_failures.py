"""An ssh that fails in known ways: what may pass is told from what does not."""

from __future__ import annotations

import os
import sys

import pytest

from napari_landmark.backend.hosts import Host
from napari_landmark.backend.machine import UnreachableError
from napari_landmark.backend.ssh_machine import SshMachine
from napari_landmark.data.errors import ErrorCode, InputError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script in place of ssh")
GREETING = "echo napari-landmark host service 1 0.1"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes a machine whose ssh is a script of the shell."""

    def make(script):
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return SshMachine(Host(name="lab", address="lab"))

    return make


@pytest.mark.parametrize(
    "script",
    [
        "kill -9 $$",
        f"{GREETING}; kill -9 $$",
        f"{GREETING}; exit 137",
        f"{GREETING}; exit 0",
        "echo 'ssh: connect to host lab port 22: Connection refused' >&2; exit 255",
        f"{GREETING}; echo 'client_loop: send disconnect: Broken pipe' >&2; exit 255",
    ],
)
def test_what_may_pass(machine, script):
    with pytest.raises(UnreachableError, match="lab: "):
        machine(script).stop("20260101-000000-00000000", None)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", "starts no napari-landmark with jobs"),
        ("echo 'sh: 1: napari-landmark: not found' >&2; exit 127", "has no napari-landmark"),
        ("echo 'me@lab: Permission denied (publickey).' >&2; exit 255", "refuses the login"),
        ("echo 'Host key verification failed.' >&2; exit 255", "has a key that is not known"),
        (
            f'{GREETING}; echo \'{{"error": "a: belongs to another user", "code": null}}\'',
            "belongs to another user",
        ),
    ],
)
def test_what_does_not(machine, script, message):
    with pytest.raises(InputError, match=message) as caught:
        machine(script).stop("20260101-000000-00000000", None)
    assert not isinstance(caught.value, UnreachableError)
    assert caught.value.code in (None, ErrorCode.HOST_KEY_UNKNOWN)
