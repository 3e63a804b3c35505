"""Rules for routes and Gateways, by the way each kind of route selects a backend for a path."""

import re
from collections.abc import Iterator

from tenantry.declared.faults import Place
from tenantry.declared.platform import Platform
from tenantry.declared.team import Route, RoutePath, Team

HTTP_ROUTE_RULES = 16
"""The maximum number of rules in an HTTPRoute, from its published schema (Gateway API 1.7)."""
HTTP_ROUTE_PATH = 1024
"""The maximum length of a path in an HTTPRoute, from the same schema."""
GATEWAY_LISTENERS = 64
"""The maximum number of listeners of a Gateway (Gateway API), from the same schema."""

CHARACTERS = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
FORBIDDEN = ("//", "/./", "/../", "%2f", "%2F")
FORBIDDEN_ENDS = ("/.", "/..")


def check_routes(platform: Platform, team: Team) -> Iterator[tuple[Place, str]]:
    """Return the faults of a team's routes."""
    harbor = platform.mesh.harbor
    for name, route in team.routes.items():
        place: Place = ("routes", name)
        if harbor is not None and route.host == harbor.host:
            # If two routes have the same host, either may win.
            yield (*place, "host"), f"'{route.host}' is Harbor's own (mesh.harbor.host)"
        if (route.kind or platform.mesh.route_kind) == "HTTPRoute":
            yield from _check_http_route(route, place)
        else:
            yield from _check_virtual_service(route, place)


def _check_virtual_service(route: Route, place: Place) -> Iterator[tuple[Place, str]]:
    """Check the order of the paths: a VirtualService uses the first matching prefix."""
    before: dict[str, int] = {}
    lengths: set[int] = set()  # a hostile file may have any number of paths
    for index, path in enumerate(route.paths):
        begins = [path.prefix[:length] for length in lengths if length <= len(path.prefix)]
        taken = [prefix for prefix in begins if prefix in before]
        if taken:
            earlier = min(taken, key=before.__getitem__)
            text = (
                f"'{path.prefix}' is never reached: '{earlier}' before it matches "
                "the same requests; move the longer prefix first"
            )
            yield (*place, "paths", index, "prefix"), text
        before.setdefault(path.prefix, index)
        lengths.add(len(path.prefix))


def _check_http_route(route: Route, place: Place) -> Iterator[tuple[Place, str]]:
    """Check the paths of an HTTPRoute, which uses the longest matching prefix in any order.

    `/api` and `/api/` are the same prefix.
    """
    if len(route.paths) > HTTP_ROUTE_RULES:
        text = (
            f"{len(route.paths)} paths; an HTTPRoute has up to {HTTP_ROUTE_RULES}. Move some below "
            "a common prefix, or to a route with another host, or use kind: VirtualService"
        )
        yield (*place, "paths"), text
    seen: dict[str, RoutePath] = {}
    for index, path in enumerate(route.paths):
        here: Place = (*place, "paths", index, "prefix")
        fault = _path_fault(path.prefix)
        if fault:
            yield here, f"'{path.prefix}' {fault}"
        other = seen.setdefault(path.prefix.rstrip("/"), path)
        if (other.service, other.port) != (path.service, path.port):
            text = (
                f"'{path.prefix}' is never reached: '{other.prefix}' before it matches "
                "the same requests; remove one of them"
            )
            yield here, text


def _path_fault(prefix: str) -> str | None:
    """Return the fault of a path that the CEL rules of the Gateway API's schema would refuse."""
    if len(prefix) > HTTP_ROUTE_PATH:
        return f"has {len(prefix)} characters; a path of an HTTPRoute has up to {HTTP_ROUTE_PATH}"
    found = [part for part in FORBIDDEN if part in prefix]
    found += [end for end in FORBIDDEN_ENDS if prefix.endswith(end)]
    if found:
        return f"contains '{found[0]}', which is not allowed in a path of an HTTPRoute"
    if not CHARACTERS.fullmatch(prefix):
        return (
            "contains a character that is not allowed in a path of an HTTPRoute; percent-encode "
            "it, such as %20 for a blank"
        )
    return None


def check_unreachable(platform: Platform, team: Team) -> Iterator[tuple[Place, str]]:
    """Return the prefixes of VirtualServices that match no request."""
    for name, route in team.routes.items():
        for index, path in enumerate(route.paths):
            is_http_route = (route.kind or platform.mesh.route_kind) == "HTTPRoute"
            if not is_http_route and (found := re.search(r"[?#\s]|[^\x21-\x7e]", path.prefix)):
                text = (
                    f"'{path.prefix}' matches no request: a path never contains {found[0]!r}; "
                    "percent-encode it, or remove it"
                )
                yield ("routes", name, "paths", index, "prefix"), text


def check_gateways(platform: Platform) -> Iterator[tuple[Place, str]]:
    """Return the faults of the platform's Gateways and of Harbor's host."""
    harbor = platform.mesh.harbor
    if harbor and harbor.host.startswith("*"):
        yield ("mesh", "harbor", "host"), f"'{harbor.host}' must be one host name"
    for name, gateway in platform.mesh.gateways.items():
        if gateway.api == "gateway-api" and len(gateway.hosts) > GATEWAY_LISTENERS:
            text = (
                f"{len(gateway.hosts)} hosts; a Gateway of the Gateway API has up to "
                f"{GATEWAY_LISTENERS}. Use a wildcard, or a further Gateway"
            )
            yield ("mesh", "gateways", name, "hosts"), text
        for index, host in enumerate(gateway.hosts):
            if host in gateway.hosts[:index]:
                yield ("mesh", "gateways", name, "hosts", index), f"'{host}' is given twice"
