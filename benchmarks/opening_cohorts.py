"""Time of opening a cohort: headers, resampled images and the fingerprint, for the first time and again.

    python benchmarks/opening_cohorts.py --out /somewhere/with/1/GB

Three folders are drawn: 2,000 small PNG, 200 DICOM slices of one series, and twenty volumes of 25 MB (NIfTI without
compression). Each is opened in a process of its own, twice with an empty cache (the first warms the disk) and once
more with the cache of the second. Headers are parsed without the pixels by one thread or several, so the number of
parsed DICOM headers is counted, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

OPENING = """
import json, sys, time
import pydicom
from napari_landmark.data.cohort.cohort import Cohort
parsed, read = 0, pydicom.dcmread
def counted(*arguments, **options):
    global parsed
    parsed += 1
    return read(*arguments, **options)
pydicom.dcmread = counted
first_image = []
def progress(event):
    if event.stage == "reading images" and not first_image:
        first_image.append(time.perf_counter())
begun, started = time.process_time(), time.perf_counter()
cohort = Cohort.from_folder(sys.argv[1], working_size=64, progress=progress)
opened, busy = time.perf_counter(), time.process_time() - begun
cohort.fingerprint()
done = time.perf_counter()
print(json.dumps({
    "images": len(cohort),
    "until the first image": round(first_image[0] - started, 3),
    "opened": round(opened - started, 3),
    "processor": round(busy, 3),
    "fingerprint": round(done - opened, 3),
    "headers of DICOM parsed": parsed,
}))
"""


def draw_pictures(folder: Path, count: int = 2000) -> Path:
    """Write small PNG of noise."""
    from PIL import Image

    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(noise.integers(0, 255, (64, 64), np.uint8)).save(folder / f"{number:04d}.png")
    return folder


def draw_series(folder: Path, count: int = 200) -> Path:
    """Write the slices of one DICOM series, of 256 x 256 pixels."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    series = folder / "patient"
    series.mkdir(parents=True)
    noise, uid = np.random.default_rng(0), generate_uid()
    for number in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = series / f"{number:03d}.dcm"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.Modality = uid, "CT"
        data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 2.0 * number], [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.Rows, data.Columns = [0.5, 0.5], 256, 256
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.PixelData = noise.integers(0, 4000, (256, 256), np.uint16).tobytes()
        data.save_as(path)
    return folder


def draw_volumes(folder: Path, count: int = 20) -> Path:
    """Write NIfTI volumes of 25 MB."""
    import nibabel

    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(count):
        array = noise.integers(0, 4000, (200, 250, 250), np.int16)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{number:02d}.nii")
    return folder


def main() -> None:
    """Draw what is missing, open each folder, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    work = parser.parse_args().out
    for name, draw in (("pictures", draw_pictures), ("series", draw_series), ("volumes", draw_volumes)):
        folder, cache = work / name, work / "cache"
        if not folder.exists():
            draw(folder)
        for run in ("warm-up", "first", "again"):
            if run != "again":
                shutil.rmtree(cache, ignore_errors=True)
            done = subprocess.run(
                [sys.executable, "-c", OPENING, str(folder)],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "NAPARI_LANDMARK_CACHE": str(cache)},
            )
            if run != "warm-up":
                print(
                    f"{name:10}{run:8}{json.dumps(json.loads(done.stdout.splitlines()[-1]))[1:-1]}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
