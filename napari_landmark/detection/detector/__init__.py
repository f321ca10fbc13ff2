"""Detector network, its pseudo-labels and the shape model that screens them."""
