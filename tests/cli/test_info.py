"""What a bug report needs."""

from __future__ import annotations

import os

from napari_landmark.cli import info
from napari_landmark.cli.info import info_lines


def test_versions_device_cores_and_cache():
    lines = dict(info_lines())
    assert set(lines) >= {"napari-landmark", "python", "torch", "numpy", "napari", "device", "cores", "cache"}
    assert lines["cache"] == os.environ["NAPARI_LANDMARK_CACHE"]
    assert all(lines.values())


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(info, "_PACKAGES", ("no-such-package-at-all",))
    assert dict(info_lines())["no-such-package-at-all"] == "not installed"
