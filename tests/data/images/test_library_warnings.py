"""Warnings of libraries are logged with the image's name and do not reach the terminal."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.library_warnings import logged_warnings


@pytest.fixture
def picture(tmp_path):
    """A palette with transparency as bytes, of which Pillow warns."""
    image = Image.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10) % 4, mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=bytes([0, 255, 9, 255]))
    return tmp_path / "a.png"


def test_the_terminal_stays_clean(picture):
    code = f"from napari_landmark.data.images.image import read_image; read_image({str(picture)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_log_names_the_image(picture, caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        read_image(picture)
    assert f"{picture}: Palette images with Transparency" in caplog.text


def test_the_hook_is_put_back(picture):
    before = warnings.showwarning
    read_image(picture)
    assert warnings.showwarning is before


def test_warnings_of_other_threads_are_shown(picture):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        shown: list[str] = []
        warnings.showwarning = lambda message, *_: shown.append(str(message))
        with logged_warnings(picture):
            warnings.warn("of the reader", stacklevel=1)
            other = threading.Thread(target=lambda: warnings.warn("of another", stacklevel=1))
            other.start()
            other.join()
    assert shown == ["of another"]
