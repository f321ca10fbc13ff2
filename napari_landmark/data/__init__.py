"""What is held in memory and on disk, and how it is read and written; no torch, no Qt, no napari."""
