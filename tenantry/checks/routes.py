"""A common form for both kinds of routes: hosts, gateways, and paths in order of precedence."""

from typing import Any, NamedTuple

from tenantry.resources import Id
from tenantry.systems.istio.kinds import HTTP_ROUTE, VIRTUAL_SERVICE
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object

_ANY: list[dict[str, Any]] = [{}]
"""The match of a rule without conditions."""


class Path(NamedTuple):
    """One path of a route."""

    prefix: str
    """The path prefix; `/` if the rule has no path."""
    conditional: bool
    """Whether it matches only some of these requests, such as those with a method or a header."""
    destinations: tuple[tuple[str, str, int | None], ...]
    """The Service, namespace and port of each destination."""


class Route(NamedTuple):
    """A VirtualService or HTTPRoute."""

    id: Id
    namespace: str
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    paths: tuple[Path, ...]
    ordered: bool
    """Whether the first matching path wins, and not the longest one."""


def virtual_service(found: Object) -> Route:
    """Return the route of a VirtualService, in which the first matching path wins."""
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
        objects.id_of(VIRTUAL_SERVICE, metadata["name"], namespace),
        namespace,
        tuple(spec.get("hosts") or ()),
        tuple(spec.get("gateways") or ("mesh",)),
        tuple(paths),
        ordered=True,
    )


def http_route(found: Object) -> Route:
    """Return the route of an HTTPRoute, in which the longest matching path wins."""
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
        objects.id_of(HTTP_ROUTE, metadata["name"], namespace),
        namespace,
        tuple(spec.get("hostnames") or ()),
        tuple(parents),
        tuple(paths),
        ordered=False,
    )


def _service(host: str, namespace: str) -> tuple[str, str]:
    """Return a destination's Service and namespace; no namespace if it is not a Service's name."""
    name, _, rest = host.partition(".")
    if not rest:
        return name, namespace
    where, _, domain = rest.partition(".")
    return (name, where) if domain in ("", "svc") or domain.startswith("svc.") else (host, "")


def _port(part: dict[str, Any]) -> int | None:
    number: int | None = (part["destination"].get("port") or {}).get("number")
    return number
