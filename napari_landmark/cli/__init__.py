"""Commands of the terminal, one module each; `app` has their names and options."""
