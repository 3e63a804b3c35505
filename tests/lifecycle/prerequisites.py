"""The objects that varied teams need and that Tenantry does not create, made through the APIs."""

from typing import Any

from tenantry.systems.systems import Systems
from tests.drift.changes import create
from tests.drift.extras import provider
from tests.support.varied_teams import MEMBERS, PROVIDER, SINK_NAMESPACE


def create_prerequisites(systems: Systems) -> None:
    """Create the users, the external identity provider and the sinks' namespace of varied teams."""
    keycloak = systems.keycloak_client
    for name in MEMBERS:
        keycloak.post("users", {"username": name, "enabled": True, "email": f"{name}@test.invalid"})
    keycloak.post("identity-provider/instances", provider(PROVIDER))
    create_namespace(systems, SINK_NAMESPACE)


def create_namespace(systems: Systems, name: str, **metadata: Any) -> None:
    """Create a namespace if it does not exist."""
    if systems.home_cluster.get("Namespace", name) is None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **metadata}}
        create(systems, body)
