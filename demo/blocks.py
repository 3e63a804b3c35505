"""Fills in the blocks that the flows read, as a person does once in the UI."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from blocks import ClusterConnection, DeclaredState, HarborConnection, KeycloakConnection


def fill_in(addresses: dict[str, Any], declared: Path, name: str = "default") -> None:
    """Saves the four blocks under a name.

    Args:
        addresses: what the sandbox prints first.
        declared: the declared state's folder.
        name: the blocks' name.
    """
    kubeconfig = Path(addresses["kubernetes"]["kubeconfig"]).read_text()
    for block in (
        HarborConnection(**addresses["harbor"]),
        KeycloakConnection(**addresses["keycloak"]),
        ClusterConnection(kubeconfig=SecretStr(kubeconfig)),
        DeclaredState(folder=str(declared)),
    ):
        block.register_type_and_schema()
        block.save(name, overwrite=True)
