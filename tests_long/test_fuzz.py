"""Every reader against corrupt files: a clear refusal or a result, no crash, no hang, bounded memory.

Each reader runs in a process of its own with a limit on memory and time, for NAPARI_LANDMARK_FUZZ_MINUTES (1 by
default): so crashes and hangs of the libraries below are seen, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MINUTES = float(os.environ.get("NAPARI_LANDMARK_FUZZ_MINUTES", "1"))
HERE = Path(__file__).parent
READERS = (
    "png", "jpg", "tif", "bmp", "gif", "nii", "nii.gz", "nrrd", "mha", "mhd", "dcm", "series", "csv", "mrk.json",
    "fcsv", "tps", "json", "dlc.csv", "study", "model", "journal",
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_reader(tmp_path, reader):
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            str(HERE / "fuzz_worker.py"),
            reader,
            str(MINUTES),
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=60 * MINUTES + 300,
    )
    left = sorted(path for path in tmp_path.rglob("current*"))
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\nthe file is one of {left}"
    print(done.stdout.strip())
