"""The landmark half: from one annotated image to landmarks on every image of the cohort."""
