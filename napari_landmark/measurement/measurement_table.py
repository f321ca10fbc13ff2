"""Tables of measurements as CSV: one row for each value, or one row for each image."""

from __future__ import annotations

from collections.abc import Mapping

from napari_landmark.data.files.csv_table import guarded_name, table_text
from napari_landmark.data.study.image_facts import ImageFacts, fact_columns
from napari_landmark.measurement.evaluation import MeasuredCohort
from napari_landmark.measurement.value_text import norm_source_text, norm_text

_HEADER = (
    "image", "measurement", "analyses", "value", "unit", "standard_error", "low_90", "high_90", "error_of", "class",
    "classes_in_interval", "norm", "deviation_sd", "outside_norm_range", "norm_source", "left_out", "note",
    "spacing_source",
)  # fmt: skip
_NO_FACTS = ImageFacts()


def long_table(measured: MeasuredCohort, facts: Mapping[str, ImageFacts] | None = None) -> str:
    """CSV with one row for each image and measurement; empty cells where a value or its error is unknown.

    Facts of the images come last, those that any image has.

    Parameters
    ----------
    measured : MeasuredCohort
    facts : mapping of str to ImageFacts, optional
        Facts by name of the image; the sex selects norms that depend on it.
    """
    facts = facts or {}
    columns = fact_columns(facts, measured.images)
    titles = [f"{title} (of the image)" if title in _HEADER else title for title in columns]
    rows: list[list[str]] = [[*_HEADER, *map(guarded_name, titles)]]
    for number, image in enumerate(measured.images):
        known = facts.get(image, _NO_FACTS)
        own = [guarded_name(cells[number]) for cells in columns.values()]
        for one in measured.row(image, sex=known.sex):
            definition = one.measurement
            low, high = one.interval or (None, None)
            rows.append(
                [
                    guarded_name(image),
                    guarded_name(definition.name),
                    "; ".join(definition.analyses),
                    _cell(one.value),
                    definition.unit,
                    _cell(one.standard_error),
                    _cell(low),
                    _cell(high),
                    "" if one.value is None else str(one.error_source) or "all landmarks",
                    one.class_name,
                    "; ".join(found.name for found in one.possible_classes),
                    norm_text(one.norm, definition),
                    _cell(one.deviation),
                    _cell(one.outside_range),
                    norm_source_text(one.norm),
                    one.left_out,
                    one.note,
                    measured.spacing_sources[number],
                    *own,
                ]
            )
    return table_text(rows)


def wide_table(measured: MeasuredCohort, facts: Mapping[str, ImageFacts] | None = None) -> str:
    """CSV with one row for each image, a column for each measurement and one for its standard error.

    State, remark, reader and all other facts of the images come first. Parameters as in `long_table`.
    """
    facts = facts or {}
    columns = list(dict.fromkeys(title for one in facts.values() for title in one.more))
    names = []
    for one in measured.schema.measurements:
        unit = {"": "", "°": " (deg)"}.get(one.unit, f" ({one.unit})")
        names += [f"{one.name}{unit}", f"{one.name} standard error"]
    rows = [["image", "state", "remark", "reader", *map(guarded_name, (*columns, *names))]]
    for number, image in enumerate(measured.images):
        known = facts.get(image, _NO_FACTS)
        own = [image, str(known.decision or ""), known.remark, known.reader]
        own += [known.more.get(title, "") for title in columns]
        cells = []
        for value, error in zip(measured.values[number], measured.errors[number], strict=True):
            cells += [_cell(float(value)), _cell(float(error) if value == value else None)]
        rows.append([*map(guarded_name, own), *cells])
    return table_text(rows)


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{round(value, 6) + 0.0:.6g}"
