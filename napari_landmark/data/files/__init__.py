"""Writing files whole or not at all, reading small ones, and file names for images."""
