from pathlib import Path

import pytest

from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.shape.configurations import Configurations

WINGS = Path(__file__).parents[2].parent / "shared/data/wings/landmarks.csv"


@pytest.fixture(scope="session")
def wings() -> Configurations:
    """Twelve landmarks of 58 fly wings, which cannot be shipped."""
    if not WINGS.exists():
        pytest.skip("needs the shared wings")
    return Configurations.from_landmarks(read_landmarks(WINGS))
