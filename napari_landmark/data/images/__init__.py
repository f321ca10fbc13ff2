"""Images and volumes: one reader a kind of file, and what they have in common."""
