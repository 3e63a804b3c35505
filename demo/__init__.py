"""A whole platform on one machine: the sandbox, a Prefect server, and the flows served."""
