"""Long work in a process of its own, on this machine or on another one: jobs, worker, progress, hosts, clusters."""
