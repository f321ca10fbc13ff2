"""State of one viewer without napari or Qt: study, current image and landmark, edits, undo."""
