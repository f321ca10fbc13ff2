from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_landmark.data.cohort import cache as working_cache
from napari_landmark.data.cohort.cache import WorkingCache
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.progress import Cancelled, CancelToken, ProgressEvent

CANVAS = (4, 6)
NAMES = [f"{i}.png" for i in range(10)]


def build(folder, names=NAMES, keys=None, canvas=CANVAS, fail=(), **options):
    """A cache whose rows hold the number in the name, and the numbers of the rows that were drawn."""
    drawn = []

    def draw(number):
        if number in fail:
            raise InputError(f"bad {number}")
        drawn.append(number)
        return np.full(canvas, int(names[number].split(".")[0]), np.float32)

    cache = WorkingCache(folder, names, keys or [f"key of {name}" for name in names], canvas)
    failures = cache.build(draw, **options)
    return cache, sorted(drawn), failures


def holds(cache, names=NAMES):
    return [cache.row(i).tolist() for i in range(len(names))] == [
        np.full(CANVAS, int(name.split(".")[0])).tolist() for name in names
    ]


def test_everything_is_drawn_once(tmp_path):
    cache, drawn, failures = build(tmp_path)
    assert drawn == list(range(10))
    assert failures == {}
    assert cache.row(3).dtype == np.float32
    again, drawn, _ = build(tmp_path)
    assert drawn == []
    assert holds(cache)
    assert holds(again)


@pytest.mark.parametrize("box", [(), (slice(1, 3),), (slice(0, 4), slice(5, 6)), (slice(2, 2), slice(0, 6))])
def test_a_part_is_what_the_row_holds_there(tmp_path, box):
    values = np.arange(24, dtype=np.float32).reshape(CANVAS)
    cache = WorkingCache(tmp_path, ["a", "b"], ["1", "2"], CANVAS)
    with pytest.raises(RuntimeError, match="was not built"):
        cache.part(0, box)
    cache.build(lambda number: values + 100 * number)
    for number in (0, 1):
        part = cache.part(number, box)
        assert type(part) is np.ndarray
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, (values + 100 * number)[box])
    part[...] = -1  # a copy: the cache does not change
    np.testing.assert_array_equal(cache.row(1), values + 100)


def test_what_changed_is_drawn_again(tmp_path):
    build(tmp_path)
    keys = [f"key of {name}" for name in NAMES]
    keys[4] = "newer"
    assert build(tmp_path, keys=keys)[1] == [4]


def test_another_list_keeps_what_is_right_and_one_file(tmp_path):
    build(tmp_path)
    names = ["7.png", "11.png", "3.png"]
    cache, drawn, _ = build(tmp_path, names)
    assert drawn == [1]
    assert holds(cache, names)
    assert len(list(tmp_path.glob("working-*.npy"))) == 1


def test_another_canvas_is_drawn_anew(tmp_path):
    build(tmp_path)
    cache, drawn, _ = build(tmp_path, canvas=(2, 2))
    assert len(drawn) == 10
    assert cache.row(9).shape == (2, 2)
    assert len(list(tmp_path.glob("working-*.npy"))) == 1


def test_failures_are_told_and_tried_again(tmp_path):
    cache, _, failures = build(tmp_path, fail={2, 5})
    assert failures == {2: "bad 2", 5: "bad 5"}
    assert cache.row(3)[0, 0] == 3
    assert build(tmp_path)[1] == [2, 5]


@pytest.mark.parametrize("how", ["token", "exception"])
def test_stopping_keeps_what_was_done(tmp_path, how):
    token = CancelToken()

    def stop(event):
        if event.step == 4:
            if how == "token":
                token.cancel()
            else:
                raise KeyboardInterrupt

    with pytest.raises(Cancelled if how == "token" else KeyboardInterrupt):
        build(tmp_path, progress=stop, cancel=token)
    done = json.loads((tmp_path / "index.json").read_text())["rows"]
    assert len(done) >= 4
    cache, drawn, _ = build(tmp_path)
    assert sorted(set(NAMES) - set(done)) == [NAMES[i] for i in drawn]
    assert holds(cache)


def test_a_cohort_at_work_keeps_its_pictures_when_an_image_changes(tmp_path):
    cache, _, _ = build(tmp_path)
    keys = [f"key of {name}" for name in NAMES]
    keys[4] = "newer"
    newer = WorkingCache(tmp_path, NAMES, keys, CANVAS)
    newer.build(lambda number: np.full(CANVAS, 99, np.float32))
    assert newer.row(4)[0, 0] == 99
    assert newer.row(5)[0, 0] == 5
    assert holds(cache)
    assert type(cache.row(4)) is np.ndarray


def test_a_row_is_not_listed_while_it_is_drawn_again(tmp_path):
    build(tmp_path)
    listed = []

    def draw(number):
        listed.extend(json.loads((tmp_path / "index.json").read_text())["rows"])
        return np.zeros(CANVAS, np.float32)

    keys = [f"key of {name}" for name in NAMES]
    keys[4] = "newer"
    WorkingCache(tmp_path, NAMES, keys, CANVAS).build(draw)
    assert listed == [name for name in NAMES if name != "4.png"]


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    build(tmp_path, fail={1}, progress=seen.append)
    assert seen == [ProgressEvent("reading images", (i + 1) / 10, step=i + 1) for i in range(10)]
    seen.clear()
    build(tmp_path, progress=seen.append)
    assert seen == [ProgressEvent("reading images", 1.0, step=10)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 99}',
        b'{"version": 1, "canvas": [4, 6], "file": "../x", "names": [], "rows": {}}',
    ],
)
def test_a_damaged_index_is_no_harm(tmp_path, content):
    build(tmp_path)
    (tmp_path / "index.json").write_bytes(content)
    cache, drawn, _ = build(tmp_path)
    assert len(drawn) == 10
    assert holds(cache)


def test_a_cut_file_is_no_harm(tmp_path):
    build(tmp_path)
    file = next(tmp_path.glob("working-*.npy"))
    file.write_bytes(file.read_bytes()[:200])
    cache, drawn, _ = build(tmp_path)
    assert len(drawn) == 10
    assert holds(cache)


def test_rows_travel_to_another_process_by_name(tmp_path):
    cache, _, _ = build(tmp_path)
    packed = pickle.dumps(cache)
    assert len(packed) < 2000
    assert holds(pickle.loads(packed))


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.*cannot be written.*NAPARI_LANDMARK_CACHE"):
        build(tmp_path / "file" / "cache")


def test_a_finished_cache_needs_no_writing(tmp_path, monkeypatch):
    build(tmp_path)

    def refuse(*_):
        raise OSError("read-only")

    monkeypatch.setattr(working_cache, "atomic_write", refuse)
    assert holds(build(tmp_path)[0])


def test_too_little_room_is_told_before(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(working_cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"needs .* GB"):
        build(tmp_path)
    assert list(tmp_path.glob("*.npy")) == []


BUILDING = """
import sys, time
import numpy as np
from pathlib import Path
from napari_landmark.data.cohort.cache import WorkingCache

folder, names = Path(sys.argv[1]), [f"{i}.png" for i in range(10)]
drawn = []

def draw(number):
    time.sleep(0.05)
    drawn.append(number)
    return np.full((4, 6), number, np.float32)

cache = WorkingCache(folder, names, [f"key of {name}" for name in names], (4, 6))
print("ready", flush=True)
sys.stdin.readline()
cache.build(draw)
print(len(drawn), flush=True)
sys.stdin.readline()
print([int(cache.row(number)[3, 5]) for number in range(10)], flush=True)
"""


@pytest.fixture
def program(tmp_path):
    """Starts a program that builds the cache, tells how many rows it drew, and reads them, a line for each."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", BUILDING, str(tmp_path / "cache")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(working_cache.__file__).parents[3],
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_programs_started_at_once_build_one_cache(tmp_path, program):
    both = [program(), program()]
    for process in both:
        go_on(process)
    assert sum(int(process.stdout.readline()) for process in both) == 10
    assert len(list((tmp_path / "cache").glob("working-*.npy"))) == 1
    for process in both:
        go_on(process)
        assert process.stdout.readline() == f"{list(range(10))}\n"


def test_a_file_that_another_program_has_open_stays_until_it_ends(tmp_path, program):
    other = program()
    go_on(other)
    assert other.stdout.readline() == "10\n"
    (opened,) = (tmp_path / "cache").glob("working-*.npy")
    names = ["3.png", "12.png"]
    cache, drawn, _ = build(tmp_path / "cache", names)
    assert drawn == [1]
    assert opened.exists()
    other.kill()
    other.wait()
    build(tmp_path / "cache", names)
    assert not opened.exists()
    assert holds(cache, names)
    assert (
        len(list((tmp_path / "cache").glob("*.use"))) == 1
    )  # of `cache`; that of the killed program is gone


def test_waiting_for_another_program_is_told_and_can_be_cancelled(tmp_path):
    file, token, seen = working_cache.lock_of_cache(tmp_path / "cache"), CancelToken(), []
    file.parent.mkdir()

    def progress(event):
        seen.append(event.stage)
        token.cancel()

    lock = acquire_lock(file)
    with pytest.raises(Cancelled):
        build(tmp_path / "cache", progress=progress, cancel=token)
    assert seen == ["waiting for another program"]
    lock.release()
    assert holds(build(tmp_path / "cache")[0])


def test_a_lock_of_another_computer_that_nobody_works_under_is_a_leftover(tmp_path, monkeypatch):
    leftover = tmp_path / "soft"
    leftover.touch()
    os.utime(leftover, (1000, 1000))

    def held(file):
        raise LockHeldError(leftover)

    monkeypatch.setattr(working_cache, "acquire_lock", held)
    assert holds(build(tmp_path / "cache")[0])
