"""A study folder: settings, annotations, predictions, locks, provenance."""
