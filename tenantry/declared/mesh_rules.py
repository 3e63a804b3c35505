"""Rules of routes and gateways, for each kind as it decides which path goes where."""

import re
from collections.abc import Iterator

from tenantry.declared.faults import Place
from tenantry.declared.platform import Platform
from tenantry.declared.team import Route, RoutePath, Team

HTTP_ROUTE_RULES = 16
"""Rules that an HTTPRoute may have, by its published schema (Gateway API 1.7)."""
HTTP_ROUTE_PATH = 1024
"""Characters that a path in an HTTPRoute may have, by the same."""
GATEWAY_LISTENERS = 64
"""Listeners that a Gateway of the Gateway API may have, by the same."""

CHARACTERS = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
FORBIDDEN = ("//", "/./", "/../", "%2f", "%2F")
FORBIDDEN_ENDS = ("/.", "/..")


def check_routes(platform: Platform, team: Team) -> Iterator[tuple[Place, str]]:
    """Return what is wrong with a team's routes."""
    harbor = platform.mesh.harbor
    for name, route in team.routes.items():
        place: Place = ("routes", name)
        if harbor is not None and route.host == harbor.host:
            # Of two routes for one host, either may win.
            yield (*place, "host"), f"'{route.host}' is Harbor's own (mesh.harbor.host)"
        if (route.kind or platform.mesh.route_kind) == "HTTPRoute":
            yield from _check_http_route(route, place)
        else:
            yield from _check_virtual_service(route, place)


def _check_virtual_service(route: Route, place: Place) -> Iterator[tuple[Place, str]]:
    """Check the order: the first prefix that the path begins with wins, letter by letter."""
    before: dict[str, int] = {}
    lengths: set[int] = set()  # a hostile file may have any number of paths
    for index, path in enumerate(route.paths):
        begins = [path.prefix[:length] for length in lengths if length <= len(path.prefix)]
        taken = [prefix for prefix in begins if prefix in before]
        if taken:
            earlier = min(taken, key=before.__getitem__)
            text = (
                f"'{path.prefix}' is never reached: '{earlier}' before it matches "
                "the same requests; put the longer prefix first"
            )
            yield (*place, "paths", index, "prefix"), text
        before.setdefault(path.prefix, index)
        lengths.add(len(path.prefix))


def _check_http_route(route: Route, place: Place) -> Iterator[tuple[Place, str]]:
    """Check the paths: the longest prefix wins in any order; `/api` and `/api/` are the same."""
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
    """Return what the Gateway API's schema refuses in a path, which it says in CEL."""
    if len(prefix) > HTTP_ROUTE_PATH:
        return f"has {len(prefix)} characters; a path of an HTTPRoute has up to {HTTP_ROUTE_PATH}"
    found = [part for part in FORBIDDEN if part in prefix]
    found += [end for end in FORBIDDEN_ENDS if prefix.endswith(end)]
    if found:
        return f"contains '{found[0]}', which a path of an HTTPRoute must not"
    if not CHARACTERS.fullmatch(prefix):
        return (
            "has a character that a path of an HTTPRoute must not have; write it "
            "percent-encoded, such as %20 for a blank"
        )
    return None


def check_unreachable(platform: Platform, team: Team) -> Iterator[tuple[Place, str]]:
    """Return the prefixes of VirtualServices that no request's path begins with."""
    for name, route in team.routes.items():
        for index, path in enumerate(route.paths):
            is_http_route = (route.kind or platform.mesh.route_kind) == "HTTPRoute"
            if not is_http_route and (found := re.search(r"[?#\s]|[^\x21-\x7e]", path.prefix)):
                text = (
                    f"'{path.prefix}' matches no request: a path has no {found[0]!r} in it; write it "
                    "percent-encoded, or remove it"
                )
                yield ("routes", name, "paths", index, "prefix"), text


def check_gateways(platform: Platform) -> Iterator[tuple[Place, str]]:
    """Return what is wrong with the mesh's part of the platform."""
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
                yield ("mesh", "gateways", name, "hosts", index), f"'{host}' is there twice"
