"""A real dask scheduler with worker processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from napari_landmark.backend.cluster.tasks import parse_address

from ..conftest import wait_until


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and three worker processes of one thread, found by their process ids."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dask = [sys.executable, "-m", "distributed.cli."]
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    processes = []

    def run(program, *arguments):
        command = [*dask[:-1], f"{dask[-1]}{program}", *arguments]
        with (tmp_path / f"{program}-{len(processes)}.log").open("wb") as log:
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path))

    run("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    for _ in range(3):
        run("dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-nanny", "--no-dashboard")
    yield f"dask://127.0.0.1:{port}", processes
    for process in processes:
        process.kill()
        process.wait()


def wait_for_workers(address, count):
    from distributed import Client

    with Client(parse_address(address), timeout=60, set_as_default=False) as client:
        wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == count)
