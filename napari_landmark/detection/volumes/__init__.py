"""Landmarks of volumes in any pose: search of the pose, local registration, refinement at native voxels."""
