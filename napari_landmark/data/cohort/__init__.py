"""Many images on one working grid, resampled once and memory-mapped."""
