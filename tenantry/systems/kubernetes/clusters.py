"""The connections to the clusters of a platform, by the clusters' names."""

from collections.abc import Callable, Iterator, Mapping

from tenantry.connections import HOME, Cluster
from tenantry.errors import SystemRefused
from tenantry.resources import Id
from tenantry.systems.kubernetes.client import KubernetesClient


class Clusters(Mapping[str, KubernetesClient]):
    """The connections by the clusters' names. Safe to use from many threads."""

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        connect: Callable[[Cluster], KubernetesClient] = KubernetesClient,
    ) -> None:
        """
        Args:
            clusters: how each cluster is reached. One of them is the home cluster.
            connect: returns the connection to a cluster.

        Raises:
            SystemRefused: the home cluster is missing, or a kubeconfig cannot be used.
        """
        if HOME not in clusters:
            raise _not_connected(HOME, clusters)
        self._clients: dict[str, KubernetesClient] = {}
        try:
            for name, cluster in clusters.items():
                self._clients[name] = connect(cluster)
        except BaseException:
            self.close()
            raise

    @property
    def home(self) -> KubernetesClient:
        """The home cluster: Harbor runs behind its Gateways, and its UID identifies the platform.

        It holds all teams until a team can declare its clusters.
        """
        return self._clients[HOME]

    def of(self, id: Id) -> KubernetesClient:
        """Return the connection to the cluster that holds a resource.

        Raises:
            SystemRefused: no connection has the name of this cluster.
        """
        name = id.cluster or HOME
        if name not in self._clients:
            raise _not_connected(name, self._clients)
        return self._clients[name]

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def __getitem__(self, name: str) -> KubernetesClient:
        return self._clients[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)


def _not_connected(name: str, known: Mapping[str, object]) -> SystemRefused:
    names = ", ".join(known) or "none"
    return SystemRefused(
        "kubernetes",
        f"connect to cluster '{name}'",
        f"no connection has this name; the connected clusters are: {names}",
        advice="Add the cluster to the platform's connections.",
    )
