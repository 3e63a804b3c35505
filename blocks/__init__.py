"""Prefect blocks: `prefect block register -m blocks` registers their types with a server."""

from blocks.connections import ClusterConnection, HarborConnection, KeycloakConnection
from blocks.declared_state import DeclaredState
from blocks.platform import Platform

__all__ = [
    "ClusterConnection",
    "DeclaredState",
    "HarborConnection",
    "KeycloakConnection",
    "Platform",
]
