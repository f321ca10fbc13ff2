"""Agreement of readers, written as tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_landmark.agreement.agreement import LandmarkAgreement, ValueAgreement, landmark_agreement
from napari_landmark.agreement.readings import Readings
from napari_landmark.agreement.tables import write_agreement_tables


def write_agreement(
    folder: Path, readings: Readings, *, measurements: Mapping[str, ValueAgreement] | None = None
) -> tuple[dict[str, LandmarkAgreement], list[Path]]:
    """Compute the agreement of readings and write it to a folder; returns it with the paths of the files.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    from napari_landmark.agreement.figures import write_agreement_figures

    found = landmark_agreement(readings)
    files = write_agreement_tables(folder, found, unit=readings.unit, measurements=measurements)
    files += write_agreement_figures(
        folder, found, readers=readings.readers, unit=readings.unit, measurements=measurements
    )
    return found, files
