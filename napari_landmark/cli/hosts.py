"""`napari-landmark hosts`."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from napari_landmark.backend.hosts import Host, find_host, hosts_file, read_hosts, remove_host, save_host
from napari_landmark.backend.ssh_machine import SshMachine
from napari_landmark.data.errors import InputError


def run_list_hosts() -> None:
    """Print the known hosts, one a line."""
    hosts = read_hosts()
    for host in hosts.values():
        queue = f", through {host.start.split()[0]}" if host.start else ""
        typer.echo(f"{host.name}: {host.address}, {host.command}, jobs in {host.folder}{queue}")
    if not hosts:
        typer.echo("none yet: napari-landmark hosts add NAME USER@HOST")


def run_add_host(
    name: str,
    address: str,
    *,
    command: str,
    folder: str,
    start: str,
    stop: str,
    paths: Sequence[str],
    ssh_config: str,
) -> None:
    """Add a host, or replace the one of that name."""
    pairs = {}
    for text in paths:
        here, separator, there = text.partition("=")
        if not separator:
            raise InputError(f"--path {text}: give HERE=THERE, such as /data/study=/mnt/data/study")
        pairs[here] = there
    host = Host(
        name=name,
        address=address,
        command=command,
        folder=folder,
        start=start,
        stop=stop,
        paths=pairs,
        ssh_config=ssh_config,
    )
    save_host(host)
    typer.echo(f"{name} is in {hosts_file()}; napari-landmark hosts test {name!r} tries it")


def run_remove_host(name: str) -> None:
    """Forget a host."""
    remove_host(name)


def run_test_host(name: str) -> None:
    """Print version, device, free memory and free disk of a host."""
    report = SshMachine(find_host(name)).test()
    memory = ""
    if report.device_memory:
        memory = f", {report.device_free / 1e9:.1f} of {report.device_memory / 1e9:.1f} GB free"
    typer.echo(f"{name}: napari-landmark {report.version}")
    typer.echo(f"device   {report.device}{memory}")
    typer.echo(f"folder   {report.folder}, {report.disk_free / 1e9:.1f} GB free")
