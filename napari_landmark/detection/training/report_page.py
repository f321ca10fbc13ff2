"""Page of the report of a training: one file that needs no other."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_landmark.detection.training.plane_figures import LandmarkPlanes
from napari_landmark.detection.training.report_contents import ReportContents
from napari_landmark.detection.training.report_figures import figure_uri, loss_figure, picture_uri

_TEMPLATE = "report.html"


def training_page(contents: ReportContents) -> str:
    """The page as HTML, with all its pictures."""
    environment = Environment(
        loader=PackageLoader("napari_landmark.detection.training", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    summary, tables = contents.summary, contents.tables
    stages = [
        {**stage, "picture": figure_uri(loss_figure(history))}
        for stage, history in zip(summary["stages"], contents.histories, strict=True)
    ]
    volumes = [one for one in contents.predictions if one.picture is None]
    template = contents.template_picture
    return environment.get_template(_TEMPLATE).render(
        summary=summary,
        stages=stages,
        template_name=contents.template,
        template=None if template is None else picture_uri(template),
        schema=contents.schema,
        grid=contents.grid,
        unit=tables.unit,
        landmark_errors=tables.landmarks,
        image_errors=tables.images,
        points=[
            {
                "image": point.image,
                "landmark": point.landmark,
                "error": point.error,
                "picture": picture_uri(crop),
            }
            for point, crop in contents.points
        ],
        predictions=[
            {"name": one.name, "error": one.error, "state": one.state, "picture": picture_uri(one.picture)}
            for one in contents.predictions
            if one.picture is not None
        ],
        template_planes=_planes(contents.template_planes),
        volumes=[
            {"name": one.name, "error": one.error, "state": one.state, "landmarks": _planes(one.planes)}
            for one in volumes
        ],
    )


def _planes(rows: list[LandmarkPlanes]) -> list[dict[str, Any]]:
    """Landmarks in three planes as the page shows them."""
    return [
        {
            "name": row.name,
            "color": row.color,
            "error": row.expected_error,
            "pictures": [
                {"title": title, "picture": picture_uri(picture)} for title, picture in row.pictures.items()
            ],
        }
        for row in rows
    ]
