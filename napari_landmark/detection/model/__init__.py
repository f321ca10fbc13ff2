"""Trained landmark model: inference on one image, expected error, files, the models of a study."""
