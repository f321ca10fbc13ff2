"""One detection of thousands of images in one process, on a dask cluster that loses a worker, and in four shards.

    python benchmarks/executors.py --count 2000 --out /somewhere/with/1/GB [--json figures.json]

Draws the images as `large_cohort.py` does, trains for a short time, and detects three times with the same model: in
one process; on a scheduler with three worker processes of one thread each, one of which is killed once a tenth of the
images is done; and in four shards, one after the other as a job array on one machine would do them, joined by `merge`.
The three tables must be the same to the byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from large_cohort import TERMINAL, draw

WORKERS, SHARDS = 3, 4


def terminal(*words: str | Path) -> subprocess.Popen[bytes]:
    """Start the program."""
    return subprocess.Popen([sys.executable, "-c", TERMINAL, *map(str, words)])


def must(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise SystemExit(f"{process.args}: failed")


def start_cluster() -> tuple[str, list[subprocess.Popen[bytes]]]:
    """Address of a scheduler, and its processes: that of the scheduler first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    command = [sys.executable, "-m", "distributed.cli.{}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = ["dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    running = []
    for name, *words in (scheduler, *[worker] * WORKERS):
        running.append(subprocess.Popen([*command[:2], command[2].format(name), *words], **quiet))
    return f"dask://127.0.0.1:{port}", running


def kill_one(
    workers: list[subprocess.Popen[bytes]], folder: Path, wanted: int, running: subprocess.Popen[bytes]
) -> int:
    """Kill a worker once so many images are in the journals; returns how many were."""
    while running.poll() is None:
        done = sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.part*.jsonl"))
        if done >= wanted:
            workers[0].send_signal(signal.SIGKILL)
            return done
        time.sleep(0.1)
    return -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=1.0, help="budget of the training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["NAPARI_LANDMARK_CACHE"] = str(options.out / "cache")
    images, study = draw(options.out, options.count), options.out / "study"
    if not (study / "models").exists():
        few = options.out / "few"
        few.mkdir(exist_ok=True)
        for path in sorted(images.iterdir())[:60]:
            link = few / path.name
            if not link.exists():
                link.symlink_to(path)
        words = [
            "--images",
            few,
            "--template",
            few / "hand_00000.png",
            "--landmarks",
            options.out / "template.csv",
        ]
        must(terminal("train", "--out", study, *words, "--minutes", options.minutes, "--device", "cpu"))
    common = [study, "--images", images, "--device", "cpu"]
    figures = []

    def measured(title: str, table: Path, work) -> None:
        started = time.monotonic()
        killed = work(table)
        row = {
            "run": title,
            "seconds": round(time.monotonic() - started, 1),
            "images": options.count,
            "sha256": hashlib.sha256(table.read_bytes()).hexdigest()[:16],
        }
        if killed:
            row["killed_after"] = killed
        figures.append(row)
        print(json.dumps(row), flush=True)

    def on_a_cluster(table: Path) -> int:
        address, cluster = start_cluster()
        try:
            time.sleep(5)
            running = terminal("detect", *common, "--out", table, "--executor", address)
            killed = kill_one(cluster[1:], table.parent, options.count // 10, running)
            must(running)
        finally:
            for process in cluster:
                process.kill()
        if killed < 0:
            raise SystemExit("no worker was killed: too few images")
        return killed

    def in_shards(table: Path) -> None:
        for number in range(SHARDS):
            must(terminal("detect", *common, "--out", table, "--shard", f"{number}/{SHARDS}"))
        must(terminal("merge", study, "--images", images, "--out", table, "--shards", SHARDS))

    tables = [options.out / name / "table.csv" for name in ("one", "cluster", "shards")]
    for table in tables:
        table.parent.mkdir(exist_ok=True)
        table.unlink(missing_ok=True)
    measured("one process", tables[0], lambda table: must(terminal("detect", *common, "--out", table)))
    measured(f"dask, {WORKERS} workers, one killed", tables[1], on_a_cluster)
    measured(f"{SHARDS} shards, one after the other", tables[2], in_shards)
    same = len({row["sha256"] for row in figures}) == 1
    print("the same table" if same else "DIFFERENT TABLES")
    if options.json:
        options.json.write_text(json.dumps({"same": same, "runs": figures}, indent=1) + "\n")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
