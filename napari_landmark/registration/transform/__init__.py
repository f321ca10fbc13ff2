"""Transforms between two images: points, images, labels, inverse, files."""
