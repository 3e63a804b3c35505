"""Istio: the team's routes in the mesh, as VirtualServices in its namespace."""

from collections.abc import Sequence

from tenantry.declared import Declaration, Route, Team
from tenantry.errors import SystemRefused
from tenantry.plan import Change
from tenantry.resources import Observed, Resource
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient

_KIND = "VirtualService"


class Istio:
    """The mesh's part of onboarding."""

    def __init__(self, client: KubernetesClient, state: Declaration) -> None:
        self._client = client
        self._state = state

    def desired(self, team: Team) -> list[Resource]:
        """A VirtualService a route."""
        return [self._route(team, name, route) for name, route in team.routes.items()]

    def _route(self, team: Team, name: str, route: Route) -> Resource:
        # Without `gateways` a VirtualService serves the mesh only; the first match wins.
        spec = {
            "hosts": [route.host],
            "gateways": [route.gateway or self._state.platform.mesh.gateway],
            "http": [
                {
                    "match": [{"uri": {"prefix": path.prefix}}],
                    "route": [
                        {
                            "destination": {
                                "host": f"{path.service}.{team.slug}.svc.cluster.local",
                                "port": {"number": path.port},
                            }
                        }
                    ],
                }
                for path in route.paths
            ],
        }
        return objects.resource(
            _KIND, name, team, {"spec": spec}, namespace=team.slug, stage="Istio", system="istio"
        )

    def observe(self, teams: Sequence[Team]) -> Observed:
        """The VirtualServices in the teams' first namespaces; none where there is no Istio."""
        seen = Observed()
        try:
            routes = list(objects.observe(self._client, _KIND, [team.slug for team in teams]))
        except SystemRefused as error:
            if error.status != 404 or any(team.routes for team in teams):
                raise
            return seen
        for found in routes:
            metadata = found["metadata"]
            id = objects.id_of(_KIND, metadata["name"], metadata["namespace"], "istio")
            seen.live[id] = objects.live(found)
        return seen

    def apply(self, change: Change) -> None:
        """Carries out one change."""
        objects.apply(self._client, change)
