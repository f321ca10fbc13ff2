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
import weakref
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

    What may be a name is taken out: names that the open study knows before a line is kept, and when the lines are read
    everything but words of this program's own sources and short numbers.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: deque[tuple[str, str, bool]] = deque(maxlen=LINES)
        self._followers: weakref.WeakKeyDictionary[Session, _Follower] = weakref.WeakKeyDictionary()

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines without names, the oldest first."""
        return tuple(f"{kind}: {own_words(text) if free else text}" for kind, text, free in self._lines)

    def follow(self, session: Session) -> None:
        """Keep the messages and the work of a session from now on."""
        self._followers[session] = _Follower(self, session)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of logging, and of an exception its kind and places."""
        self.add(f"{record.levelname.lower()} {record.name}", record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            self.add_error(record.exc_info[1])

    def add(self, kind: str, text: str, *, free: bool = True) -> None:
        """Keep a text, line by line.

        Parameters
        ----------
        kind : str
            Without names.
        text : str
        free : bool, optional
            Whether names may be in it, which are taken out when the lines are read.
        """
        now = time.strftime("%H:%M:%S", time.localtime())
        self._lines.extend((f"{now} {kind}", line, free) for line in text.splitlines() or [""])

    def add_error(self, error: BaseException) -> None:
        """Keep an exception: its kind, its text, and where it was raised."""
        self.add(f"error {type(error).__name__}", str(error))
        for frame in traceback.extract_tb(error.__traceback__):
            self.add("error", f"  {_place(frame.filename)}:{frame.lineno} in {frame.name}", free=False)


class _Follower:
    """Keeps what one session tells, without the names that it knows; does not keep the session itself."""

    def __init__(self, log: EventLog, session: Session) -> None:
        self._log, self._session = log, weakref.ref(session)
        self._work: tuple[str, float] | None = None
        self._names: set[str] = set()  # those of ten thousand images are gathered once
        self._names_of: weakref.ref[object] | None = None
        session.message.connect(self._on_message)
        session.job_changed.connect(self._on_job)

    def _on_message(self, kind: str, text: str) -> None:
        session = self._session()
        if session is None:
            return
        cohort = session.cohort
        if cohort is not None and (self._names_of is None or self._names_of() is not cohort):
            self._names_of, self._names = weakref.ref(cohort), names_of(session)
        self._log.add(kind, without_names(text, self._names))

    def _on_job(self) -> None:
        session = self._session()
        if self._work is not None:
            kind, since = self._work
            self._log.add("work", f"{kind} ended after {time.monotonic() - since:.1f} s", free=False)
        self._work = None
        if session is not None and session.job is not None:
            self._work = str(session.job.kind), time.monotonic()  # its title may name a computer
            self._log.add("work", f"{self._work[0]} begins", free=False)


def without_names(text: str, names: Collection[str]) -> str:
    """Text in which names that are known, such as those of the images, are hidden wherever they stand."""
    lowered = text.lower()
    known = {name for name in names if len(name) >= _LEAST_LETTERS and name.lower() in lowered}
    if not known:
        return text
    longest_first = sorted(known, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), HIDDEN, text, flags=re.IGNORECASE)


def own_words(text: str) -> str:
    """Text in which every word is hidden that does not occur in the sources of this program, and every long number."""
    lines = (" ".join(_word(word) for word in line.split(" ")) for line in text.splitlines())
    return re.sub(f"{HIDDEN}(?: {HIDDEN})+", HIDDEN, "\n".join(lines))


def names_of(session: Session) -> set[str]:
    """Names of the images of the open study with and without suffix, of its folders, readers and landmarks."""
    if session.study is None:
        return set()
    paths = [session.study.folder.absolute(), *([session.cohort.folder.absolute()] if session.cohort else [])]
    found = {session.study.reader, *(session.study.schema.names)}
    for name in session.names:
        parts = name.split("/")
        found |= {name, *parts, parts[-1].split(".")[0]}
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
    lines.append(f"device {own_words(session.device or device) or 'not used yet'}")  # may name a computer
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
