"""Threads that wait for each other leave the processor to others, unless the user wants it otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from napari_landmark.openmp import spin_briefly


def test_waiting_threads_sleep_soon():
    environment = {"PATH": "/bin"}
    spin_briefly(environment)
    assert environment == {"PATH": "/bin", "GOMP_SPINCOUNT": "1000"}


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_user_chose_is_left_alone(name):
    environment = {name: "active"}
    spin_briefly(environment)
    assert environment == {name: "active"}


def test_it_is_set_before_torch_is_loaded():
    """The library reads the environment once, when it is loaded with torch."""
    code = """
import os, sys
import napari_landmark
assert "torch" not in sys.modules
print(os.environ["GOMP_SPINCOUNT"])
"""
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    told = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "1000"
