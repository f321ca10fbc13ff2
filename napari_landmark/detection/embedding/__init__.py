"""Dense embedding of whole images, and matching of the template's landmarks with it."""
