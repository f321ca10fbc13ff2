"""Record of a landmark training: its options and templates, and the data that a resumed training must have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.study.study import Study
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.model.serialization import FORMAT_VERSION
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.learning.device import Device
from napari_landmark.learning.training_record import TrainingRecord, describe_training

_MUST_AGREE = {
    "data_fingerprint": "the images have changed",
    "landmarks": "the landmarks have changed",
    "canvas": "the working resolution has changed",
    "format_version": "napari-landmark has changed how it trains",
}


def resume_state(
    study: Study,
    cohort: Cohort,
    annotated: Sequence[Template],
    templates: Sequence[Template],
    *,
    data_fingerprint: str,
) -> dict[str, Any]:
    """Plain values of the data on which a training depends."""
    digest = hashlib.sha256()
    for image in sorted(annotated, key=lambda image: cohort.names[image.index]):
        digest.update(f"{cohort.names[image.index]}\0".encode())
        digest.update(np.round(image.positions, 3).astype("<f8").tobytes())
    if len(templates) < len(annotated):  # which ones they are depends on the study's template, too
        digest.update("\0".join(sorted(cohort.names[template.index] for template in templates)).encode())
    return {
        "data_fingerprint": data_fingerprint,
        "landmarks": list(study.schema.names),
        "canvas": list(cohort.canvas),
        "templates_digest": digest.hexdigest(),
        "format_version": FORMAT_VERSION,
    }


def training_record(
    cohort: Cohort,
    annotated: Sequence[Template],
    templates: Sequence[Template],
    options: TrainingOptions,
    device: Device,
    state: Mapping[str, Any],
) -> dict[str, Any]:
    """Content of `run.json`, and the training's part of the model's sidecar."""
    names = [cohort.names[template.index] for template in templates]
    counts: dict[str, Any] = {
        "templates": names,
        "annotated_images": len(annotated),
        "annotated": [cohort.names[image.index] for image in annotated],
    }
    return describe_training(cohort, asdict(options), str(device), **counts, **state)


def recorded_options(
    folder: Path, options: TrainingOptions, state: Mapping[str, Any], *, device: Device
) -> tuple[TrainingOptions, bool]:
    """Options of an interrupted training, and whether its annotations and templates are unchanged.

    Device and minutes may be given anew; on a device of another kind the steps and batches are those of `options`,
    which suit it.

    Parameters
    ----------
    state : mapping
        Of the data to resume with, see `resume_state`.

    Raises
    ------
    InputError
        The record cannot be read; or images, landmarks or working grid are others, which the networks would not fit.
    """
    record = TrainingRecord.read(folder)

    def parse(content: dict[str, Any]) -> TrainingOptions:
        recorded = content["options"]
        if content.get("device", "").split(" ")[0] != device.torch_device.type:
            suited = asdict(options.for_canvas(tuple(state["canvas"])))
            recorded = {**suited, "seed": recorded["seed"], "minutes": recorded["minutes"]}
        minutes = options.minutes or recorded["minutes"]
        return TrainingOptions(**{**recorded, "device": options.device, "minutes": minutes})

    resumed = record.parse(parse)
    record.check(state, _MUST_AGREE)
    return resumed, record.content["templates_digest"] == state["templates_digest"]
