"""Kubernetes: namespaces and what isolates them, and the client of the API server."""
