"""Detector network, pseudo-labels it is trained on, and the shape model that screens them."""
