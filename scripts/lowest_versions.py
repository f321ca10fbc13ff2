"""Print the lowest versions that setup.cfg allows, as constraints for pip.

Of torch and of tools without a lower bound nothing is printed.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

SETUP = Path(__file__).parent.parent / "setup.cfg"
LEFT_OUT = {"torch"}  # comes in the version of constraints.txt, in one build for all


def lowest(requirement: str) -> str | None:
    """'numpy==1.26' of 'numpy>=1.26', None without a lower bound."""
    match = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?\s*>=\s*([\w.]+)", requirement.strip())
    return None if match is None or match[1] in LEFT_OUT else f"{match[1]}=={match[2]}"


def main() -> None:
    """Print one constraint a line."""
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    lines = setup["options"]["install_requires"].splitlines()
    for name in ("gui", "all", "test"):
        lines += setup.get("options.extras_require", name, raw=True).splitlines()
    for line in lines:
        if found := lowest(line):
            print(found)  # noqa: T201


if __name__ == "__main__":
    main()
