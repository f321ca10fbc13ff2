"""Work that a worker process can do, one kind a module."""
