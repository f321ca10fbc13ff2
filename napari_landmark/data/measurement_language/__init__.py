"""Language of measurements: what is measured between landmarks, as plain JSON of which nothing is executed."""
