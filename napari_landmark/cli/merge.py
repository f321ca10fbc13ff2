"""`napari-landmark merge`."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.cli.detect import DetectionRequest, finish_detection
from napari_landmark.data.errors import InputError


def run_merge(
    study_folder: Path,
    *,
    images: Path,
    out: Path,
    shards: int,
    heatmaps: Path | None,
    spacing: float | None,
    full_hash: bool,
) -> None:
    """Join what all shards of a detection found into one table; their journals are removed then."""
    if shards < 2:
        raise InputError(f"--shards {shards}: give the number of shards, 2 or more")
    request = DetectionRequest.checked(
        study_folder,
        images=images,
        out=out,
        heatmaps=heatmaps,
        device="cpu",
        spacing=spacing,
        full_hash=full_hash,
    )
    from napari_landmark.detection.inference.folder import merge_folder_shards
    from napari_landmark.detection.inference.shard import Shard
    from napari_landmark.detection.model.store import load_model

    model = load_model(request.study, device="cpu")
    found = merge_folder_shards(
        model,
        images,
        journal=request.journal,
        count=shards,
        spacing=spacing,
        default_spacing=request.study.spacing,
        heatmaps=heatmaps,
    )
    found.n_resumed = 0  # by this command, all of them
    finish_detection(request, model, found, seconds=0.0, computed_on=f"{shards} shards")
    for index in range(shards):
        Shard(index, shards).journal(request.journal).unlink(missing_ok=True)
