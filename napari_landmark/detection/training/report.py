"""Report of a training: loss curves, template, and predictions of the cohort sorted by expected error."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.learning.loop import History

_SHEET = 40  # images on the contact sheet; of larger cohorts the worst ones and evenly chosen others


def write_report(study: Study, cohort: Cohort, report: TrainingReport) -> Path:
    """Write `report.html` (self-contained) and `report.json` into the study; returns the page's path."""
    errors = expected_errors(report.predictions)
    study.report_dir.mkdir(parents=True, exist_ok=True)
    summary = {
        "model": report.model_dir.name,
        "cancelled": report.cancelled,
        "seconds": round(report.seconds, 1),
        "images": len(cohort),
        "skipped_files": [
            {"image": skipped.name, "reason": skipped.reason} for skipped in cohort.skipped_files
        ],
        "stages": [
            {
                "stage": h.stage,
                "steps": h.steps,
                "seconds": round(h.seconds, 1),
                "loss": h.losses[-1][2] if h.losses else None,
            }
            for h in report.histories
        ],
        "expected_error_px": {name: round(value, 3) for name, value in errors.items()},
    }
    atomic_write(study.report_dir / "report.json", json.dumps(summary, indent=1) + "\n")
    parts = [f"<h1>Training {html.escape(report.model_dir.name)}</h1>", _facts(study, cohort, report)]
    parts += ["<h2>Loss</h2>", _picture(loss_figure(report.histories))]
    if cohort.ndim == 2 and study.template in cohort.names:
        template = cohort.index(study.template)
        parts += [
            "<h2>Template</h2>",
            _picture(landmark_figure(cohort, template, study.load_annotations(study.template))),
        ]
    if cohort.ndim == 2 and report.predictions:
        names = choose_for_sheet(errors)
        parts += [
            "<h2>Predictions, largest expected error first</h2>",
            _picture(contact_sheet(cohort, report, names)),
        ]
    if cohort.skipped_files:
        rows = "".join(
            f"<li>{html.escape(p.name)}: {html.escape(p.reason)}</li>" for p in cohort.skipped_files
        )
        parts.append(f"<h2>Files left out</h2><ul>{rows}</ul>")
    page = study.report_dir / "report.html"
    style = (
        "body{font-family:sans-serif;max-width:1100px;margin:2em auto}img{max-width:100%}td{padding:2px 12px}"
    )
    body = "\n".join(parts)
    atomic_write(
        page,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>napari-landmark training</title>'
        f"<style>{style}</style><body>{body}</body></html>\n",
    )
    return page


def expected_errors(predictions: dict[str, LandmarkSet]) -> dict[str, float]:
    """Mean expected error (native pixels) of each image, largest first."""
    means = {name: float(np.nanmean(found.expected_errors())) for name, found in predictions.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def choose_for_sheet(errors: dict[str, float]) -> list[str]:
    """Names for the contact sheet, in the order of `errors`."""
    names = list(errors)
    if len(names) <= _SHEET:
        return names
    half = _SHEET // 2
    others = np.linspace(half, len(names) - 1, _SHEET - half).round().astype(int)
    return names[:half] + [names[i] for i in others]


def loss_figure(histories: Sequence[History]) -> Figure:
    """Loss against minutes, one panel per stage."""
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    panels = figure.subplots(1, max(1, len(histories)), squeeze=False)[0]
    for axes, history in zip(panels, histories, strict=False):
        if history.losses:
            _, seconds, losses = np.array(history.losses).T
            axes.plot(seconds / 60, losses, color="#1f6fb2")
        axes.set(title=f"{history.stage} ({history.steps} steps)", xlabel="minutes", ylabel="loss")
        axes.grid(alpha=0.3)
    return figure


def landmark_figure(cohort: Cohort, number: int, landmarks: LandmarkSet) -> Figure:
    """An image with its named landmarks."""
    figure = Figure(figsize=(6, 6 * cohort.canvas[0] / cohort.canvas[1]), layout="constrained")
    axes = figure.subplots()
    _draw(axes, cohort, number, landmarks, size=24)
    points = cohort.canvas_transform(number).to_working(landmarks.positions(2))
    for name, (y, x) in zip(landmarks, points, strict=True):
        if np.isfinite(y):
            text = axes.annotate(name, (x, y), (4, -4), textcoords="offset points", fontsize=7, color="white")
            text.set_parse_math(False)  # a name with dollar signs is no formula
    return figure


def contact_sheet(cohort: Cohort, report: TrainingReport, names: Sequence[str]) -> Figure:
    """Small pictures of images with their predictions."""
    columns = min(8, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(
        figsize=(1.7 * columns, (1.7 * cohort.canvas[0] / cohort.canvas[1] + 0.25) * rows),
        layout="constrained",
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    errors = expected_errors(report.predictions)
    for axes in panels:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        _draw(axes, cohort, cohort.index(name), report.predictions[name], size=5)
        axes.set_title(f"{name[-18:]}  ±{errors[name]:.1f} px", fontsize=6, parse_math=False)
    return figure


def _draw(axes: Axes, cohort: Cohort, number: int, landmarks: LandmarkSet, *, size: float) -> None:
    axes.imshow(cohort.working(number), cmap="gray", vmin=0, vmax=1)
    points = cohort.canvas_transform(number).to_working(landmarks.positions(2))
    axes.scatter(
        points[:, 1], points[:, 0], s=size, c=landmarks.schema.colors, edgecolors="black", linewidths=0.3
    )
    axes.set(xlim=(-0.5, cohort.canvas[1] - 0.5), ylim=(cohort.canvas[0] - 0.5, -0.5))
    axes.set_axis_off()


def _facts(study: Study, cohort: Cohort, report: TrainingReport) -> str:
    facts = {
        "Template": study.template,
        "Landmarks": len(study.schema),
        "Images": len(cohort),
        "Working grid": " x ".join(str(n) for n in reversed(cohort.canvas)),
        "Time": f"{report.seconds / 60:.1f} minutes" + (" (cancelled)" if report.cancelled else ""),
    }
    rows = "".join(
        f"<tr><td>{key}</td><td>{html.escape(str(value))}</td></tr>" for key, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _picture(figure: Figure) -> str:
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return f'<img src="data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}" alt="">'
