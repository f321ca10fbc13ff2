"""Synthetic hand radiographs with exact landmarks and label maps; no patient is shown.

``python -m napari_landmark.synthetic FOLDER`` writes the sample data of the demonstration.
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
