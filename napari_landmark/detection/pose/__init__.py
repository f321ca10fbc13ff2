"""Pose of an image relative to the template's: candidates, search, poses of a whole cohort, names of sides."""
