"""Hand radiographs drawn by formula: landmarks and label maps are exact, and nobody's hand is shown.

``python -m napari_landmark.synthetic FOLDER`` writes the sample data that the demonstration works on.
"""

from napari_landmark.synthetic.hand import LANDMARKS, REGIONS
from napari_landmark.synthetic.radiograph import SCHEMA, Phantom, hand_phantom
from napari_landmark.synthetic.sample import SAMPLE_SPACING, write_sample_data

__all__ = [
    "LANDMARKS",
    "REGIONS",
    "SAMPLE_SPACING",
    "SCHEMA",
    "Phantom",
    "hand_phantom",
    "write_sample_data",
]
