"""One module for each landmark file format, and the table of them."""
