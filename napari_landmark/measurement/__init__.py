"""Measurements between landmarks: values with errors, presets, tables and reports."""
