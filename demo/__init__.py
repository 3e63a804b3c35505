"""A complete platform on one machine: the sandbox, a Prefect server, and a process that serves flows."""
