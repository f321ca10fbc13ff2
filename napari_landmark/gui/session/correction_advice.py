"""Advice on corrections for the open study, from what the session has in memory."""

from __future__ import annotations

from collections.abc import Callable

from napari_landmark.detection.correction_advice import CorrectionAdvice, advise_corrections
from napari_landmark.gui.session.session import Session

_MOST_IMAGES = 150  # annotated ones, and as many others: the answer takes milliseconds


def _evenly(names: list[str]) -> list[str]:
    step = max(1, -(-len(names) // _MOST_IMAGES))
    return names[::step]


def session_advice(session: Session) -> Callable[[], CorrectionAdvice] | None:
    """The computation of the advice from the landmarks as they are now.

    None without predictions of images that a model is sure of, or during a reading.

    The arrays are copies, so that the computation may run in a thread.
    """
    store, study, cohort = session.landmark_store, session.study, session.cohort
    if store is None or study is None or cohort is None or study.reader or not store.any_prediction:
        return None
    states = {name: store.state(name) for name in session.names}
    annotated = [name for name in session.names if states[name] in ("annotated", "corrected")]
    predicted = [name for name in session.names if states[name] == "predicted" and not store.is_flagged(name)]
    first = [study.template] if study.template in annotated else []
    names = [*dict.fromkeys([*first, *_evenly(annotated)]), *_evenly(predicted)]
    if not names:  # such as where every prediction is of a flagged image
        return None
    found, marked, errors = store.correction_arrays(names, cohort.ndim)
    geometries = [session.geometry(name) for name in names]
    landmarks, template, learned = study.schema.names, study.template, session.models.learned_images

    def advise() -> CorrectionAdvice:
        return advise_corrections(
            names, landmarks, found, marked, errors, geometries, template=template, learned=learned
        )

    return advise
