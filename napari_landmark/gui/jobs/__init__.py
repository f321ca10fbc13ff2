"""Long work in the background, one module a job."""
