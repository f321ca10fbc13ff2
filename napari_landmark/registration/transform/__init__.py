"""Transforms between two images: displacement fields, resampling, inverse, files."""
