"""Patch embedding, and sub-pixel refinement of a coarse match with it."""
