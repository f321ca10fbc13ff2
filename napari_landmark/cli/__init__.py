"""What stands behind each command of the terminal, one module a command."""
