"""Geometric morphometrics of landmarks: Procrustes superimposition, variation, outliers. No torch, no Qt."""
