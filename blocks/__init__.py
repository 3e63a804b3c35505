"""Prefect blocks: `prefect block register -m blocks` makes them known to a server."""

from blocks.connections import ClusterConnection, HarborConnection, KeycloakConnection
from blocks.declared_state import DeclaredState

__all__ = ["ClusterConnection", "DeclaredState", "HarborConnection", "KeycloakConnection"]
