"""The connections to all systems of a platform."""

from contextlib import ExitStack
from typing import NamedTuple, Self

from tenantry.connections import Connections
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes.client import KubernetesClient
from tenantry.systems.kubernetes.clusters import Clusters


class Clients(NamedTuple):
    """The connections to all systems of a platform."""

    harbor: HarborClient
    keycloak: KeycloakClient
    clusters: Clusters

    @classmethod
    def connect(
        cls,
        connections: Connections,
        realm: str,
        *,
        harbor: type[HarborClient] = HarborClient,
        keycloak: type[KeycloakClient] = KeycloakClient,
        kubernetes: type[KubernetesClient] = KubernetesClient,
    ) -> Self:
        """Return the connections to the systems. The caller closes them.

        Args:
            connections: the addresses of the systems, and the accounts.
            realm: the realm of the teams.
            harbor: the class of the connection to Harbor.
            keycloak: the class of the connection to Keycloak.
            kubernetes: the class of the connections to the clusters.
        """
        with ExitStack() as stack:  # closes what is connected if a later connection fails
            registry = harbor(connections.harbor)
            stack.callback(registry.close)
            provider = keycloak(connections.keycloak, realm)
            stack.callback(provider.close)
            clusters = Clusters(connections.clusters, kubernetes)
            stack.pop_all()
            return cls(registry, provider, clusters)

    def close(self) -> None:
        """Close the connections."""
        self.clusters.close()
        self.keycloak.close()
        self.harbor.close()
