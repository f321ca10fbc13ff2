"""Text of tables for spreadsheets and statistics programs: quotes, numbers, names that are no formulas."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

# What a spreadsheet would compute, behind any number of apostrophes. A plain '-1.png' is none.
_FORMULA = re.compile(r"'*([=@\t\r]|[+-].*[(|!])", re.DOTALL)


def guarded_name(name: str) -> str:
    """The name with an apostrophe in front where a spreadsheet would take it for a formula."""
    return f"'{name}" if _FORMULA.match(name) else name


def unguarded_name(name: str) -> str:
    """The name of which `guarded_name` made this one."""
    return name[1:] if name.startswith("'") and _FORMULA.match(name) else name


def table_text(rows: Iterable[Sequence[str]], *, separator: str = ",") -> str:
    """Lines of a table from its cells, in quotes where they need them."""
    return "".join(separator.join(map(_quoted, row)) + "\n" for row in rows)


def number_cell(value: float | None, *, digits: int = 10) -> str:
    """A number with its significant digits; empty for None and for what is no finite number.

    Examples
    --------
    >>> number_cell(1 / 3, digits=3)
    '0.333'
    """
    return "" if value is None or not math.isfinite(value) else f"{value + 0.0:.{digits}g}"


def _quoted(cell: str) -> str:
    # Not csv.writer, which before Python 3.13 leaves a lone carriage return in a name without quotes.
    special = any(sign in cell for sign in ',;\t"\r\n') or cell != cell.strip()
    return '"' + cell.replace('"', '""') + '"' if special else cell
