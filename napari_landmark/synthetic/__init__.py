"""Synthetic images with exact landmarks and label maps, hand radiographs and CT of heads; no patient is shown.

``python -m napari_landmark.synthetic FOLDER`` writes the sample data of the demonstrations.
"""

from napari_landmark.synthetic.ct import HEAD_SCHEMA, head_phantom
from napari_landmark.synthetic.hand import LANDMARKS, REGIONS
from napari_landmark.synthetic.head import HEAD_LANDMARKS, HEAD_REGIONS
from napari_landmark.synthetic.radiograph import SCHEMA, Phantom, hand_phantom
from napari_landmark.synthetic.sample import SAMPLE_SPACING, write_sample_data
from napari_landmark.synthetic.volume_sample import write_sample_volumes

__all__ = [
    "HEAD_LANDMARKS",
    "HEAD_REGIONS",
    "HEAD_SCHEMA",
    "LANDMARKS",
    "REGIONS",
    "SAMPLE_SPACING",
    "SCHEMA",
    "Phantom",
    "hand_phantom",
    "head_phantom",
    "write_sample_data",
    "write_sample_volumes",
]
