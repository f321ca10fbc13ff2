"""Data in memory and on disk, with readers and writers; no torch, no Qt, no napari."""
