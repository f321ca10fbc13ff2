"""Detection in many images: list and folder of images, shards, journal, heatmap files."""
