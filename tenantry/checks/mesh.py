"""What the cluster holds of the mesh, and whether its routes lead where they should."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial

from tenantry.checks.routes import Route, http_route, virtual_service
from tenantry.checks.view import View
from tenantry.drift.findings import Finding
from tenantry.errors import SystemRefused
from tenantry.kinds import Kind
from tenantry.resources import PLATFORM, Id
from tenantry.systems.istio.kinds import HTTP_ROUTE, VIRTUAL_SERVICE
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.systems import Systems


class Mesh(View):
    """What the cluster holds of the mesh. Read once, when a check asks for it."""

    def __init__(self, systems: Systems) -> None:
        super().__init__(systems)
        self.client = systems.home_cluster
        harbor = systems.state.platform.mesh.harbor
        self.harbor = harbor.namespace if harbor else "harbor"
        self.core = harbor.core.service if harbor else "harbor-core"
        self.unread: list[Finding] = []
        """The routes that could not be understood."""
        self.gateway_namespace = systems.state.platform.mesh.gateway_namespace

    def _all(self, kind: str) -> list[Object]:
        try:
            return list(self.client.list(kind))
        except SystemRefused as error:
            if error.status == 404:
                return []  # the kind is not installed
            raise

    @cached_property
    def members(self) -> set[str]:
        """The namespaces of the mesh."""
        found = self._all("Namespace")
        labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in found}
        return {name for name, own in labels.items() if _is_member(own)}

    @cached_property
    def services(self) -> list[Object]:
        """All Services."""
        return self._all("Service")

    @cached_property
    def routes(self) -> list[Route]:
        """All routes, of both kinds, each with its paths in the order in which they win."""
        parsers = {VIRTUAL_SERVICE: virtual_service, HTTP_ROUTE: http_route}
        read: list[Route] = []
        for kind, parse in parsers.items():
            found = self._all(kind.name)
            self.unread += self.each(
                "route order", found, partial(_add, read, parse), partial(self._about, kind)
            )
        return read

    def _about(self, kind: Kind, found: Object) -> tuple[Id, str]:
        metadata = found["metadata"]
        id = objects.id_of(kind, metadata["name"], metadata["namespace"])
        return id, self.team(metadata["namespace"])

    @cached_property
    def authentications(self) -> list[Object]:
        """All RequestAuthentications."""
        return self._all("RequestAuthentication")

    def pods(self) -> list[Object]:
        """Harbor's pods."""
        return list(self.client.list("Pod", self.harbor))

    def team(self, namespace: str) -> str:
        """The team whose namespace it is; else PLATFORM."""
        teams = self.systems.state.teams.values()
        return next((team.name for team in teams if namespace in team.namespaces), PLATFORM)


def _add(read: list[Route], parse: Callable[[Object], Route], found: Object) -> tuple[()]:
    read.append(parse(found))
    return ()


def _is_member(labels: dict[str, str]) -> bool:
    injection = labels.get("istio-injection")
    return injection == "enabled" or (injection is None and bool(labels.get("istio.io/rev")))


def route_order(mesh: Mesh) -> Iterator[Finding]:
    """No path of a route is taken by one before it."""
    routes = mesh.routes
    yield from mesh.unread
    for route in routes:
        for index, path in enumerate(route.paths if route.ordered else ()):
            for earlier in route.paths[:index]:
                if path.prefix.startswith(earlier.prefix) and not earlier.conditional:
                    yield mesh.finding(
                        "route order",
                        "critical",
                        route.id,
                        f"'{path.prefix}' is never reached: '{earlier.prefix}' before it takes "
                        "what begins so",
                        "Put the longer prefix first.",
                        mesh.team(route.namespace),
                    )
                    break


def hosts(mesh: Mesh) -> Iterator[Finding]:
    """No host is routed twice at one gateway."""
    first: dict[tuple[str, str], Route] = {}
    for route in mesh.routes:
        for gateway in route.gateways:
            for host in route.hosts:
                key = gateway if "/" in gateway else f"{route.namespace}/{gateway}"
                other = first.setdefault((key, host), route)
                if other is not route:
                    yield mesh.finding(
                        "hosts",
                        "critical",
                        route.id,
                        f"'{host}' is also routed by {other.id}, and which goes first is not told",
                        "Put both into one route, or give one another host.",
                        mesh.team(route.namespace),
                    )


def destinations(mesh: Mesh) -> Iterator[Finding]:
    """Routes lead to Services, and to ports of theirs, that exist."""
    ports = {
        (service["metadata"]["name"], service["metadata"]["namespace"]): {
            port["port"] for port in (service.get("spec") or {}).get("ports") or ()
        }
        for service in mesh.services
    }
    for route in mesh.routes:
        told = set()
        for path in route.paths:
            for service, namespace, port in path.destinations:
                known = ports.get((service, namespace))
                if not namespace or (service, namespace, port) in told:
                    continue  # a host outside of the cluster
                told.add((service, namespace, port))
                if known is None or (port is not None and port not in known):
                    what = "there is no such Service" if known is None else "it has no such port"
                    yield mesh.finding(
                        "destinations",
                        "critical" if mesh.team(route.namespace) == PLATFORM else "warning",
                        route.id,
                        f"'{path.prefix}' leads to {service}.{namespace}:{port}, and {what}",
                        "Correct the route, or create the Service.",
                        mesh.team(route.namespace),
                    )
