"""Start of a worker process that outlives its starter, directly or through the queue of a cluster."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from napari_landmark.backend.job_folder import (
    WORKER_LOG,
    printable_error,
    read_launched,
    write_launched,
)
from napari_landmark.data.errors import InputError

WORDS, LINE, FOLDER, ID = "{words}", "{line}", "{folder}", "{id}"
"""Placeholders of the commands of a queue: the worker's command as several words, or as one word that a shell reads;
the folder of the job; the answer of the queue when the job was handed to it."""

OWN_PROGRAM = (sys.executable, "-m", "napari_landmark")
"""Words that start this program again."""

_SECONDS_FOR_QUEUE = 60
_LONGEST_ANSWER = 2000


def launch_worker(folder: Path, *, command: str = "", template: str = "") -> None:
    """Start the worker of a job, in a session of its own.

    Parameters
    ----------
    folder : Path
        Of the job, absolute.
    command : str
        Words that start napari-landmark, as a shell would read them; this Python's by default.
    template : str
        Command that hands the worker to a queue, such as ``sbatch --parsable --gres=gpu:1 --wrap {line}``. It is split
        into words, and no shell reads it.

    Raises
    ------
    InputError
        The command cannot be run, or the queue refuses the job.
    """
    # No shell expands the home folder on the way to the queue.
    program = [os.path.expanduser(word) for word in split_words(command)] or OWN_PROGRAM
    words = [*program, "work", str(folder)]
    if template:
        answer = _run(fill_template(template, words=words, folder=folder), folder)
        write_launched(folder, pid=None, queued=True, answer=answer)
        return
    with (folder / WORKER_LOG).open("ab") as log:
        os.chmod(folder / WORKER_LOG, 0o600)
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                creationflags=_FLAGS,
            )
        except OSError as error:
            raise InputError(f"{words[0]}: cannot be started ({error.strerror or error})") from error
    write_launched(folder, pid=process.pid, queued=False)
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
    _CHILDREN.append(process)


def kill_worker(folder: Path, *, template: str = "") -> None:
    """End the worker of a job at once, or take a queued job back.

    Parameters
    ----------
    template : str
        Command that takes a job out of the queue, such as ``scancel {id}``.
    """
    launched = read_launched(folder)
    if launched.get("queued") is True:
        if template:
            answer = str(launched.get("answer", "")).strip()
            _run(fill_template(template, folder=folder, answer=answer), folder)
        return
    pid = launched.get("pid")
    if isinstance(pid, int) and not isinstance(pid, bool) and pid > 1 and _is_worker(pid, folder):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)  # the leader of a session of its own
        else:
            os.kill(pid, signal.SIGTERM)


def split_words(command: str) -> list[str]:
    """Words of a command as a shell reads them; InputError for an open quote."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise InputError(f"command {command!r:.100}: cannot be read ({error})") from error


def fill_template(
    template: str, *, words: list[str] | None = None, folder: Path | None = None, answer: str = ""
) -> list[str]:
    """Words of a queue's command with its placeholders filled in.

    Examples
    --------
    >>> fill_template("sbatch --wrap {line}", words=["napari-landmark", "work", "/my jobs/1"])
    ['sbatch', '--wrap', "napari-landmark work '/my jobs/1'"]
    >>> fill_template("srun {words}", words=["napari-landmark", "work", "/my jobs/1"])
    ['srun', 'napari-landmark', 'work', '/my jobs/1']
    """
    filled: list[str] = []
    for word in split_words(template):
        if word == WORDS:
            filled += words or []
            continue
        for name, value in ((LINE, shlex.join(words or [])), (FOLDER, str(folder)), (ID, answer)):
            word = word.replace(name, value)
        filled.append(word)
    if not filled:
        raise InputError("the command of the queue is empty")
    return filled


# Windows: a process that has no console of its starter, and does not get its Ctrl-C.
_FLAGS = sum(getattr(subprocess, flag, 0) for flag in ("DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP"))
_CHILDREN: list[subprocess.Popen[bytes]] = []  # kept, so that their ends are waited for


def _run(words: list[str], folder: Path) -> str:
    """Output of a command that ends soon."""
    try:
        run = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, timeout=_SECONDS_FOR_QUEUE
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{words[0]}: did not end within {_SECONDS_FOR_QUEUE} seconds") from None
    except OSError as error:
        raise InputError(f"{words[0]}: cannot be started ({error.strerror or error})") from error
    if run.returncode:
        raise InputError(f"{words[0]}: {printable_error(run.stderr) or f'exit status {run.returncode}'}")
    return run.stdout.decode("utf-8", "replace")[:_LONGEST_ANSWER].strip()


def _is_worker(pid: int, folder: Path) -> bool:
    """Whether a process is the worker of a job, and no other that got its number since."""
    import psutil

    try:
        return str(folder) in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
