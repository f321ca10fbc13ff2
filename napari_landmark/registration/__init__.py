"""The registration half: laying one image over another, with care for the regions that matter."""
