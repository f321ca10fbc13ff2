"""One registration training by one process and by several, for the same time.

    python benchmarks/data_parallel.py --images DIR --labels DIR --out WORK [--processes 2] [--minutes 1.5]

The one process has all cores that the several have together. Prints steps, pairs learned from, seconds a step, and the
terms of the loss at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def train(arguments: argparse.Namespace, processes: int) -> dict[str, Any]:
    """Train with so many processes; returns what the model records."""
    out = arguments.out / f"processes_{processes}"
    words = [
        "-m",
        "napari_landmark",
        "register",
        "train",
        "--images",
        arguments.images,
        "--labels",
        arguments.labels,
    ]
    words += ["--out", out, "--minutes", arguments.minutes, "--device", arguments.device]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", processes] if processes > 1 else []
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, *map(str, [*launcher, *words])], check=True, env=environment)
    record: dict[str, Any] = json.loads((out / "model.json").read_text())["training"]
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print("| processes | steps | batches learned from | seconds a step | terms of the loss at the end |")
    print("|---|---|---|---|---|")
    for processes in (1, arguments.processes):
        record = train(arguments, processes)
        steps, seconds = record["history"]["steps"], record["history"]["seconds"]
        terms = ", ".join(f"{name} {value:.4f}" for name, value in record["terms"].items())
        print(
            f"| {processes} | {steps} | {steps * processes} | {seconds / max(1, steps):.2f} | {terms} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
