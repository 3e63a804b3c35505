"""Creates the blocks that the flows load, as a user does once in the UI."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from blocks import ClusterConnection, DeclaredState, HarborConnection, KeycloakConnection, Platform
from tenantry.connections import HOME


def save_blocks(addresses: dict[str, Any], declared: Path, name: str = "default") -> None:
    """Save a Platform block and the four blocks that it names, all under one name.

    Args:
        addresses: the addresses and credentials of the systems, as the sandbox prints them.
        declared: the folder of the declared state.
        name: the name of the blocks.
    """
    kubeconfig = Path(addresses["kubernetes"]["kubeconfig"]).read_text()
    for block in (
        HarborConnection(**addresses["harbor"]),
        KeycloakConnection(**addresses["keycloak"]),
        ClusterConnection(kubeconfig=SecretStr(kubeconfig)),
        DeclaredState(folder=str(declared)),
        Platform(declared_state=name, harbor=name, keycloak=name, clusters={HOME: name}),
    ):
        block.register_type_and_schema()
        block.save(name, overwrite=True)
