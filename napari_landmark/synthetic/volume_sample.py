"""Sample volumes of the demonstration on disk."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.geometry import Geometry
from napari_landmark.synthetic.ct import head_phantom
from napari_landmark.synthetic.head import HEAD_LANDMARKS, HEAD_REGIONS
from napari_landmark.synthetic.radiograph import Phantom
from napari_landmark.synthetic.sample import landmark_table
from napari_landmark.synthetic.schemas import head_schema

TRAINING_VOLUMES = 8
HELD_OUT_VOLUMES = 4
_SCANNER = 1  # code of NIfTI for coordinates of the scanner


def write_sample_volumes(folder: str | Path) -> None:
    """Write the sample volumes: CT of heads, label maps, landmarks of one template and held-out truth.

    Parameters
    ----------
    folder : str or Path
        Created if missing, with the files that `write_sample_data` writes for radiographs.
    """
    folder = Path(folder)
    for name in ("images", "heldout/images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    held_out: list[Phantom] = []
    for seed in range(TRAINING_VOLUMES + HELD_OUT_VOLUMES):
        phantom = head_phantom(seed)
        image, training = phantom.image, seed < TRAINING_VOLUMES
        place = folder / ("images" if training else "heldout/images") / image.name
        atomic_write(place, _nifti(image.array, image.geometry))
        atomic_write(folder / "labels" / image.name, _nifti(phantom.labels, image.geometry))
        if seed == 0:
            atomic_write(folder / "template.csv", landmark_table([phantom]))
        if not training:
            held_out.append(phantom)
    atomic_write(folder / "heldout" / "truth.csv", landmark_table(held_out))
    head_schema().write(folder / "schema.json")
    atomic_write(folder / "README.md", _README)


def _nifti(array: np.ndarray, geometry: Geometry) -> bytes:
    """Packed NIfTI file of a volume [z, y, x]; the same bytes every time."""
    from nibabel.nifti1 import Nifti1Image

    columns = np.asarray(geometry.direction) * np.asarray(geometry.spacing)
    affine = np.eye(4)
    affine[:3, :3] = columns[::-1, ::-1]
    affine[:3, 3] = np.asarray(geometry.origin)[::-1]
    affine[:2] *= -1  # LPS to RAS
    file = Nifti1Image(np.ascontiguousarray(array.T), None)
    file.set_qform(affine, _SCANNER)
    file.set_sform(affine, _SCANNER)
    file.header.set_xyzt_units("mm")
    return gzip.compress(file.to_bytes(), 9, mtime=0)


_README = f"""# Sample volumes

Everything here is synthetic: schematic CT of heads drawn by `napari_landmark/synthetic/`. No patient was scanned, and
the volumes are not anatomically exact. `python -m napari_landmark.synthetic sample_data` draws them again.

- `images/`: {TRAINING_VOLUMES} volumes in Hounsfield units, of about 77 voxels of 3.1 mm along each axis. Landmarks
  are given for `head_000.nii.gz` only. The voxels of all others are turned by any angle, as their headers say.
- `template.csv`: the {len(HEAD_LANDMARKS)} landmarks of `head_000.nii.gz`, in voxels (x, y, z from 0, as stored).
- `heldout/images/`: {HELD_OUT_VOLUMES} further volumes, with the true landmarks in `heldout/truth.csv`, for scoring.
- `schema.json`: definitions of the landmarks, links, and measurements to try.
- `labels/`: a label map for each volume of both folders, under the same name:
  {", ".join(f"{value} {name}" for name, value in HEAD_REGIONS.items())}.
"""
