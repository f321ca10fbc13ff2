"""Calibration of stated errors by the images that a person corrected."""
