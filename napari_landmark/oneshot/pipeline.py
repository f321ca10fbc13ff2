"""Everything in order: from a study with one annotated image to a model and predictions for the cohort."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from napari_landmark.data.atomic import atomic_write
from napari_landmark.data.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study import Study
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.learning.pyramid import COARSEST_STRIDE
from napari_landmark.learning.run import Budget, Checkpoint, History
from napari_landmark.oneshot.detector import DetectorConfig, DetectorNetwork, TrainingLabels, train_detector
from napari_landmark.oneshot.embedding import Embedding, EmbeddingConfig, train_embedding
from napari_landmark.oneshot.model import LandmarkModel
from napari_landmark.oneshot.preview import Preview, with_preview
from napari_landmark.oneshot.pseudolabels import Template, describe_templates, match_cohort, refine

_EMBEDDING_SIDE = 384  # longest side that the embedding sees, about
# Parts of a wall-clock budget; the rest is for matching, predictions and the report.
_SHARES = {"self": 0.40, "cross": 0.14, "detector": 0.40}


@dataclass(frozen=True)
class TrainingOptions:
    """How a training runs.

    Parameters
    ----------
    minutes : float, optional
        Wall-clock budget. Without it the number of steps is fixed, and the same seed on the same device gives the
        same model; `limit_minutes` still holds on slow machines.
    device : str
    seed : int
    self_steps, cross_steps, detector_steps : int
        Steps of the three stages where `minutes` is not given.
    limit_minutes : float, optional
    """

    minutes: float | None = None
    device: str = "auto"
    seed: int = 0
    self_steps: int = 750
    cross_steps: int = 200
    detector_steps: int = 750
    limit_minutes: float | None = None

    def __post_init__(self) -> None:
        for name in ("minutes", "limit_minutes"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"--{name.replace('_', '-')} {value}: must be a number above 0")

    def describe(self) -> str:
        """The budget in words."""
        if self.minutes:
            return f"for {self.minutes:g} minutes"
        steps = f"for {self.self_steps} + {self.cross_steps} + {self.detector_steps} steps"
        return steps + (f", {self.limit_minutes:g} minutes at most" if self.limit_minutes else "")

    def budget(self, stage: str) -> Budget:
        """Of stage `self`, `cross` or `detector`."""
        limit = self.minutes or self.limit_minutes
        seconds = limit * 60 * _SHARES[stage] if limit else None
        return Budget(None if self.minutes else getattr(self, f"{stage}_steps"), seconds)


def default_options(device: Device, *, seed: int = 0, minutes: float | None = None) -> TrainingOptions:
    """A good default for a device: minutes on two CPU cores, more steps where they cost little."""
    name = str(device.torch_device)
    if device.torch_device.type == "cpu":
        return TrainingOptions(minutes, name, seed, limit_minutes=14.0)
    return TrainingOptions(minutes, name, seed, 2400, 600, 2000, limit_minutes=30.0)


@dataclass
class TrainingReport:
    """What a training did.

    Parameters
    ----------
    model_dir : Path
    histories : list of History
    predictions : dict
        Of the training images, by name; empty after a cancelled training.
    cancelled : bool
    seconds : float
    """

    model_dir: Path
    histories: list[History] = field(default_factory=list)
    predictions: dict[str, LandmarkSet] = field(default_factory=dict)
    cancelled: bool = False
    seconds: float = 0.0


def train(
    study: Study,
    cohort: Cohort,
    *,
    options: TrainingOptions = TrainingOptions(),
    resume: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    preview: Preview | None = None,
) -> TrainingReport:
    """Learn the cohort and its landmarks, write the model and the predictions of all images into the study.

    Every image whose landmarks a person placed or corrected serves as a template. Earlier models are kept. A
    cancelled training leaves a model that works from what was learned so far, and can be resumed.
    `preview` is called every few seconds with the model as it is then.

    Raises
    ------
    InputError
        No usable template, or nothing to resume.
    """
    started = time.monotonic()
    device = choose_device(options.device)
    templates = find_templates(study, cohort)
    fingerprint = cohort.fingerprint()
    if resume:
        folder = _unfinished(study)
        options = _recorded_options(folder, options, fingerprint)
    else:
        folder = _new_folder(study)
    record = _record(cohort, templates, options, device, fingerprint)
    atomic_write(folder / "run.json", json.dumps(record, indent=1) + "\n")
    study.log({"event": "training started", "model": folder.name, **record["options"], "device": str(device)})

    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    report = TrainingReport(folder)
    embedding = Embedding(embedding_config(cohort.canvas))

    def model_with(detector: DetectorNetwork | None) -> LandmarkModel:
        descriptors = describe_templates(embedding, cohort, templates, device)
        return LandmarkModel(
            study.schema, cohort.canvas, embedding, descriptors, detector, device=device, record=record
        )

    report.histories += train_embedding(
        embedding,
        cohort,
        device=device,
        generator=generator,
        self_budget=options.budget("self"),
        cross_budget=options.budget("cross"),
        checkpoints=[
            Checkpoint(folder / f"checkpoint-{stage}.safetensors", resume) for stage in ("self", "cross")
        ],
        progress=with_preview(progress, preview, lambda: model_with(None), embedding),
        cancel=cancel,
    )
    detector = None
    if not _stopped(cancel):
        detector = _detector_stage(
            embedding,
            cohort,
            study,
            templates,
            report,
            options,
            device,
            generator,
            folder,
            resume,
            progress,
            cancel,
            lambda network: with_preview(progress, preview, lambda: model_with(network), network),
        )
    model = model_with(detector)
    model.save(folder)
    report.cancelled = _stopped(cancel)
    if not report.cancelled:
        report.predictions = predict_cohort(model, cohort, study=study, progress=progress, cancel=cancel)
        report.cancelled = _stopped(cancel)
    report.seconds = time.monotonic() - started
    histories = [history.to_json() for history in report.histories]
    summary = {"cancelled": report.cancelled, "seconds": round(report.seconds, 1), "stages": histories}
    atomic_write(folder / "history.json", json.dumps(summary) + "\n")
    if not report.cancelled:
        for stage in _SHARES:
            (folder / f"checkpoint-{stage}.safetensors").unlink(missing_ok=True)
        (folder / "labels.safetensors").unlink(missing_ok=True)
    event = "training cancelled" if report.cancelled else "training finished"
    study.log({"event": event, "model": folder.name, "seconds": round(report.seconds, 1)})
    return report


def _detector_stage(
    embedding: Embedding,
    cohort: Cohort,
    study: Study,
    templates: list[Template],
    report: TrainingReport,
    options: TrainingOptions,
    device: Device,
    generator: torch.Generator,
    folder: Path,
    resume: bool,
    progress: Progress | None,
    cancel: CancelToken | None,
    previewing: Callable[[DetectorNetwork], Progress | None],
) -> DetectorNetwork | None:
    labels = _pseudo_labels(embedding, cohort, templates, device, folder, resume, progress, cancel)
    if labels is None:
        return None
    detector = DetectorNetwork(
        DetectorConfig(len(study.schema), len(cohort.canvas), channels=embedding.config.channels)
    )
    detector.pyramid.load_state_dict(embedding.pyramid.state_dict())
    history = train_detector(
        detector,
        cohort,
        labels,
        device=device,
        generator=generator,
        budget=options.budget("detector"),
        checkpoint=Checkpoint(folder / "checkpoint-detector.safetensors", resume),
        progress=previewing(detector),
        cancel=cancel,
    )
    report.histories.append(history)
    # A detector stopped in its first half is worse than the embedding it started from.
    early = history.cancelled and options.budget("detector").fraction(history.steps, history.seconds) < 0.5
    return None if early else detector


def _pseudo_labels(
    embedding: Embedding,
    cohort: Cohort,
    templates: list[Template],
    device: Device,
    folder: Path,
    resume: bool,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> TrainingLabels | None:
    path = folder / "labels.safetensors"
    tensors = load_tensors(path)[0] if resume and path.exists() else {}
    shape = (len(cohort), *templates[0].positions.shape)
    if "weights" in tensors and tensors.get("positions", torch.empty(0)).shape == shape:
        positions, weights = tensors["positions"].numpy(), tensors["weights"].numpy()
    else:
        descriptors = describe_templates(embedding, cohort, templates, device)
        matches = match_cohort(
            embedding, cohort, descriptors, device=device, progress=progress, cancel=cancel
        )
        if _stopped(cancel):
            return None
        positions, weights = refine(matches, embedding, cohort, descriptors, device=device)
    for template in templates:
        known = ~np.isnan(template.positions[:, 0])
        positions[template.index][known] = template.positions[known]
        weights[template.index] = known
    labels = TrainingLabels(
        torch.from_numpy(positions).float(),
        torch.from_numpy(weights).float(),
        tuple(template.index for template in templates),
    )
    save_tensors(path, {"positions": labels.positions, "weights": labels.weights})
    return labels


def predict_cohort(
    model: LandmarkModel,
    cohort: Cohort,
    *,
    study: Study | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, LandmarkSet]:
    """Landmarks of every image of the cohort, by name; written to the study where one is given."""
    found = {}
    for number, name in enumerate(cohort.names):
        if _stopped(cancel):
            break
        placement = cohort.placement(number)
        found[name] = model.detect_working(cohort.working(number), placement).landmarks
        if study is not None:
            study.save_predictions(name, found[name], cohort.geometry(number))
        if progress:
            progress(ProgressEvent("predicting the cohort", (number + 1) / len(cohort)))
    return found


def find_templates(study: Study, cohort: Cohort) -> list[Template]:
    """All images of the cohort that a person annotated, the study's template first."""
    templates = []
    annotations: Mapping[str, LandmarkSet] = study.annotations()
    names = sorted(annotations, key=lambda name: (name != study.template, name))
    for name in names:
        if name not in cohort.names:
            continue
        number = cohort.index(name)
        positions = annotations[name].positions(len(cohort.canvas))
        by_person = np.array([mark.status.by_person for mark in annotations[name].values()])
        positions[~by_person] = np.nan
        if np.isnan(positions[:, 0]).all():
            continue
        check_template(name, annotations[name], cohort, number)
        templates.append(Template(number, cohort.placement(number).to_working(positions)))
    if not templates:
        name = study.template or "the template"
        if annotations and not set(annotations) & set(cohort.names):
            raise InputError(f"{name}: is annotated, but no longer among the images of {cohort.folder}")
        raise InputError(f"{name}: no landmark is placed in it; annotate the template first")
    return templates


def check_template(name: str, landmarks: LandmarkSet, cohort: Cohort, number: int) -> None:
    """Refuse a template whose landmarks lie outside its image (InputError)."""
    geometry = cohort.geometry(number)
    if landmarks.ndim is not None and landmarks.ndim != geometry.ndim:
        needed = "x and y" if geometry.ndim == 2 else "x, y and z"
        raise InputError(
            f"{name}: its landmarks have {landmarks.ndim} coordinates and the image {geometry.ndim} axes; "
            f"give {needed}"
        )
    for mark in landmarks.values():
        if mark.position is not None and not geometry.contains(np.array([mark.position]), margin=0.5)[0]:
            place = ", ".join(f"{value:g}" for value in reversed(mark.position))
            size = " x ".join(str(n) for n in reversed(geometry.shape))
            raise InputError(
                f"{name}: landmark {mark.name!r} at ({place}) lies outside the image of {size} pixels; "
                f"correct it, in pixels from 0"
            )


def embedding_config(canvas: tuple[int, ...]) -> EmbeddingConfig:
    """The embedding for a canvas: shrunk to about `_EMBEDDING_SIDE` pixels."""
    wanted = max(canvas) / _EMBEDDING_SIDE
    possible = [
        n for n in range(1, math.ceil(wanted) + 1) if not any(side % (n * COARSEST_STRIDE) for side in canvas)
    ]
    return EmbeddingConfig(len(canvas), min(possible, key=lambda n: (abs(n - wanted), -n)))


def model_folders(study: Study) -> list[Path]:
    """Folders of complete models, oldest first; those that a person renamed before the numbered ones."""
    return sorted((path.parent for path in study.models_dir.glob("*/model.json")), key=_by_number)


def load_model(study: Study, *, name: str | None = None, device: str = "auto") -> LandmarkModel:
    """A model of the study, by default the newest."""
    folders = model_folders(study)
    if name is not None:
        folders = [folder for folder in folders if folder.name == name]
    if not folders:
        what = f"no model {name!r}" if name else "no trained model yet"
        raise InputError(f"{study.folder}: has {what}; run `napari-landmark train` first")
    return LandmarkModel.load(folders[-1], device=choose_device(device))


def can_resume(study: Study) -> bool:
    """Whether there is an interrupted training to go on with."""
    return bool(_interrupted(study))


def _by_number(folder: Path) -> tuple[int, str]:
    return (int(folder.name) if folder.name.isdecimal() else -1), folder.name


def _interrupted(study: Study) -> list[Path]:
    runs = sorted((path.parent for path in study.models_dir.glob("*/run.json")), key=_by_number)
    return [run for run in runs if any(run.glob("checkpoint-*.safetensors"))]


def _unfinished(study: Study) -> Path:
    folders = _interrupted(study)
    if not folders:
        raise InputError(f"{study.folder}: has no interrupted training to resume; leave out --resume")
    return folders[-1]


def _new_folder(study: Study) -> Path:
    last = max((_by_number(path)[0] for path in study.models_dir.iterdir()), default=0)
    folder = study.models_dir / f"{max(0, last) + 1:03d}"
    folder.mkdir(parents=True)
    return folder


def _recorded_options(folder: Path, options: TrainingOptions, fingerprint: str) -> TrainingOptions:
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        recorded, trained_on = record["options"], record["data_fingerprint"]
        options = TrainingOptions(
            **{**recorded, "device": options.device, "minutes": options.minutes or recorded["minutes"]}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); start without --resume") from error
    if trained_on != fingerprint:
        raise InputError(f"{path}: the images have changed since that training; start without --resume")
    return options


def _record(
    cohort: Cohort, templates: list[Template], options: TrainingOptions, device: Device, fingerprint: str
) -> dict:
    from napari_landmark import __version__

    return {
        "options": asdict(options),
        "device": str(device),
        "templates": [cohort.names[template.index] for template in templates],
        "images": len(cohort),
        "data_fingerprint": fingerprint,
        "versions": {
            "napari-landmark": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _stopped(cancel: CancelToken | None) -> bool:
    return cancel is not None and cancel.cancelled
