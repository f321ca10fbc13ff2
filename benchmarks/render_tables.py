"""Write the tables of kept results into the pages that show them.

``python benchmarks/render_tables.py`` fills every ``<!-- table NAME -->`` ... ``<!-- end -->`` of the pages from
``benchmarks/results/NAME.json``, with commit, machine and date, and marks a table as stale where the code that it
depends on has changed since. ``--check`` writes nothing and ends with status 1 where a page shows something else.

A result is added by hand from the output of its benchmark: the name, the page, the command, the commit at which it
was measured (where that was not noted, the one that brought it to the page), the date, the machine, the folders of
code it depends on, the columns and the rows, as they are shown.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STALE = "; **stale**: the program has changed since"
_TABLE = re.compile(r"<!-- table (\w+) -->\n.*?<!-- end -->", re.DOTALL)


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
    source = f"`{result['command']}` at `{result['commit']}`, {result['date']}, {result['machine']}"
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


def main() -> None:
    """Write the tables, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    known = results()
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
