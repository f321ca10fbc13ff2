"""Detection in many images by many processes, as a job array does it on a cluster.

Needs a trained study and a folder of images; without them a small one is made. Each shard is a process that knows
nothing of the others, so that a scheduler may start it anywhere: ``napari-landmark detect ... --shard 0/3``. The merged
table is the same to the byte as that of one process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

SHARDS = 3


def command(*arguments: object) -> None:
    """Run `napari-landmark` as a scheduler would."""
    subprocess.run([sys.executable, "-m", "napari_landmark", *map(str, arguments)], check=True)


def make_study(folder: Path) -> tuple[Path, Path]:
    """A study of drawn hands that was trained for some seconds, and a folder of images."""
    from PIL import Image

    from napari_landmark.data.formats.registry import write_landmarks
    from napari_landmark.synthetic import hand_phantom

    images = folder / "images"
    images.mkdir()
    hands = [hand_phantom(seed, size=(96, 96)) for seed in range(7)]
    for hand in hands:
        Image.fromarray(hand.image.array).save(images / hand.image.name)
    write_landmarks(folder / "template.csv", {hands[0].image.name: hands[0].landmarks})
    command(
        "train", "--images", images, "--template", images / hands[0].image.name,
        "--landmarks", folder / "template.csv", "--out", folder / "study", "--minutes", 0.01, "--device", "cpu",
    )  # fmt: skip
    return folder / "study", images


def main(study: Path, images: Path, out: Path) -> None:
    """Detect in shards and merge them."""
    for number in range(SHARDS):  # on a cluster: one task of an array each
        shard = f"{number}/{SHARDS}"
        command("detect", study, "--images", images, "--out", out, "--shard", shard, "--device", "cpu")
    command("merge", study, "--images", images, "--out", out, "--shards", SHARDS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?")
    parser.add_argument("images", type=Path, nargs="?")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        study, images = given.study, given.images
        if study is None or images is None:
            study, images = make_study(Path(temporary))
        out = Path("found.csv") if given.study else Path(temporary) / "found.csv"
        main(study, images, out)
        print(out.read_text(encoding="utf-8").splitlines()[1])
