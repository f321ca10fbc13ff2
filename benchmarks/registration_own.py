"""Registration of a pair by this package, as the benchmark calls it."""

from __future__ import annotations

import argparse
import dataclasses
import re
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from cephalometric import link_images
from registration_pairs import PairSet

from napari_landmark.cli.terminal_progress import terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import WORKING_SIZE, PairOptions, default_registration_options
from napari_landmark.registration.pairwise.register import register_pair
from napari_landmark.registration.result import Registration
from napari_landmark.registration.training.train import train_registration

Register = Callable[[str, str], Registration]
"""From the names of the fixed and the moving image."""
LABELS_TRIED = (0, 1, 5, 20)
VARIANTS = {
    "warped label maps": {"warped_labels": True},
}
LEFT_OUT = {
    "no higher weight in the regions": {"roi": 0.0},
    "no Dice": {"dice": 0.0},
    "no similarity": {"similarity": 0.0},
    "no bending energy": {"bending": 0.0},
    "no penalty on folds": {"jacobian": 0.0},
}


class OwnMethods:
    """Instance optimization alone, and models trained on the training images.

    Parameters
    ----------
    data : PairSet
    arguments : argparse.Namespace
        Of the benchmark.
    scratch : Path
        For the resampled images and for models that are not kept.

    Attributes
    ----------
    notes : list of str
        Duration of each training.
    """

    def __init__(self, data: PairSet, arguments: argparse.Namespace, scratch: Path) -> None:
        self.data, self.arguments, self.scratch = data, arguments, scratch
        self.device = choose_device(arguments.device)
        self.notes: list[str] = []
        self._model = lru_cache(maxsize=1)(self._load_or_train)

    def methods(self) -> dict[str, Register]:
        """The methods of the package, by name."""
        found: dict[str, Register] = {"instance optimization": self._without_model()}
        if self.data.label_files:
            found["instance optimization, label maps of both given"] = self._without_model(labels_given=True)
        labels = min(self.arguments.labels, len(self.data.labelled))
        return found | self._by_model(f"model of {labels} labels" if labels else "model", labels)

    def ablations(self) -> dict[str, Register]:
        """Models trained with fewer labels, and without each term of the loss."""
        found: dict[str, Register] = {}
        for count in LABELS_TRIED:
            if count <= len(self.data.labelled):
                found |= self._by_model(f"{count} labels", count)
        labels = min(self.arguments.labels, len(self.data.labelled))
        for name, changes in (LEFT_OUT | VARIANTS).items():
            found |= self._by_model(f"{labels} labels, {name}", labels, tuple(changes.items()))
        return found

    def _without_model(self, *, labels_given: bool = False) -> Register:
        options = PairOptions(device=self.arguments.device, working_size=self.data.working_size)

        def register(fixed: str, moving: str) -> Registration:
            labels = {}
            if labels_given:
                labels = {
                    "fixed_labels": self.data.labels(fixed),
                    "moving_labels": self.data.labels(moving),
                }
            return register_pair(self.data.image(fixed), self.data.image(moving), options=options, **labels)

        return register

    def _by_model(
        self, name: str, labels: int, changes: tuple[tuple[str, float | bool], ...] = ()
    ) -> dict[str, Register]:
        weights = _weights(changes)
        options = PairOptions(device=self.arguments.device, weights=weights)

        def network(fixed: str, moving: str) -> Registration:
            model = self._model(labels, changes)
            return model.register(self.data.image(fixed), self.data.image(moving))

        def optimized(fixed: str, moving: str) -> Registration:
            model = self._model(labels, changes)
            return register_pair(
                self.data.image(fixed), self.data.image(moving), model=model, options=options
            )

        return {name: network, f"{name}, optimized": optimized}

    def _load_or_train(self, labels: int, changes: tuple[tuple[str, float | bool], ...]) -> RegistrationModel:
        arguments, data = self.arguments, self.data
        budget = f"{arguments.minutes:g}min" if arguments.minutes else "default"
        budget = f"{arguments.steps}steps" if arguments.steps else budget
        parts = [
            data.name,
            f"{labels}labels",
            budget,
            f"seed{arguments.seed}",
            *(f"{k}{float(v):g}" for k, v in changes),
        ]
        kept = (arguments.models or self.scratch / "models") / re.sub(r"[^\w.-]", "_", "-".join(parts))
        if (kept / "model.json").exists():
            print(f"{kept.name}: trained before", flush=True)
            return RegistrationModel.load(kept, device=self.device)
        options = default_registration_options(
            self.device,
            seed=arguments.seed,
            minutes=arguments.minutes,
            weights=_weights(changes),
        )
        switches = {name: value for name, value in changes if isinstance(value, bool)}
        options = dataclasses.replace(options, **switches)
        if arguments.steps:
            options = dataclasses.replace(options, minutes=None, limit_minutes=None, steps=arguments.steps)
        started = time.monotonic()
        cohort = self._cohort()
        given = {name: data.labels(name) for name in data.labelled[:labels]}
        with terminal_progress() as progress:
            model = train_registration(cohort, given, options=options, folder=kept, progress=progress)
        minutes = (time.monotonic() - started) / 60
        self.notes.append(f"{kept.name}: trained in {minutes:.1f} minutes, {options.describe()}")
        print(self.notes[-1], flush=True)
        return model

    def _cohort(self) -> Cohort:
        data, folder = self.data, self.scratch / "images"
        link_images(data.images[data.learning[0]].parent, data.learning, folder)
        return Cohort.from_folder(
            folder,
            spacing=data.spacing,
            working_size=data.working_size or WORKING_SIZE[data.image(data.learning[0]).geometry.ndim],
            cache_dir=self.scratch / "cache",
        )


def _weights(changes: tuple[tuple[str, float | bool], ...]) -> LossWeights:
    terms = {name: value for name, value in changes if not isinstance(value, bool)}
    return dataclasses.replace(LossWeights(), **terms)
