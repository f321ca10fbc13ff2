"""Quality measures of a registered pair as text."""

from __future__ import annotations

from html import escape

from napari_landmark.registration.pairwise.pair_measures import PairMeasures


def numbers_text(numbers: PairMeasures, *, guided: bool = False) -> str:
    """A table of the numbers as rich text.

    Parameters
    ----------
    guided : bool, optional
        The landmarks guided the registration, so that their distance says little; the text says so.
    """
    rows: list[tuple[str, str, str]] = [
        ("Similarity", *("–" if value is None else f"{value:.3f}" for value in numbers.similarity))
    ]
    if numbers.mean_dice is not None:
        rows.append(("Overlap (Dice), mean", *(f"{value:.3f}" for value in numbers.mean_dice)))
        rows += [
            (f"&nbsp;&nbsp;label {label}", *(f"{value:.3f}" for value in both))
            for label, both in numbers.dice.items()
        ]
    if numbers.mean_error is not None:
        rows.append(
            (
                f"Distance, {len(numbers.errors)} points",
                *(f"{value:.2f} {numbers.unit}" for value in numbers.mean_error),
            )
        )
        worst = max(numbers.errors, key=lambda name: numbers.errors[name][1])
        rows.append(
            (
                f"&nbsp;&nbsp;largest: {escape(worst)}",
                *(f"{value:.2f} {numbers.unit}" for value in numbers.errors[worst]),
            )
        )
    rows.append(("Folding", "", f"{numbers.folding_percent:.2g}%"))
    lines = "".join(
        f"<tr><td>{title}&nbsp;&nbsp;</td><td align='right'>{before}&nbsp;&nbsp;</td>"
        f"<td align='right'><b>{after}</b></td></tr>"
        for title, before, after in rows
    )
    note = "<br><small>The points guided the registration.</small>" if guided and numbers.errors else ""
    return f"<table><tr><td></td><td align='right'>before&nbsp;&nbsp;</td><td>after</td></tr>{lines}</table>{note}"
