"""The model of each prediction in a study: ``predictions/models.json``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.json_file import read_json_object, write_json_object

PREDICTION_MODELS = "predictions/models.json"
"""Path of the file in the folder of a study."""
_VERSION = 1


def read_prediction_models(study: Path) -> dict[str, str]:
    """Name of the model that made the prediction of each image, by name of the image.

    Images without a record are left out, and all of them where the file is missing or damaged: it can be made again by
    a detection, and no landmark depends on it.

    Parameters
    ----------
    study : Path
        Folder of the study.
    """
    try:
        content = read_json_object(study / PREDICTION_MODELS)
    except (InputError, OSError):
        return {}
    models = content.get("models")
    if content.get("version") != _VERSION or not isinstance(models, dict):
        return {}
    return {image: model for image, model in models.items() if isinstance(model, str)}


def write_prediction_models(study: Path, images: Iterable[str], model: str) -> None:
    """Record the model that predicted some images; those of the other images stay.

    Parameters
    ----------
    study : Path
        Folder of the study.
    images : iterable of str
        Names of the images.
    model : str
        Name of the model's folder; empty where it is none of the study, which removes the records.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    before = read_prediction_models(study)
    changed = {**before, **{composed_name(image): model for image in images}}
    models = {image: name for image, name in changed.items() if name}
    if models != before:
        write_json_object(study / PREDICTION_MODELS, {"version": _VERSION, "models": models}, indent=0)


def images_to_predict(
    names: Iterable[str], model: str, *, models: Mapping[str, str], predicted: Container[str], is_only: bool
) -> list[str]:
    """Images that a model did not predict yet, in their order.

    Parameters
    ----------
    names : iterable of str
        Names of the images.
    model : str
        Name of the model.
    models : mapping of str to str
        See `read_prediction_models`.
    predicted : container of str
        Images with a prediction. One without a record is of an earlier version of the program.
    is_only : bool
        Whether the study has no other model, so that a prediction without a record must be of this one.
    """
    return [
        name for name in names if models.get(name, model if is_only and name in predicted else "") != model
    ]
