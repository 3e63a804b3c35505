"""The adapters for Istio: routes, Gateways, and Harbor in the mesh."""
