"""Training of a landmark model from a study, stage by stage."""
