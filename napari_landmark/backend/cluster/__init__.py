"""Work on many machines: tasks on the workers of a dask scheduler."""
