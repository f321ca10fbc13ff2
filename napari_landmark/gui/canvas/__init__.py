"""What is drawn over the canvas by Qt, and the mouse on it: marks, names, loupe, template, window and level."""
