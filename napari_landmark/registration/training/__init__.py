"""Training of a registration model from a cohort and a few label maps."""
