"""napari layers made from the session, and back."""
