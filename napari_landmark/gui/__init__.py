"""The napari plugin: widgets that call the same functions as the terminal. Nothing else imports napari or Qt."""
