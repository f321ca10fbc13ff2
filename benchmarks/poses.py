"""Training cohorts of mixed poses: drawn hands of which a third is mirrored, turned or inverted, or a tenth no hands.

    python benchmarks/poses.py [--kinds uniform mirrored turned foreign] [--steps 1.0] [--poses-only]
                               [--foreign DIR ...] [--out DIR]

Prints for each kind of cohort how many poses were found, the time that took, and the mean error in native pixels of
the images as they were drawn and of the changed ones. Foreign images are the first ones of the folders `--foreign`, by
turns; they are named beside what became of them. `--poses-only` ends each training once the poses are found.
`--steps` multiplies the steps of all stages. `--out` keeps the studies.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train
from napari_landmark.progress import CancelToken, ProgressEvent
from napari_landmark.synthetic.radiograph import SCHEMA, hand_phantom

IMAGES, CHANGED, FOREIGN = 44, 15, 4
# Mirrored, quarter turns counterclockwise, inverted.
AS_DRAWN = (False, 0, False)
CHANGES = {
    "uniform": (AS_DRAWN,),
    "mirrored": ((True, 0, False),),
    "turned": ((False, 1, False), (False, 2, False), (False, 3, False), (False, 0, True)),
    "foreign": (AS_DRAWN,),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    parser.add_argument("--steps", type=float, default=1.0)
    parser.add_argument("--poses-only", action="store_true")
    parser.add_argument("--foreign", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--out", type=Path, help="keep the studies here")
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory() as scratch:
            work = (arguments.out or Path(scratch)) / kind
            strange = foreign_files(arguments.foreign) if kind == "foreign" else []
            print(run(kind, arguments.steps, arguments.poses_only, work, strange), flush=True)


def foreign_files(folders: list[Path]) -> list[Path]:
    """The first files of the folders, by turns."""
    files = [[path for _, path in image_files(folder)[0]] for folder in folders]
    if not files:
        raise SystemExit("--foreign DIR is needed for a cohort with foreign images")
    return [files[number % len(files)][number // len(files)] for number in range(FOREIGN)]


def run(kind: str, steps: float, poses_only: bool, work: Path, strange: list[Path]) -> str:
    """Train on one cohort and describe the result in a line."""
    changed = np.random.default_rng(5).permutation(np.arange(1, IMAGES))[:CHANGED].tolist()
    applied, truth = {}, {}
    (work / "images").mkdir(parents=True)
    for number, path in enumerate(strange):
        shutil.copy(path, work / "images" / f"strange_{number}{path.suffix}")
    for seed in range(IMAGES):
        phantom = hand_phantom(seed)
        options = CHANGES[kind] if seed in changed else (AS_DRAWN,)
        name, change = phantom.image.name, options[seed % len(options)]
        array, positions = change_image(phantom.image.array, phantom.landmarks.positions(), change)
        applied[name], truth[name] = change, positions
        Image.fromarray(array).save(work / "images" / name)
    study = Study.create(work / "study", schema=SCHEMA, images=work / "images", template="hand_000.png")
    study.save_annotations("hand_000.png", hand_phantom(0).landmarks)
    cohort = Cohort.from_folder(work / "images", cache_dir=work / "cache")
    options = TrainingOptions(device="cpu").for_canvas(cohort.canvas)
    names = ("self", "cross", "patch", "detector", "retrain")
    counts = {f"{stage}_steps": max(2, round(steps * getattr(options, f"{stage}_steps"))) for stage in names}
    cancel, spent, last = CancelToken(), {}, ("", time.process_time())

    def progress(event: ProgressEvent) -> None:
        nonlocal last
        now = time.process_time()
        spent[last[0]] = spent.get(last[0], 0.0) + now - last[1]
        last = (event.stage, now)
        if poses_only and event.stage == "matching template":
            cancel.cancel()

    report = train(study, cohort, options=replace(options, **counts), progress=progress, cancel=cancel)
    model = load_model(study, device="cpu")
    right = sum(described(model.poses.get(name)) == change for name, change in applied.items())
    text = (
        f"{kind}: {right} of {IMAGES} poses right, {model.record['poses']['searched']} images searched, "
        f"{len(report.left_aside)} left aside, {spent.get('finding poses', 0.0):.1f} s of processor time for poses"
    )
    for name in sorted(path.name for path in (work / "images").glob("strange_*")):
        marks = report.predictions.get(name)
        state = "" if marks is None else f", {marks.image_state}"
        text += f"; {name}: {report.left_aside.get(name, 'learned from')}{state}"
    if others := [name for name in report.left_aside if name in truth]:
        text += f"; left aside though hands: {' '.join(others)}"
    if poses_only:
        return text
    errors = {
        name: np.linalg.norm(report.predictions[name].positions() - truth[name], axis=1).mean()
        for name in truth
    }
    plain = [errors[n] for n in truth if applied[n] == AS_DRAWN and n != "hand_000.png"]
    others = [errors[n] for n in truth if applied[n] != AS_DRAWN]
    text += f", error {np.mean(plain):.2f} px as drawn"
    return text + (f", {np.mean(others):.2f} px changed" if others else "")


def change_image(
    array: np.ndarray, positions: np.ndarray, change: tuple[bool, int, bool]
) -> tuple[np.ndarray, np.ndarray]:
    """The image mirrored, then turned, then inverted, and its landmarks."""
    mirrored, turns, inverted = change
    if mirrored:
        array, positions = array[:, ::-1], positions * [1, -1] + [0, array.shape[1] - 1]
    for _ in range(turns):
        positions = np.stack([array.shape[1] - 1 - positions[:, 1], positions[:, 0]], 1)
        array = np.rot90(array)
    return np.ascontiguousarray(255 - array if inverted else array), positions


def described(pose: Pose | None) -> tuple[bool, int, bool]:
    """Mirrored, nearest quarter turns and inverted of a pose."""
    return AS_DRAWN if pose is None else (pose.is_mirrored, round(pose.angle / 90) % 4, pose.inverted)


if __name__ == "__main__":
    main()
