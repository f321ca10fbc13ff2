"""Presets: schema files of common analyses, with definitions, links, measurements, norms and their sources."""
