"""Istio: routes, Gateways, and Harbor in the mesh."""
