"""The last events of this program, for a report of a fault: without names of patients, images or folders.

Free of napari and Qt.
"""

from __future__ import annotations

import logging
import platform
import re
import sys
import time
import traceback
from collections import deque
from collections.abc import Collection, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import napari_landmark
from napari_landmark.gui.session.session import Session

LINES = 200
"""Number of lines that are kept."""
HIDDEN = "‹…›"
"""Stands for words that may be names."""
_PACKAGES = (
    "napari-landmark",
    "napari",
    "torch",
    "numpy",
    "qtpy",
    "PyQt6",
    "PyQt5",
    "PySide6",
    "vispy",
    "SimpleITK",
)
_NO_NAMES = {"", "data", "home", "image", "images", "landmark", "landmarks", "study", "tmp", "user", "users"}
_LEAST_LETTERS = 3  # shorter names occur inside of words
_LONGEST_NUMBER = 4  # digits: a longer one may tell who it is
_PACKAGE = Path(napari_landmark.__file__).parent
_EDGES = ".,:;!?()[]{}'\"«»“”‘’`<>=…"


class EventLog(logging.Handler):
    """The last lines of warnings and errors, messages to the user, and beginnings and ends of long work.

    What may be a name is taken out before a line is kept: only words that occur in this program's own sources, and
    short numbers, stay.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: deque[str] = deque(maxlen=LINES)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, the oldest first."""
        return tuple(self._lines)

    def follow(self, session: Session) -> None:
        """Keep the messages and the work of a session from now on."""
        started: list[tuple[str, float]] = []

        def on_message(kind: str, text: str) -> None:
            self.add(kind, masked(text, names_of(session)))

        def on_job() -> None:
            while started:
                title, since = started.pop()
                self.add("work", f"{title} ended after {time.monotonic() - since:.1f} s")
            if session.job is not None:
                started.append((str(session.job.kind), time.monotonic()))  # its title may name a computer
                self.add("work", f"{started[0][0]} begins")

        session.message.connect(on_message)
        session.job_changed.connect(on_job)
        self._kept = (*getattr(self, "_kept", ()), on_message, on_job)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of logging; of an exception the kind and the lines of the programs, not the text."""
        self.add(f"{record.levelname.lower()} {record.name}", masked(record.getMessage(), ()))
        if record.exc_info and record.exc_info[1] is not None:
            self.add_error(record.exc_info[1])

    def add(self, kind: str, text: str) -> None:
        """Keep a line that has no names in it."""
        now = time.strftime("%H:%M:%S", time.localtime())
        self._lines.extend(f"{now} {kind}: {line}" for line in text.splitlines() or [""])

    def add_error(self, error: BaseException) -> None:
        """Keep an exception: its kind, its text without what may be a name, and where it was raised."""
        self.add("error", f"{type(error).__name__}: {masked(str(error), ())}")
        for frame in traceback.extract_tb(error.__traceback__):
            self.add("error", f"  {_place(frame.filename)}:{frame.lineno} in {frame.name}")


def masked(text: str, names: Collection[str]) -> str:
    """Text without names of patients, images and folders.

    Known names go first, wherever they stand; then every word that does not occur in the sources of this program, and
    every number of more than four digits.

    Parameters
    ----------
    text : str
    names : collection of str
        Names that are known, such as those of the images.
    """
    known = sorted({name for name in names if len(name) >= _LEAST_LETTERS}, key=len, reverse=True)
    for start in range(0, len(known), 500):
        part = "|".join(map(re.escape, known[start : start + 500]))
        text = re.sub(part, HIDDEN, text, flags=re.IGNORECASE)
    lines = (" ".join(_word(word) for word in line.split(" ")) for line in text.splitlines())
    return re.sub(f"{HIDDEN}(?: {HIDDEN})+", HIDDEN, "\n".join(lines))


def names_of(session: Session) -> set[str]:
    """Names of the images of the open study with and without suffix, of its folders, readers and landmarks."""
    if session.study is None:
        return set()
    paths = [session.study.folder.absolute(), *([session.cohort.folder.absolute()] if session.cohort else [])]
    found = {session.study.reader, *(session.study.schema.names)}
    for name in session.names:
        found |= {name, *Path(name).parts, Path(name).name.split(".")[0]}
    for path in paths:
        found |= set(path.parts[1:])
    return {name for name in found if name.lower() not in _NO_NAMES}


def report_text(log: EventLog, session: Session, *, device: str = "") -> str:
    """A text to paste into a report: versions, computer, the open study in numbers, the last lines of the log."""
    study, cohort = session.study, session.cohort
    lines = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    lines += [
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.release()} {platform.machine()}",
    ]
    lines.append(f"device {session.device or device or 'not used yet'}")
    if study is not None and cohort is not None:
        shape = " x ".join(map(str, cohort.canvas))
        lines.append(
            f"study: {len(cohort)} images of {cohort.ndim} axes, working grid {shape}, {len(study.schema)} landmarks, "
            f"{len(session.models.names)} models, {len(cohort.skipped_files)} files left out"
        )
    return "\n".join(
        [*lines, "", f"Last {len(log.lines)} lines of the log (names are left out):", *log.lines]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _word(word: str) -> str:
    core = word.strip(_EDGES)
    if (
        not core
        or core in _own_words()
        or re.fullmatch(rf"[±+-]?\d{{1,{_LONGEST_NUMBER}}}(\.\d{{1,6}})?%?", core)
    ):
        return word
    return HIDDEN


@cache
def _own_words() -> frozenset[str]:
    """Words of the sources of this program."""
    words: set[str] = set()
    for path in _PACKAGE.rglob("*.py"):
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            continue
        words.update(word.strip(_EDGES) for word in text.split())
        words.update(re.findall(r"[^\W\d_]+", text))
    return frozenset(words)


def _place(file: str) -> str:
    """File of a program as its path in the package that it belongs to."""
    parts: Iterable[str] = Path(file).parts
    parts = list(parts)
    for root in ("site-packages", "dist-packages"):
        if root in parts:
            return "/".join(parts[parts.index(root) + 1 :])
    if Path(file).is_relative_to(_PACKAGE):
        return "/".join(("napari_landmark", *Path(file).relative_to(_PACKAGE).parts))
    return f"python/{Path(file).name}" if file.startswith(sys.base_prefix) else HIDDEN


EVENT_LOG = EventLog()
"""The log of this program; in use once a viewer has a session."""
