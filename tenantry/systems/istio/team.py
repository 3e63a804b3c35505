"""The adapter for the routes of teams: VirtualServices or HTTPRoutes in their namespaces."""

from collections.abc import Sequence

from tenantry.declared import Declaration, Route, Team
from tenantry.errors import SystemRefused
from tenantry.kinds import Kind
from tenantry.marks import Marks
from tenantry.plan import Change
from tenantry.resources import Observed, Resource
from tenantry.systems.istio import kinds
from tenantry.systems.istio.routes import Backend, Rule, spec
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.clusters import Clusters

_KINDS = {kind.name: kind for kind in (kinds.VIRTUAL_SERVICE, kinds.HTTP_ROUTE)}


class IstioTeams:
    """The adapter for the routes of teams in the mesh."""

    name = "Istio"
    system = "istio"
    kinds = frozenset(_KINDS.values())

    def __init__(self, clusters: Clusters, state: Declaration, marks: Marks) -> None:
        self._clusters = clusters
        self._state = state
        self._marks = marks

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return an object for each route of the team."""
        return [self._route(team, name, route) for name, route in team.routes.items()]

    def _kind(self, route: Route) -> str:
        return route.kind or self._state.platform.mesh.route_kind

    def _route(self, team: Team, name: str, route: Route) -> Resource:
        gateway = route.gateway or self._state.platform.mesh.gateway
        rules = [
            Rule((path.prefix,), Backend(path.service, team.home_namespace, path.port))
            for path in route.paths
        ]
        kind = self._kind(route)
        content = {"spec": spec(kind, route.host, gateway, rules)}
        return objects.resource(
            _KINDS[kind], name, team, content, self._marks, namespace=team.home_namespace
        )

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the routes in the first namespaces of the teams.

        Both kinds are read, since a route that is no longer declared can be of either kind. A kind
        that is not installed is skipped, unless a team declares it.
        """
        seen = Observed()
        needed = {self._kind(route) for team in teams for route in team.routes.values()}
        for name, kind in _KINDS.items():
            self._observe(kind, teams, seen, needed=name in needed)
        return seen

    def _observe(self, kind: Kind, teams: Sequence[Team], seen: Observed, *, needed: bool) -> None:
        try:
            owners = {team.home_namespace: team.name for team in teams}
            routes = list(objects.observe(self._clusters.home, kind, owners, seen))
        except SystemRefused as error:
            if error.status != 404 or needed:
                raise
            return
        for found in routes:
            metadata = found["metadata"]
            id = objects.id_of(kind, metadata["name"], metadata["namespace"])
            with seen.capture_errors(id, owners[metadata["namespace"]]):
                seen.live[id] = objects.live_in(found, owners[metadata["namespace"]])

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        objects.apply(self._clusters.of(change.id), change)
