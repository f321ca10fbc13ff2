"""Images of the open study that a model did not predict yet."""

from __future__ import annotations

from napari_landmark.data.study.prediction_models import images_to_predict
from napari_landmark.gui.session.session import Session


def new_images(session: Session, model: str) -> list[str]:
    """Names of the images without a prediction of a model, in their order; none without a study.

    Reads no file: what counts is the state when the study was opened or the last work ended.
    """
    if session.landmark_store is None:
        return []
    models = session.models
    return images_to_predict(
        session.names,
        model,
        models=models.prediction_models,
        predicted=session.landmark_store.predicted_images,
        is_only=models.names == (model,),
    )
