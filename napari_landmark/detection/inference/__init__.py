"""Detection in a folder of images: journal, heatmap files."""
