"""Model card of a registration training, written beside the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_landmark.learning.model_card import ModelCard


def write_registration_card(folder: Path, record: dict[str, Any]) -> Path:
    """Write the card of a registration model into its folder; InputError where that fails.

    Parameters
    ----------
    folder : Path
    record : dict
        Record of the training, with its time and the last terms of its loss.
    """
    labels = ", ".join(map(str, record.get("labels", []))) or "none"
    terms = {name: value for name, value in record.get("terms", {}).items() if isinstance(value, float)}
    figures = [("time of the training", f"{record.get('seconds', 0) / 60:.1f} minutes")]
    card = ModelCard(
        title="Registration model",
        purpose="Registers two images of one anatomy, with emphasis on the regions of its label maps.",
        record=record,
        data=[
            f"Images with label maps: {len(record.get('labelled', []))}; their names are in `model.json`",
            f"Labels: {labels}",
        ],
        figures=[]
        if record.get("cancelled")
        else figures + [(f"loss, {k}", f"{v:.4g}") for k, v in terms.items()],
        figures_note="Terms of the loss on pairs of the training: `napari-landmark register evaluate` measures others.",
        limits=["A registration without folds may still be wrong: look at the checkerboard of each pair."],
    )
    return card.write(folder)
