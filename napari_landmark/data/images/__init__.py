"""Images and volumes: one reader module per kind of file behind `read_image`, and writing them as NRRD."""
