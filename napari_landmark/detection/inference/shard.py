"""Part of a list of images that one of several processes works on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from napari_landmark.data.errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Every `count`-th item of a list, from item `index` on: all shards of a count together are the list.

    Parameters
    ----------
    index : int
        From 0 to `count` - 1.
    count : int
        Number of shards; 1 is the whole list.

    Raises
    ------
    InputError
        There is no such shard.

    Examples
    --------
    >>> Shard(1, 3).select(["a", "b", "c", "d", "e"])
    ['b', 'e']
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.index < self.count:
            raise InputError(f"shard {self.index} of {self.count}: count from 0 to one less than the shards")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Shard of a text such as '0/4', the first of four; InputError for anything else."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if match is None:
            raise InputError(f"shard {text!r:.40}: give INDEX/COUNT, such as 0/4 for the first of four")
        return cls(int(match[1]), int(match[2]))

    def select(self, items: Sequence[Item]) -> list[Item]:
        """Items of this shard, in their order."""
        return list(items[self.index :: self.count])

    def journal(self, path: Path) -> Path:
        """Path of this shard's journal, beside that of an undivided run: `x.jsonl` becomes `x.1-of-4.jsonl`."""
        return path if self.count == 1 else path.with_suffix(f".{self.index}-of-{self.count}{path.suffix}")
