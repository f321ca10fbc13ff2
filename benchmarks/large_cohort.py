"""A cohort of ten thousand images: memory, time an image, and resuming after an interruption.

    python benchmarks/large_cohort.py --count 10000 --out /somewhere/with/20/GB --json figures.json

Draws a few dozen synthetic hands once and varies each by a small affine map and other grey values, so that drawing ten
thousand takes minutes. Then, each in a process of its own whose peak memory is measured:

- the cohort is read, and read again from its cache;
- `train` with a short budget;
- `detect`, killed in the middle, and the same command again.

What must hold: memory below 3 GiB everywhere, no slow-down from the first tenth of the images to the last, nothing
done twice after the interruption.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

MEMORY = 3 * 1024**3
DRAWN = 36
SIZE = (320, 256)


def draw(folder: Path, count: int) -> Path:
    """Write the images that are not there yet, and the landmarks of the first; returns the folder of images."""
    from PIL import Image
    from scipy import ndimage

    from napari_landmark.data.formats.registry import write_landmarks
    from napari_landmark.synthetic import hand_phantom

    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    originals = [hand_phantom(seed, size=SIZE) for seed in range(min(DRAWN, count))]
    truth = {}
    for number in range(count):
        original = originals[number % len(originals)]
        array, marks = original.image.array, original.landmarks
        name = f"hand_{number:05d}.png"
        if number >= len(originals):
            chance = np.random.default_rng(number)
            angle = np.radians(chance.uniform(-8, 8))
            scale = chance.uniform(0.94, 1.06)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
            centre = (np.array(array.shape) - 1) / 2
            offset = centre - turn @ (centre + chance.uniform(-6, 6, 2))  # original = turn @ new + offset
            if not (images / name).exists():
                moved = ndimage.affine_transform(array, turn, offset, order=1, mode="nearest").astype(float)
                shades = 255 * (moved / 255) ** chance.uniform(0.8, 1.25)
                Image.fromarray(shades.astype(np.uint8)).save(images / name, compress_level=1)
            positions = np.linalg.solve(turn, (marks.positions() - offset).T).T
        else:
            Image.fromarray(array).save(images / name)
            positions = marks.positions()
        truth[name] = type(marks).from_array(marks.schema, positions)
    write_landmarks(folder / "truth.csv", truth)
    first = next(iter(truth))
    write_landmarks(folder / "template.csv", {first: truth[first]})
    return images


class Measured:
    """A process, its peak memory, and its lines of output with their times."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.started = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self.peak = self.peak_with_files = 0
        self.process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._watch)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> Measured:
        self.process.wait()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self.started
        return self

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.lines.append((time.monotonic() - self.started, line.rstrip()))

    def _watch(self) -> None:
        # Memory that is not shared with files: pages of the mapped cache are freed when others need them.
        status = Path(f"/proc/{self.process.pid}/status")
        while self.process.poll() is None:
            try:
                fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                own = sum(int(fields[key].split()[0]) for key in ("RssAnon", "RssShmem")) * 1024
                self.peak = max(self.peak, own)
                self.peak_with_files = int(fields["VmHWM"].split()[0]) * 1024
            except (OSError, KeyError):
                pass
            time.sleep(0.05)

    def report(self) -> dict:
        return {
            "seconds": round(self.seconds, 1),
            "peak_gib": round(self.peak / 1024**3, 2),
            "peak_with_mapped_files_gib": round(self.peak_with_files / 1024**3, 2),
        }


READING = """
import json, sys, time
from napari_landmark.data.cohort.cohort import Cohort
for name in ("first", "again"):
    started = time.monotonic()
    times = []
    cohort = Cohort.from_folder(sys.argv[1], progress=lambda event: times.append(time.monotonic()))
    tenth = len(times) // 10  # none where all was in the cache
    first, last = times[tenth] - times[0], times[-1] - times[-1 - tenth]
    print(json.dumps({"reading": name, "images": len(cohort), "seconds": round(time.monotonic() - started, 1),
                      "last_tenth_to_first": round(last / first, 2) if first else None}), flush=True)
"""
TERMINAL = "import sys; from napari_landmark.cli.app import main; sys.exit(main(sys.argv[1:]))"


def journal_times(path: Path, running: Measured, stop_after: int | None) -> list[float]:
    """Seconds after which each image was written to the journal; kills the process after `stop_after` images."""
    times: list[float] = []
    seen, offset = 0, 0
    while running.process.poll() is None:
        if path.exists():
            with path.open("rb") as stream:
                stream.seek(offset)
                block = stream.read()
            offset += len(block)
            seen += block.count(b"\n")
            times += [time.monotonic() - running.started] * (seen - 1 - len(times))
            if stop_after is not None and seen > stop_after:
                running.process.send_signal(signal.SIGKILL)
                break
        time.sleep(0.05)
    return times


def slow_down(times: list[float]) -> float | None:
    """Time of the last tenth of the images relative to the first tenth, without the first 5% (warming up)."""
    times = times[len(times) // 20 :]
    tenth = len(times) // 10
    if tenth < 3:
        return None
    return round((times[-1] - times[-1 - tenth]) / max(times[tenth] - times[0], 1e-9), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=2.0, help="budget of the training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    out = options.out
    environment = {"NAPARI_LANDMARK_CACHE": str(out / "cache")}
    figures: dict = {"count": options.count, "size": SIZE, "device": options.device}
    started = time.monotonic()
    images = draw(out, options.count)
    figures["drawing"] = {"seconds": round(time.monotonic() - started, 1)}
    print("drawn", figures["drawing"], flush=True)

    shutil.rmtree(out / "cache", ignore_errors=True)
    reading = Measured([sys.executable, "-c", READING, str(images)], environment).wait()
    figures["reading"] = reading.report() | {
        part.pop("reading"): part
        for part in (json.loads(line) for _, line in reading.lines if line[:1] == "{")
    }
    print("read", figures["reading"], flush=True)

    study = out / "study"
    shutil.rmtree(study, ignore_errors=True)
    terminal = [sys.executable, "-c", TERMINAL]
    given = {
        "images": images,
        "template": images / "hand_00000.png",
        "landmarks": out / "template.csv",
        "out": study,
        "device": options.device,
        "minutes": options.minutes,
    }
    command = [
        *terminal,
        "train",
        *(part for key, value in given.items() for part in (f"--{key}", str(value))),
    ]
    training = Measured(command, environment).wait()
    if training.process.returncode:
        sys.exit("\n".join(line for _, line in training.lines))
    figures["train"] = training.report()
    print("trained", figures["train"], flush=True)

    table = out / "found.csv"
    journal = out / "found.csv.part.jsonl"
    for path in (table, journal):
        path.unlink(missing_ok=True)
    command = [*terminal, "detect", str(study), "--images", str(images), "--out", str(table)]
    command += ["--device", options.device]
    half = options.count // 2
    first = Measured(command, environment)
    times = journal_times(journal, first, half)
    first.wait()
    kept = journal.read_bytes().count(b"\n") - 1
    second = Measured(command, environment)
    more = journal_times(journal, second, None)
    second.wait()
    if second.process.returncode:
        sys.exit("\n".join(line for _, line in second.lines))
    taken = [line for _, line in second.lines if "were done before the interruption" in line]
    rows = table.read_text().count("\n") - 1
    figures["detect"] = {
        "killed_after": kept,
        "n_resumed": int(taken[0].split()[0]) if taken else 0,
        "rows": rows,
        "first": first.report() | {"last_tenth_to_first": slow_down(times)},
        "second": second.report() | {"last_tenth_to_first": slow_down(more[kept:])},
        "ms_per_image": round(1000 * (times[-1] - times[len(times) // 20]) / max(1, len(times) * 19 / 20), 1),
    }
    print("detected", figures["detect"], flush=True)
    peak = max(figures[part]["peak_gib"] for part in ("reading", "train"))
    peak = max(peak, first.peak / 1024**3, second.peak / 1024**3)
    figures["peak_gib"] = round(peak, 2)
    figures["holds"] = {
        "memory below 3 GiB": peak * 1024**3 < MEMORY,
        "nothing done twice": figures["detect"]["n_resumed"] == kept > 0,
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if not all(figures["holds"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
