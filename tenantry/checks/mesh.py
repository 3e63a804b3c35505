"""The mesh's objects in the cluster, and checks of its routes."""

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
    """The mesh's objects in the cluster. Each kind is read once, when a check needs it."""

    def __init__(self, systems: Systems) -> None:
        super().__init__(systems)
        self.client = systems.home_cluster
        harbor = systems.state.platform.mesh.harbor
        self.harbor = harbor.namespace if harbor else "harbor"
        self.core = harbor.core.service if harbor else "harbor-core"
        self.unread: list[Finding] = []
        """Findings for routes that could not be parsed."""
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
        """All routes of both kinds."""
        parsers = {VIRTUAL_SERVICE: virtual_service, HTTP_ROUTE: http_route}
        read: list[Route] = []
        for kind, parse in parsers.items():
            found = self._all(kind.name)
            self.unread += self.check_items(
                "route order", found, partial(_add, read, parse), partial(self._describe, kind)
            )
        return read

    def _describe(self, kind: Kind, found: Object) -> tuple[Id, str]:
        metadata = found["metadata"]
        id = objects.id_of(kind, metadata["name"], metadata["namespace"])
        return id, self.team(metadata["namespace"])

    @cached_property
    def authentications(self) -> list[Object]:
        """All RequestAuthentications."""
        return self._all("RequestAuthentication")

    def pods(self) -> list[Object]:
        """Return Harbor's pods."""
        return list(self.client.list("Pod", self.harbor))

    def team(self, namespace: str) -> str:
        """Return the team that owns a namespace, or PLATFORM."""
        teams = self.systems.state.teams.values()
        return next((team.name for team in teams if namespace in team.namespaces), PLATFORM)


def _add(read: list[Route], parse: Callable[[Object], Route], found: Object) -> tuple[()]:
    read.append(parse(found))
    return ()


def _is_member(labels: dict[str, str]) -> bool:
    injection = labels.get("istio-injection")
    return injection == "enabled" or (injection is None and bool(labels.get("istio.io/rev")))


def route_order(mesh: Mesh) -> Iterator[Finding]:
    """Check that no path of a route is hidden by an earlier one."""
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
                        f"'{path.prefix}' is never reached: the earlier prefix '{earlier.prefix}' "
                        "matches the same requests",
                        "Move the longer prefix first.",
                        mesh.team(route.namespace),
                    )
                    break


def hosts(mesh: Mesh) -> Iterator[Finding]:
    """Check that no host has two routes at one gateway."""
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
                        f"{other.id} also routes '{host}', and their order is undefined",
                        "Merge both routes, or use another host for one of them.",
                        mesh.team(route.namespace),
                    )


def destinations(mesh: Mesh) -> Iterator[Finding]:
    """Check that routes lead to existing Services and ports."""
    ports = {
        (service["metadata"]["name"], service["metadata"]["namespace"]): {
            port["port"] for port in (service.get("spec") or {}).get("ports") or ()
        }
        for service in mesh.services
    }
    for route in mesh.routes:
        checked = set()
        for path in route.paths:
            for service, namespace, port in path.destinations:
                known = ports.get((service, namespace))
                if not namespace or (service, namespace, port) in checked:
                    continue  # a host outside of the cluster, or already checked
                checked.add((service, namespace, port))
                if known is None or (port is not None and port not in known):
                    reason = (
                        "this Service does not exist"
                        if known is None
                        else "the Service has no such port"
                    )
                    yield mesh.finding(
                        "destinations",
                        "critical" if mesh.team(route.namespace) == PLATFORM else "warning",
                        route.id,
                        f"'{path.prefix}' leads to {service}.{namespace}:{port}, but {reason}",
                        "Correct the route, or create the Service.",
                        mesh.team(route.namespace),
                    )
