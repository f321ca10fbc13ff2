"""Landmark files: one module for each format, and `registry`, which finds the format of a file.

docs/formats-and-coordinates.md describes the conversion of coordinates in each format.
"""
