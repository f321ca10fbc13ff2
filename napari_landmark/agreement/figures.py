"""Figures of the agreement of two readers: Bland-Altman plots and ellipses of the differences."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse as EllipsePatch

from napari_landmark.agreement.agreement import LandmarkAgreement, ValueAgreement
from napari_landmark.agreement.differences import BlandAltman, bland_altman
from napari_landmark.data.files.atomic import atomic_write

_BLUE, _RED, _GREY = "#1f6fb2", "#c0392b", "#8a8a8a"
_COLUMNS, _ROWS = 4, 3  # panels of a page
_Panel = tuple[str, np.ndarray, np.ndarray, BlandAltman]


def write_agreement_figures(
    folder: Path,
    landmarks: Mapping[str, LandmarkAgreement],
    *,
    readers: Sequence[str],
    unit: str,
    measurements: Mapping[str, ValueAgreement] | None = None,
) -> list[Path]:
    """Write Bland-Altman plots and differences of each pair of readers as one PDF, and the first page of each as PNG.

    Parameters
    ----------
    folder : Path
    landmarks, measurements
        As in `write_agreement_tables`.
    readers : sequence of str
        In the order of the values.
    unit : str
        'mm' or 'px'.
    """
    pages: list[tuple[str, Figure]] = []
    for a in range(len(readers)):
        for b in range(a + 1, len(readers)):
            pair = (readers[a], readers[b])
            tail = "" if len(readers) == 2 else f"_{a + 1}_{b + 1}"
            ellipses = list(difference_figures(landmarks, pair, unit=unit))
            values = {
                f"{name} {axis}": found.axes[axis] for name, found in landmarks.items() for axis in found.axes
            }
            plots = list(bland_altman_figures(values, (a, b), readers=pair, unit=unit))
            measured = list(bland_altman_figures(measurements or {}, (a, b), readers=pair, unit=""))
            for name, figures in (
                ("differences", ellipses),
                ("bland_altman", plots),
                ("bland_altman_measurements", measured),
            ):
                pages += [(f"{name}{tail}_{number}", figure) for number, figure in enumerate(figures, 1)]
    stream = io.BytesIO()
    with PdfPages(stream, metadata={"Title": "Agreement of readers"}) as pdf:
        for _, figure in pages:
            pdf.savefig(figure)
    atomic_write(folder / "agreement.pdf", stream.getvalue())
    paths = [folder / "agreement.pdf"]
    for name, figure in pages:
        if name.endswith("_1"):
            picture = io.BytesIO()
            FigureCanvasAgg(figure)
            figure.savefig(picture, format="png", dpi=110)
            atomic_write(folder / f"{name.removesuffix('_1')}.png", picture.getvalue())
            paths.append(folder / f"{name.removesuffix('_1')}.png")
    return paths


def bland_altman_figures(
    values: Mapping[str, ValueAgreement], pair: tuple[int, int], *, readers: tuple[str, str], unit: str
) -> Iterator[Figure]:
    """Pages of Bland-Altman plots of two readers: difference against mean, bias and limits of agreement.

    Parameters
    ----------
    values : mapping of str to ValueAgreement
    pair : tuple of int
        Columns of both readers in the values.
    readers : tuple of str
        Their names.
    unit : str
        Unit of the values; empty where each has its own.
    """
    panels: list[_Panel] = []
    for name, found in values.items():
        if found.n > 1:
            first, second = found.values[:, pair[0]], found.values[:, pair[1]]
            panels.append((name, (first + second) / 2, second - first, bland_altman(first, second)))
    for figure, part in _paged(panels):
        for axes, (name, means, differences, limits) in part:
            axes.plot(means, differences, ".", color=_BLUE, markersize=4)
            for height, style in ((limits.bias, "-"), (limits.lower, "--"), (limits.upper, "--")):
                axes.axhline(height, color=_RED if style == "-" else _GREY, linestyle=style, linewidth=1)
            axes.set_title(
                f"{name}: {limits.bias:.2f} [{limits.lower:.2f}, {limits.upper:.2f}]",
                fontsize=7,
                parse_math=False,
            )
            axes.tick_params(labelsize=6)
        figure.supxlabel(f"mean of both{f' ({unit})' if unit else ''}", fontsize=9)
        figure.supylabel(f"difference{f' ({unit})' if unit else ''}", fontsize=9)
        figure.suptitle(
            f"{readers[1]} − {readers[0]}: bias and 95% limits of agreement", fontsize=10, parse_math=False
        )
        yield figure


def difference_figures(
    landmarks: Mapping[str, LandmarkAgreement], pair: tuple[str, str], *, unit: str
) -> Iterator[Figure]:
    """Pages with the differences of two readers in each landmark, and the 95% ellipse; of volumes in x and y."""
    panels = [(name, found.pairs[pair]) for name, found in landmarks.items() if pair in found.pairs]
    if not panels:
        return
    extent = max(float(np.percentile(np.abs(found.differences), 99)) for _, found in panels) * 1.25 or 1.0
    for figure, part in _paged(panels):
        for axes, (name, found) in part:
            axes.axhline(0, color=_GREY, linewidth=0.5)
            axes.axvline(0, color=_GREY, linewidth=0.5)
            axes.plot(
                found.differences[:, -1], found.differences[:, -2], ".", color=_BLUE, markersize=3, alpha=0.6
            )
            axes.plot(found.bias[-1], found.bias[-2], "+", color=_RED, markersize=8)
            if found.ellipse is not None and len(found.bias) == 2:
                long, short = 2 * found.ellipse.half_axes
                axes.add_patch(
                    EllipsePatch(
                        (found.bias[1], found.bias[0]), long, short, angle=found.ellipse.angle, fill=False, color=_RED
                    )
                )  # fmt: skip
            axes.set(xlim=(-extent, extent), ylim=(extent, -extent), aspect="equal")
            axes.set_title(
                f"{name}: {found.mean_distance:.2f} {unit}, n {found.n}", fontsize=7, parse_math=False
            )
            axes.tick_params(labelsize=6)
        figure.suptitle(
            f"{pair[1]} − {pair[0]} in {unit}: differences, bias and 95% ellipse; mean distance",
            fontsize=10,
            parse_math=False,
        )
        yield figure


def _paged(panels: Sequence) -> Iterator[tuple[Figure, list]]:
    """Figures of a page each, with their axes and panels."""
    for start in range(0, len(panels), _COLUMNS * _ROWS):
        part = panels[start : start + _COLUMNS * _ROWS]
        rows = -(-len(part) // _COLUMNS)
        figure = Figure(figsize=(11, 2.5 * rows + 0.8), layout="constrained")
        grid: list[Axes] = list(figure.subplots(rows, _COLUMNS, squeeze=False).ravel())
        for axes in grid[len(part) :]:
            axes.set_axis_off()
        yield figure, list(zip(grid, part, strict=False))
