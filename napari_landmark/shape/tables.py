"""Tables of a shape analysis, for statistics programs and people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_landmark.data.curves import curves_last, sliders
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.csv_table import guarded_name, number_cell, table_text
from napari_landmark.data.study.image_facts import ImageFacts, fact_columns
from napari_landmark.shape.analysis import ShapeAnalysis
from napari_landmark.shape.procrustes import Array

_AXES = ("x", "y", "z")


def write_shape_tables(
    folder: Path, analysis: ShapeAnalysis, facts: Mapping[str, ImageFacts] | None = None
) -> list[Path]:
    """Write the tables of a shape analysis into a folder and return their paths.

    Coordinates are in the order x, y(, z) of the images, y downwards in pictures. Facts of the images, such as sex and
    group, are columns of the table of sizes.
    """
    tables: dict[str, Iterable[Sequence[str]]] = {
        "procrustes.csv": _procrustes(analysis),
        "sizes.csv": _sizes(analysis, facts or {}),
        "scores.csv": _scores(analysis),
        "components.csv": _components(analysis),
        "mean_shape.csv": _mean_shape(analysis),
        "odd_shapes.csv": _odd_shapes(analysis),
        "odd_landmarks.csv": _odd_landmarks(analysis),
    }
    schema = analysis.configurations.schema
    if schema.curves:
        triples = [
            [str(row + 1) for row in triple]
            for triple in sliders(schema.curves, curves_last(schema.names, schema.curves))
        ]
        tables["sliders.csv"] = [["before", "slide", "after"], *triples]
    paths = []
    for name, content in tables.items():
        atomic_write(folder / name, table_text(content))
        paths.append(folder / name)
    return paths


def _titles(names: Sequence[str], axes: int) -> list[str]:
    return [f"{name} {axis}" for name in map(guarded_name, names) for axis in _AXES[:axes]]


def _flat(configuration: Array) -> list[str]:
    """Coordinates of a configuration in the order x, y(, z) of each landmark."""
    return [number_cell(value, digits=15) for value in configuration[:, ::-1].ravel().tolist()]


def _procrustes(analysis: ShapeAnalysis) -> Iterable[list[str]]:
    used = analysis.configurations
    yield ["image", *_titles(used.names, used.positions.shape[2])]
    for image, row in zip(used.images, analysis.superimposition.coordinates, strict=True):
        yield [guarded_name(image), *_flat(row)]


def _sizes(analysis: ShapeAnalysis, facts: Mapping[str, ImageFacts]) -> Iterable[list[str]]:
    used, shapes = analysis.configurations, analysis.superimposition
    columns = fact_columns(facts, used.images)
    titles = ["image", f"centroid_size_{used.unit}", "procrustes_distance", "estimated_landmarks"]
    yield [*titles, *map(guarded_name, columns)]
    for row, (image, size, distance) in enumerate(
        zip(used.images, shapes.centroid_sizes.tolist(), shapes.distances.tolist(), strict=True)
    ):
        estimated = guarded_name("; ".join(used.estimated.get(image, ())))
        own = [guarded_name(cells[row]) for cells in columns.values()]
        yield [guarded_name(image), number_cell(size), number_cell(distance), estimated, *own]


def _scores(analysis: ShapeAnalysis) -> Iterable[list[str]]:
    scores = analysis.components.scores
    yield ["image", *(f"PC{number}" for number in range(1, scores.shape[1] + 1))]
    for image, row in zip(analysis.configurations.images, scores.tolist(), strict=True):
        yield [guarded_name(image), *(number_cell(value, digits=15) for value in row)]


def _components(analysis: ShapeAnalysis) -> Iterable[list[str]]:
    used, components = analysis.configurations, analysis.components
    yield [
        "component",
        "variance",
        "share",
        "cumulative_share",
        *_titles(used.names, used.positions.shape[2]),
    ]
    totals = np.cumsum(components.shares)
    for row, (variance, share) in enumerate(
        zip(components.variances.tolist(), components.shares.tolist(), strict=True)
    ):
        head = [f"PC{row + 1}", number_cell(variance), number_cell(share), number_cell(float(totals[row]))]
        yield [*head, *_flat(components.directions[row])]


def _mean_shape(analysis: ShapeAnalysis) -> Iterable[list[str]]:
    used = analysis.configurations
    axes = used.positions.shape[2]
    yield ["landmark", *_AXES[:axes], "scatter"]
    scatter = analysis.landmark_scatter.tolist()
    for name, position, spread in zip(used.names, analysis.superimposition.mean, scatter, strict=True):
        cells = [number_cell(value, digits=15) for value in position[::-1].tolist()]
        yield [guarded_name(name), *cells, number_cell(spread)]


def _odd_shapes(analysis: ShapeAnalysis) -> Iterable[list[str]]:
    yield ["image", "oddness", "largest_deviation", "landmark", "finding", "missing_landmarks"]
    for shape in analysis.odd_shapes:
        yield [
            guarded_name(shape.image),
            number_cell(shape.oddness, digits=4),
            number_cell(shape.deviation, digits=4),
            guarded_name(shape.worst),
            guarded_name(shape.finding),
            guarded_name("; ".join(analysis.left_out.get(shape.image, ()))),
        ]


def _odd_landmarks(analysis: ShapeAnalysis) -> Iterable[list[str]]:
    """Landmarks beyond the limit, the largest deviation first; those of exchanged pairs name their partner."""
    yield ["image", "landmark", "deviation", "exchanged_with"]
    names = analysis.configurations.names
    found = []
    for row, shape in zip(analysis.outliers.order.tolist(), analysis.odd_shapes, strict=True):
        partners = {a: b for pair in shape.exchanged for a, b in (pair, pair[::-1])}
        for name in dict.fromkeys((*shape.odd_landmarks, *partners)):
            deviation = float(analysis.outliers.deviations[row, names.index(name)])
            found.append((shape.image, name, deviation, partners.get(name, "")))
    for image, name, deviation, partner in sorted(found, key=lambda entry: -entry[2]):
        yield [
            guarded_name(image),
            guarded_name(name),
            number_cell(deviation, digits=4),
            guarded_name(partner),
        ]
