"""Landmarks of a whole cohort from one annotated image, in Python.

Draws hands, trains on them with one annotated image, detects in new ones and scores the result. With the short training
that is the default here the model knows little yet: ``--minutes 3`` shows what it can do.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from napari_landmark import Cohort, TrainingOptions, detect_folder, evaluate, load_model, train
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.study.creation import create_study
from napari_landmark.synthetic import hand_phantom

SIZE = (96, 96)


def main(folder: Path, minutes: float) -> float:
    """Do the whole job in a folder and return the mean radial error in pixels."""
    hands = [hand_phantom(seed, size=SIZE) for seed in range(10)]
    for part, drawn in (("images", hands[:6]), ("new", hands[6:])):
        (folder / part).mkdir()
        for hand in drawn:
            Image.fromarray(hand.image.array).save(folder / part / hand.image.name)

    # A study is a folder of plain files; here a person's work is the exact landmarks of the first hand.
    cohort = Cohort.from_folder(folder / "images")
    template = hands[0]
    study = create_study(
        folder / "study",
        cohort,
        images=folder / "images",
        annotations={template.image.name: template.landmarks},
    )
    report = train(study, cohort, options=TrainingOptions(device="cpu", minutes=minutes, overtime=1.0))
    print(f"trained in {report.seconds:.0f} s: {report.model_dir}")

    found = detect_folder(load_model(study, device="cpu"), folder / "new")
    write_landmarks(folder / "found.csv", found.landmarks)
    for name, landmarks in found.landmarks.items():
        worst = max(landmarks.values(), key=lambda mark: mark.expected_error or 0.0)
        print(f"{name}: look first at {worst.name}, expected error {worst.expected_error:.1f} pixels")

    truth = {hand.image.name: hand.landmarks for hand in hands[6:]}
    error = evaluate(found.landmarks, truth).mre_px
    if error is None:
        raise SystemExit("no landmark was predicted")
    print(f"mean radial error: {error:.2f} pixels")
    return error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.05)
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary), parser.parse_args().minutes)
