"""`napari-landmark demo`."""

from __future__ import annotations

from pathlib import Path

import typer

from napari_landmark.cli.detect import run_detect
from napari_landmark.cli.evaluate import evaluation_table
from napari_landmark.cli.train import run_train
from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import require_default_folder
from napari_landmark.learning.loop import OVERTIME

_MINUTES = 3.0
_OVERTIME = 15.0  # the demonstration shall end with the same quality on a slow or busy machine


def run_demo(out: Path, *, device: str = "auto", minutes: float | None = None, volumes: bool = False) -> None:
    """Draw the sample data, train on them, detect in the held-out images, evaluate."""
    from napari_landmark.metrics import evaluate
    from napari_landmark.synthetic import SAMPLE_SPACING, write_sample_data, write_sample_volumes

    study = out / "study"
    if Study.exists(study):
        raise InputError(f"{out}: holds an earlier demo; choose another --out or remove it")
    data = out / "sample_data"
    typer.echo(f"drawing {'CT of heads' if volumes else 'hand radiographs'}: {data}")
    if volumes:
        write_sample_volumes(data)
    else:
        write_sample_data(data)
    spacing = None if volumes else SAMPLE_SPACING  # the files of the volumes hold theirs
    run_train(
        out=study,
        images=data / "images",
        templates=[data / "images" / ("head_000.nii.gz" if volumes else "hand_000.png")],
        landmarks=data / "template.csv",
        spacing=spacing,
        minutes=_MINUTES if minutes is None else minutes,
        overtime=_OVERTIME if minutes is None else OVERTIME,
        device=device,
        seed=0,
        resume=False,
    )
    predicted, pictures = out / "heldout.csv", out / "heatmaps"
    run_detect(
        study,
        images=data / "heldout" / "images",
        out=predicted,
        heatmaps=pictures,
        device=device,
        spacing=None,
    )
    truth = read_landmarks(data / "heldout" / "truth.csv")
    geometries = FolderGeometries(data / "heldout" / "images") if volumes else None
    result = evaluate(
        read_landmarks(predicted), truth, spacing=spacing, geometries=geometries, radii=(0.5, 1, 2, 4)
    )
    typer.echo(evaluation_table(result))
    pixels = "voxels" if volumes else "pixels"
    typer.echo(f"mean radial error {result.mre_mm:.2f} mm = {result.mre_px:.2f} {pixels}")
    report = Study.open(study).report_page(require_default_folder(Study.open(study)).name)
    typer.echo(f"pictures: {report} and {pictures}")
