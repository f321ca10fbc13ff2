"""Quality measures of a registered pair as text."""

from __future__ import annotations

from html import escape

from napari_landmark.registration.pairwise.pair_measures import PairMeasures

_INDENT = "&nbsp;&nbsp;"


def measures_text(measures: PairMeasures, *, guided: bool = False) -> str:
    """Format quality measures before and after a registration as a table of rich text.

    Parameters
    ----------
    measures : PairMeasures
    guided : bool, optional
        The landmarks guided the registration, so that their distance says little; the text says so.
    """
    rows = [("Similarity", *_pair(measures.similarity, ".3f"))]
    if measures.mean_dice is not None:
        rows.append(("Overlap (Dice), mean", *_pair(measures.mean_dice, ".3f")))
        rows += [(f"{_INDENT}label {label}", *_pair(both, ".3f")) for label, both in measures.dice.items()]
    if measures.mean_error is not None:
        worst = max(measures.errors, key=lambda name: measures.errors[name][1])
        for title, both in (
            (f"Distance, {len(measures.errors)} points", measures.mean_error),
            (f"{_INDENT}largest: {escape(worst)}", measures.errors[worst]),
        ):
            rows.append((title, *_pair(both, ".2f", f" {measures.unit}")))
    rows.append(("Folding", "", f"{measures.folding_percent:.2g}%"))
    lines = "".join(
        f"<tr><td>{title}&nbsp;&nbsp;</td><td align='right'>{before}&nbsp;&nbsp;</td>"
        f"<td align='right'><b>{after}</b></td></tr>"
        for title, before, after in rows
    )
    note = "<br><small>The points guided the registration.</small>" if guided and measures.errors else ""
    return f"<table><tr><td></td><td align='right'>before&nbsp;&nbsp;</td><td>after</td></tr>{lines}</table>{note}"


def _pair(values: tuple[float | None, float | None], form: str, unit: str = "") -> tuple[str, str]:
    before, after = ("–" if value is None else f"{value:{form}}{unit}" for value in values)
    return before, after
