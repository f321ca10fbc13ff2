"""Worker of test_fuzz.py: corrupt valid files of one kind for so many minutes, and read them."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_geometry, read_image
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study

SECONDS_FOR_ONE = 20.0
MEMORY = 4 * 1024**3
GEOMETRIES = {"a.png": Geometry((32, 24), (0.5, 0.5))}
GREY = (np.add.outer(np.arange(32) * 3, np.arange(24) * 2)).astype(np.uint8)
TOKENS = [
    b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 8, b"-1", b"nan", b"1e999", b"9" * 30, b"%s%n", b"../../", b"\n",
    b"[" * 50, b'"', b"{", b",", b"=", b"\r", b"LIST", struct.pack("<d", float("nan")), struct.pack("<f", 1e30),
]  # fmt: skip


def corrupted(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        offset = chance.randrange(len(data) + 1)
        if chance.random() < 0.5:
            # Most faults are in headers.
            offset = min(offset, chance.randrange(512) if len(data) > 512 else offset)
        kind = chance.randrange(6)
        if kind == 0 and data:
            data[min(offset, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[offset:offset] = chance.choice(TOKENS)
        elif kind == 2:
            token = chance.choice(TOKENS)
            data[offset : offset + len(token)] = token
        elif kind == 3:
            del data[offset : offset + chance.randrange(1, 40)]
        elif kind == 4:
            end = offset + chance.randrange(1, 60)
            data[offset:offset] = data[offset:end]
        elif chance.random() < 0.3:
            del data[offset:]
        else:
            data[offset : offset + 4] = chance.randbytes(4)
    return bytes(data)


def valid_image(path: Path, chance: random.Random) -> None:
    ending = path.name.split(".", 1)[1]
    if ending in ("png", "jpg", "tif", "bmp", "gif"):
        from PIL import Image

        options = (
            {"compression": chance.choice(("raw", "tiff_lzw", "tiff_adobe_deflate"))}
            if ending == "tif"
            else {}
        )
        if ending == "tif" and chance.random() < 0.3:
            options |= {"save_all": True, "append_images": [Image.fromarray(GREY)] * 2}
        Image.fromarray(GREY).save(path, **options)
    elif ending == "dcm":
        valid_dicom(path)
    else:
        import SimpleITK as sitk

        volume = sitk.GetImageFromArray(np.stack([GREY.astype(np.int16)] * 3))
        volume.SetSpacing((0.5, 0.5, 2))
        sitk.WriteImage(volume, str(path), useCompression=chance.random() < 0.3)


def valid_dicom(path: Path, number: int = 0) -> None:
    import pydicom

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = f"1.2.{number + 1}"
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.SeriesInstanceUID = "CT", "1.2.3"
    data.Rows, data.Columns, data.SamplesPerPixel = 32, 24, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelSpacing, data.SliceThickness = [0.5, 0.5], 2
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 2 * number], [1, 0, 0, 0, 1, 0]
    data.PixelData = GREY.tobytes()
    data.save_as(path, enforce_file_format=True)


def reading_images(folder: Path, ending: str, chance: random.Random) -> Callable[[], None]:
    valid, path = folder / f"valid.{ending}", folder / f"current.{ending}"
    variants = []
    for _ in range(8):
        valid_image(valid, chance)
        variants.append(valid.read_bytes())
    if ending == "mhd":
        shutil.copy(folder / "valid.raw", folder / "current.raw") if (folder / "valid.raw").exists() else None

    def once() -> None:
        path.write_bytes(corrupted(chance.choice(variants), chance))
        for read in (read_geometry, read_image):
            read(path)

    return once


def reading_series(folder: Path, chance: random.Random) -> Callable[[], None]:
    current = folder / "current"
    current.mkdir()
    for number in range(4):
        valid_dicom(current / f"{number}", number)
    contents = {path: path.read_bytes() for path in current.iterdir()}

    def once() -> None:
        for path, content in contents.items():
            path.write_bytes(content)
        path = chance.choice(list(contents))
        path.write_bytes(corrupted(contents[path], chance))
        read_image(current)

    return once


def reading_landmarks(folder: Path, ending: str, chance: random.Random) -> Callable[[], None]:
    marks = LandmarkSet.from_array(LandmarkSchema(("a", "b b", "é")), [[1, 2], [3.5, 4.25], [np.nan] * 2])
    path = folder / f"current.{ending}"
    write_landmarks(path, {"a.png": marks}, geometries=GEOMETRIES)
    content = path.read_bytes()

    def once() -> None:
        path.write_bytes(corrupted(content, chance))
        read_landmarks(path, geometries=GEOMETRIES)

    return once


def reading_studies(folder: Path, chance: random.Random) -> Callable[[], None]:
    schema = LandmarkSchema(("a", "b"))
    study = Study.create(folder / "current", schema=schema, images=folder, spacing=0.5, template="a.png")
    study.save_annotations("a.png", LandmarkSet.from_array(schema, [[1, 2], [3, 4]]))
    contents = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}

    def once() -> None:
        for path, content in contents.items():
            path.write_bytes(content)
        path = chance.choice(list(contents))
        path.write_bytes(corrupted(contents[path], chance))
        found = Study.open(study.folder)
        found.annotations(), found.images, found.extra, found.spacing, found.current_names(("a", "x"))

    return once


def reading_models(folder: Path, chance: random.Random) -> Callable[[], None]:
    import torch

    from napari_landmark.data.cohort.cohort import Cohort
    from napari_landmark.detection.embedding.embedding import EmbeddingConfig
    from napari_landmark.detection.model.store import load_model
    from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
    from napari_landmark.detection.training import stages
    from napari_landmark.detection.training import train as pipeline
    from napari_landmark.detection.training.options import TrainingOptions
    from napari_landmark.learning import device
    from napari_landmark.synthetic import SCHEMA, hand_phantom

    torch.set_num_threads(1)
    device.available_cores = lambda: 1
    stages.embedding_config = lambda canvas: EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
    PatchEmbeddingConfig.for_canvas = lambda canvas: PatchEmbeddingConfig(
        2, 32, size=8, channels=(8, 8, 8, 8, 8)
    )
    (folder / "images").mkdir()
    from PIL import Image

    phantom = hand_phantom(0, size=(64, 64))
    Image.fromarray(phantom.image.array).save(folder / "images" / "a.png")
    study = Study.create(folder / "current", schema=SCHEMA, images=folder / "images", template="a.png")
    study.save_annotations("a.png", phantom.landmarks)
    cohort = Cohort.from_folder(folder / "images", cache_dir=folder / "cache")
    options = TrainingOptions(
        device="cpu",
        self_steps=1,
        cross_steps=1,
        patch_steps=1,
        detector_steps=1,
        retrain_steps=1,
        patch_detector_steps=2,
    )
    pipeline.train(study, cohort, options=options)
    contents = {path: path.read_bytes() for path in (study.models_dir / "001").iterdir()}

    def once() -> None:
        for path, content in contents.items():
            path.write_bytes(content)
        path = chance.choice(list(contents))
        path.write_bytes(corrupted(contents[path], chance))
        load_model(study, name="001", device="cpu").detect(phantom.image)

    return once


def reading_journals(folder: Path, chance: random.Random) -> Callable[[], None]:
    from napari_landmark.detection.inference.journal import DetectionJournal

    schema, path = LandmarkSchema(("a", "b")), folder / "current.jsonl"
    image = folder / "a.png"
    image.write_text("x")
    journal = DetectionJournal(path, {"model": "x"}, schema)
    for number in range(5):
        marks = LandmarkSet.from_array(schema, [[1, 2], [3, number]], status="predicted", confidence=[0.5, 1])
        journal.add(f"{number}", image, marks, Geometry((9, 9), (1, 1)))
    journal.close()
    content = path.read_bytes()

    def once() -> None:
        path.write_bytes(corrupted(content, chance))
        again = DetectionJournal(path, {"model": "x"}, schema)
        for number in range(5):
            again.content.find(f"{number}", image)
            again.content.find_skipped(f"{number}", image)
        again.close()

    return once


def main() -> None:
    reader, minutes, folder = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    chance = random.Random(int(os.environ.get("NAPARI_LANDMARK_SEED", "0")))
    warnings.simplefilter("ignore")
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    special = {
        "series": reading_series,
        "study": reading_studies,
        "model": reading_models,
        "journal": reading_journals,
    }
    if reader in special:
        once = special[reader](folder, chance)
    elif reader in ("csv", "mrk.json", "fcsv", "tps", "json", "dlc.csv"):
        once = reading_landmarks(folder, reader, chance)
    else:
        once = reading_images(folder, reader, chance)
    end, counts, slowest = time.monotonic() + 60 * minutes, {"read": 0, "refused": 0}, 0.0
    while time.monotonic() < end:
        started = time.process_time()
        try:
            once()
            counts["read"] += 1
        except InputError as error:
            counts["refused"] += 1
            message = str(error)
            if "\n" in message or str(folder) not in message or len(message) > 2000:
                raise AssertionError(f"not one line with the name of the file: {message!r}") from error
        seconds = time.process_time() - started
        slowest = max(slowest, seconds)
        if seconds > SECONDS_FOR_ONE:
            raise AssertionError(f"took {seconds:.0f} s")
    print(json.dumps({"reader": reader, **counts, "slowest_s": round(slowest, 2)}))


if __name__ == "__main__":
    main()
