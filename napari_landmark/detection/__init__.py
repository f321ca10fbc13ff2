"""Landmark detection from one annotated image: embedding, refinement, detector, model, training, inference."""
