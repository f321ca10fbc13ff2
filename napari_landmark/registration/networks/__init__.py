"""Registration network and segmenter."""
