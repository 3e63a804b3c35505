"""The mesh between the gateway and Harbor: port names, routes, and rules about tokens."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from tenantry.checks.view import View
from tenantry.drift.findings import Finding
from tenantry.errors import SystemRefused
from tenantry.resources import PLATFORM, Id
from tenantry.systems import Systems
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object

_HTTP = ("http", "http2", "https", "grpc", "grpc-web")
_PROTOCOLS = (*_HTTP, "tcp", "tls", "udp", "mongo", "mysql", "redis")
_PLAIN_HTTP = ("http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws")
_ANY: list[dict[str, Any]] = [{}]
"""What a rule without conditions matches."""
_SIDECAR = "istio-proxy"
_PORT_NAME = re.compile(rf"({'|'.join(sorted(_PROTOCOLS, key=len, reverse=True))})(-.+)?")


class Mesh(View):
    """What the cluster holds of the mesh. Read once, when a check asks for it."""

    def __init__(self, systems: Systems) -> None:
        super().__init__(systems)
        self.client = systems.kubernetes_client
        harbor = systems.state.platform.mesh.harbor
        self.harbor = harbor.namespace if harbor else "harbor"
        self.core = harbor.core.service if harbor else "harbor-core"
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
    def routes(self) -> "list[Route]":
        """All routes, of both kinds, each with its paths in the order in which they win."""
        return [
            *(_virtual_service(found) for found in self._all("VirtualService")),
            *(_http_route(found) for found in self._all("HTTPRoute")),
        ]

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


class Path(NamedTuple):
    """One path of a route."""

    prefix: str
    """What it begins with; `/` also where a rule has no path."""
    conditional: bool
    """Whether it takes only part of these requests: by a method, a header and so on."""
    destinations: tuple[tuple[str, str, int | None], ...]
    """Service, namespace and port of each."""


class Route(NamedTuple):
    """A VirtualService or HTTPRoute."""

    id: Id
    namespace: str
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    paths: tuple[Path, ...]
    ordered: bool
    """Whether the first path wins, and not the longest."""


def _is_member(labels: dict[str, str]) -> bool:
    injection = labels.get("istio-injection")
    return injection == "enabled" or (injection is None and bool(labels.get("istio.io/rev")))


def _virtual_service(found: Object) -> Route:
    metadata, spec = found["metadata"], found.get("spec") or {}
    namespace = metadata["namespace"]
    paths = []
    for rule in spec.get("http") or ():
        to = tuple(
            (*_service(part["destination"].get("host", ""), namespace), _port(part))
            for part in rule.get("route") or ()
        )
        for match in rule.get("match") or _ANY:
            uri = match.get("uri") or {}
            others = bool({*match} - {"uri", "name"})
            exact = "exact" in uri or "regex" in uri
            prefix = uri.get("prefix") or uri.get("exact") or ("" if exact else "/")
            if prefix:
                paths.append(Path(prefix, others or exact, to))
    return Route(
        objects.id_of("VirtualService", metadata["name"], namespace, "istio"),
        namespace,
        tuple(spec.get("hosts") or ()),
        tuple(spec.get("gateways") or ("mesh",)),
        tuple(paths),
        ordered=True,
    )


def _http_route(found: Object) -> Route:
    metadata, spec = found["metadata"], found.get("spec") or {}
    namespace = metadata["namespace"]
    paths = []
    for rule in spec.get("rules") or ():
        to = tuple(
            (ref["name"], ref.get("namespace", namespace), ref.get("port"))
            for ref in rule.get("backendRefs") or ()
            if ref.get("kind", "Service") == "Service"
        )
        for match in rule.get("matches") or _ANY:
            path = match.get("path") or {}
            others = bool({*match} - {"path"}) or path.get("type") in ("Exact", "RegularExpression")
            paths.append(Path(path.get("value", "/"), others, to))
    parents = (
        f"{parent.get('namespace', namespace)}/{parent['name']}"
        for parent in spec.get("parentRefs") or ()
    )
    return Route(
        objects.id_of("HTTPRoute", metadata["name"], namespace, "istio"),
        namespace,
        tuple(spec.get("hostnames") or ()),
        tuple(parents),
        tuple(paths),
        ordered=False,
    )


def _service(host: str, namespace: str) -> tuple[str, str]:
    """Service and namespace of a destination; no namespace where it is no Service's name."""
    name, _, rest = host.partition(".")
    if not rest:
        return name, namespace
    where, _, domain = rest.partition(".")
    return (name, where) if domain in ("", "svc") or domain.startswith("svc.") else (host, "")


def _port(part: dict[str, Any]) -> int | None:
    number: int | None = (part["destination"].get("port") or {}).get("number")
    return number


def port_names(mesh: Mesh) -> Iterator[Finding]:
    """Ports of the mesh's Services tell their protocol."""
    for service in mesh.services:
        namespace = service["metadata"]["namespace"]
        if namespace not in mesh.members:
            continue
        for port in (service.get("spec") or {}).get("ports") or ():
            if _protocol(port) is None:
                yield _port_name(mesh, service, port)


def _port_name(mesh: Mesh, service: Object, port: dict[str, Any]) -> Finding:
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    told = f"is named '{port['name']}'" if port.get("name") else "has no name"
    remedy = "Name it <protocol>[-suffix], such as http-web, or set its appProtocol."
    if namespace == mesh.harbor:
        remedy = (
            "Harbor's chart names its ports itself, some not at all: update the chart, or declare "
            "the port in mesh.harbor.app_protocols (tcp for redis and the database, http for the "
            "others) and run configure-platform; do not rename it behind the chart's back."
        )
    return mesh.finding(
        "port names",
        "warning",
        Id("kubernetes", "Service", f"{namespace}/{name}"),
        f"port {port['port']} {told}: the mesh takes it for plain TCP at the gateway, where rules "
        "about paths and tokens never match",
        remedy,
        mesh.team(namespace),
    )


def _protocol(port: dict[str, Any]) -> str | None:
    """What the mesh takes a port for; None if it has to guess."""
    if port.get("appProtocol"):
        return str(port["appProtocol"]).lower()
    if port.get("protocol") == "UDP":
        return "udp"
    found = _PORT_NAME.fullmatch(str(port.get("name", "")).lower())
    return found[1] if found else None


def port_protocols(mesh: Mesh) -> Iterator[Finding]:
    """No port number is HTTP in one Service of a namespace and TCP in another."""
    uses: dict[tuple[str, int], dict[bool, str]] = defaultdict(dict)
    for service in mesh.services:
        metadata = service["metadata"]
        if metadata["namespace"] not in mesh.members:
            continue
        for port in (service.get("spec") or {}).get("ports") or ():
            protocol = _protocol(port)
            if protocol is None or protocol == "udp":
                continue
            is_http = protocol in _PLAIN_HTTP
            uses[metadata["namespace"], port["port"]].setdefault(is_http, metadata["name"])
    for (namespace, number), names in uses.items():
        if len(names) > 1:
            yield mesh.finding(
                "port protocols",
                "warning",
                Id("kubernetes", "Service", f"{namespace}/{names[False]}"),
                f"port {number} is TCP here, and HTTP in Service '{names[True]}'",
                "Give one of the two another number.",
                mesh.team(namespace),
            )


def sidecars(mesh: Mesh) -> Iterator[Finding]:
    """Where Harbor's namespace is in the mesh, so are its pods."""
    if mesh.harbor not in mesh.members:
        return
    for pod in mesh.pods():
        spec = pod.get("spec") or {}
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if not ended and _SIDECAR not in [container["name"] for container in containers]:
            yield mesh.finding(
                "sidecars",
                "warning",
                Id("kubernetes", "Pod", f"{mesh.harbor}/{pod['metadata']['name']}"),
                "it has no sidecar, though its namespace is labelled for injection",
                "Restart it: the label acts on new pods only.",
            )


def route_order(mesh: Mesh) -> Iterator[Finding]:
    """No path of a route is taken by one before it."""
    for route in mesh.routes:
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


def docker_tokens(mesh: Mesh) -> Iterator[Finding]:
    """No rule about tokens reads the one that docker sends to Harbor."""
    core = _labels_of_core(mesh)
    for found in mesh.authentications:
        metadata, spec = found["metadata"], found.get("spec") or {}
        namespace = metadata["namespace"]
        if not any(map(_reads_authorization, spec.get("jwtRules") or ())):
            continue
        where = _selects(mesh, namespace, spec, core)
        if where:
            yield mesh.finding(
                "docker tokens",
                "critical",
                objects.id_of("RequestAuthentication", metadata["name"], namespace, "istio"),
                f"it reads Authorization {where}: docker sends Harbor's own token there, which no "
                "rule of it knows, so that every pull and push is refused with 401; excluded "
                "paths in an AuthorizationPolicy come too late",
                "Let it select the portal only, or read the token from a header of its own "
                "(fromHeaders).",
            )


def _reads_authorization(rule: dict[str, Any]) -> bool:
    headers, parameters = rule.get("fromHeaders") or [], rule.get("fromParams") or []
    cookies = rule.get("fromCookies") or []
    if not (headers or parameters or cookies):
        return True
    return any(header.get("name", "").lower() == "authorization" for header in headers)


def _labels_of_core(mesh: Mesh) -> dict[str, str] | None:
    for service in mesh.services:
        metadata = service["metadata"]
        if (metadata["name"], metadata["namespace"]) == (mesh.core, mesh.harbor):
            return (service.get("spec") or {}).get("selector") or {}
    return None


def _selects(mesh: Mesh, namespace: str, spec: dict[str, Any], core: dict[str, str] | None) -> str:
    """Where a policy catches docker's requests, in words; empty if it does not."""
    targets = [*(spec.get("targetRefs") or ()), *filter(None, [spec.get("targetRef")])]
    if targets:
        kinds = {(target.get("kind"), target.get("name")) for target in targets}
        if any(kind == "Gateway" for kind, _ in kinds):
            return "at the gateway"
        caught = namespace == mesh.harbor and ("Service", mesh.core) in kinds
        return "before Harbor's core" if caught else ""
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    if namespace == mesh.systems.state.platform.mesh.control_plane_namespace and not labels:
        return "in the whole mesh"
    if namespace in (
        mesh.gateway_namespace,
        mesh.systems.state.platform.mesh.control_plane_namespace,
    ):
        return "at the gateway"
    if namespace != mesh.harbor:
        return ""
    in_core = not labels or (core is not None and labels.items() <= core.items())
    return "before Harbor's core" if in_core else ""


def issuers(mesh: Mesh) -> Iterator[Finding]:
    """Rules about the realm's tokens name its issuer letter for letter."""
    realm = mesh.systems.keycloak_client
    for found in mesh.authentications:
        metadata = found["metadata"]
        for rule in (found.get("spec") or {}).get("jwtRules") or ():
            named = str(rule.get("issuer", ""))
            if named != realm.issuer and _means(named, realm.issuer):
                yield mesh.finding(
                    "issuer",
                    "critical",
                    objects.id_of(
                        "RequestAuthentication", metadata["name"], metadata["namespace"], "istio"
                    ),
                    f"it names the issuer '{named}', and the realm calls itself '{realm.issuer}'",
                    "Write it letter for letter as the realm does.",
                    mesh.team(metadata["namespace"]),
                )


def _means(one: str, other: str) -> bool:
    def bare(issuer: str) -> str:
        rest = issuer.partition("://")[2].rstrip("/").lower()
        return rest.replace("/auth/realms/", "/realms/")

    return bare(one) == bare(other)
