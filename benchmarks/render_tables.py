"""Write the tables of kept results into the pages that show them.

``python benchmarks/render_tables.py`` fills every ``<!-- table NAME -->`` ... ``<!-- end -->`` of the pages from
``benchmarks/results/NAME.json``, with commit, machine and date, and marks a table as stale where the code that it
depends on has changed since. ``--check`` writes nothing and ends with status 1 where a page shows something else.

``--adopt`` keeps every table of figures that somebody wrote into `PAGES` by hand: its cells go to a result of its own,
with the command that the section names, and the commit and date of the change that brought the table to the page.
Where something was measured at another commit or its machine is known, write that into the result.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "benchmarks/RESULTS.md", "docs/method.md")
"""Pages whose tables of figures are kept results."""
STALE = "; **stale**: the program has changed since"
# Folders of code that a figure of a script depends on; of all others those in the last line.
_DEPENDS = (
    (r"registration", ("registration", "learning")),
    (r"measurements|measure", ("detection", "learning", "measurement")),
    (r"viewer|gui_responsiveness", ("gui", "data", "backend")),
    (r"opening", ("data",)),
    (r"shapes", ("shape",)),
    (r"", ("detection", "learning")),
)
_TABLE = re.compile(r"<!-- table (\w+) -->\n(?:.*?\n)??<!-- end -->", re.DOTALL)


def results() -> dict[str, dict[str, Any]]:
    """Kept results by name."""
    found = {}
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def has_changed(commit: str, folders: list[str]) -> bool | None:
    """Whether code has changed since a commit; None where the history is not known, as in an unpacked sdist."""
    command = ["git", "-C", str(ROOT), "diff", "--quiet", commit, "HEAD", "--", *folders]
    try:
        status = subprocess.run(command, capture_output=True, check=False).returncode
    except OSError:
        return None
    return {0: False, 1: True}.get(status)


def render(result: Mapping[str, Any], *, stale: bool) -> str:
    """A result as a table of Markdown with a line on where it is from."""
    columns, rows = result["columns"], result["rows"]
    if wrong := [row for row in rows if len(row) != len(columns)]:
        raise SystemExit(f"{result['name']}: {len(wrong[0])} cells for {len(columns)} columns: {wrong[0]}")
    lines = [columns, ["---"] * len(columns), *rows]
    table = "\n".join("|" + "".join(f" {cell} |" if cell else " |" for cell in cells) for cells in lines)
    command = f"`{result['command']}` at " if result["command"] else ""
    source = f"{command}`{result['commit']}`, {result['date']}, {result['machine']}"
    return f"{table}\n\n<sub>{source}{STALE if stale else ''}</sub>"


def filled(
    text: str, known: Mapping[str, Mapping[str, Any]], is_stale: Callable[[Mapping[str, Any]], bool]
) -> str:
    """A page with its tables as the results have them now."""

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        if name not in known:
            raise SystemExit(f"there is no benchmarks/results/{name}.json")
        table = render(known[name], stale=is_stale(known[name]))
        return f"<!-- table {name} -->\n{table}\n<!-- end -->"

    return _TABLE.sub(replaced, text)


def written_by_hand(text: str) -> Iterator[tuple[int, int]]:
    """Lines [start, stop) of every table of figures in a page that is not kept: some of its cells are numbers."""
    lines, inside = text.split("\n"), False
    for number, line in enumerate(lines):
        inside = line.startswith("<!-- table") or (inside and not line.startswith("<!-- end"))
        if inside or not re.fullmatch(r"\|( ?-+ ?\|)+", line):
            continue
        stop = next((k for k in range(number, len(lines)) if not lines[k].startswith("|")), len(lines))
        cells = [cell for row in lines[number + 1 : stop] for cell in _cells(row)]
        if any(re.search(r"^\W*\d|\d\.\d|\d ?%", cell) for cell in cells):
            yield number - 1, stop


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def adopt(page: str, known: dict[str, dict[str, Any]]) -> str:
    """Keep all tables of figures of a page; its text with the marks of tables around them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines, out, done = text.split("\n"), [], 0
    for start, stop in written_by_hand(text):
        before = "\n".join(lines[:start])
        title = next((one for one in reversed(lines[:start]) if one.startswith("#")), page)
        command = _command(before)
        depends = next(
            folders for words, folders in _DEPENDS if re.search(words, f"{command} {title}".lower())
        )
        commit, date = _last_change(page, start, stop)
        name = _new_name(f"{Path(page).stem} {title}".removeprefix("RESULTS "), known)
        known[name] = {
            "name": name,
            "page": page,
            "command": command,
            "commit": commit,
            "date": date,
            "machine": "as the text says",
            "depends": [f"napari_landmark/{folder}" for folder in depends],
            "columns": _cells(lines[start]),
            "rows": [_cells(line) for line in lines[start + 2 : stop]],
        }
        out += [*lines[done:start], f"<!-- table {name} -->", "<!-- end -->"]
        done = stop
    return "\n".join([*out, *lines[done:]])


def _command(before: str) -> str:
    """Command that the text before a table names: the last one under its heading, else the first of its section."""
    pattern = r"`(?:xvfb-run -a )?((?:python benchmarks/|napari-landmark )[^`]+)`"
    nearest = re.findall(pattern, re.split(r"^#+ ", before, flags=re.MULTILINE)[-1])
    section = re.findall(pattern, re.split(r"^## ", before, flags=re.MULTILINE)[-1])
    return " ".join([*section[:1], *nearest[-1:]][-1].split()) if nearest or section else ""


def _new_name(title: str, known: Container[str]) -> str:
    words = re.findall(r"[a-z]\w*", title.lower())
    stem = "_".join(words[:5])
    numbered = (f"{stem}_{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain((stem,), numbered) if name not in known)


def _last_change(page: str, start: int, stop: int) -> tuple[str, str]:
    """Commit and date of the last change of lines of a page."""
    lines = f"{start + 1},{stop}"
    command = ["git", "-C", str(ROOT), "blame", "-w", "-M", "--line-porcelain", "-L", lines, "--", page]
    text = subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout
    commits = re.findall(r"^([0-9a-f]{40}) \d", text, re.MULTILINE)
    times = [int(seconds) for seconds in re.findall(r"^committer-time (\d+)$", text, re.MULTILINE)]
    latest, commit = max(zip(times, commits, strict=True))
    return commit[:7], datetime.fromtimestamp(latest, UTC).date().isoformat()


def keep_tables(known: dict[str, dict[str, Any]]) -> None:
    """Keep the tables of all pages that were written by hand."""
    for page in PAGES:
        text = adopt(page, known)
        for name in re.findall(r"<!-- table (\w+) -->\n<!-- end -->", text):
            path = ROOT / "benchmarks" / "results" / f"{name}.json"
            path.write_text(json.dumps(known[name], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (ROOT / page).write_text(text, encoding="utf-8")


def main() -> None:
    """Write the tables, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--adopt", action="store_true")
    options = parser.parse_args()
    check, known = options.check, results()
    if options.adopt:
        keep_tables(known)
    differs = []
    for page in sorted({result["page"] for result in known.values()}):
        path = ROOT / page
        before = path.read_text(encoding="utf-8")

        def is_stale(result: Mapping[str, Any], before: str = before) -> bool:
            changed = has_changed(result["commit"], result["depends"])
            shown = re.search(rf"<!-- table {result['name']} -->.*?<!-- end -->", before, re.DOTALL)
            return STALE in (shown[0] if shown else "") if changed is None else changed

        after = filled(before, known, is_stale)
        if before != after and check:
            differs.append(page)
        elif before != after:
            path.write_text(after, encoding="utf-8")
    if differs:
        sys.exit(f"{', '.join(differs)}: not as the results are: python benchmarks/render_tables.py")


if __name__ == "__main__":
    main()
