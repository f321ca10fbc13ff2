"""Registration of images of one anatomy, with more weight on the regions and landmarks that matter."""
