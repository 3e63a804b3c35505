"""The rules of the policy about hosts of routes, and about redirect targets of logins."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from tenantry.declared.faults import Place
from tenantry.declared.platform import Platform
from tenantry.declared.policy import Limits
from tenantry.declared.policy_names import (
    LOOPBACK,
    fold,
    for_team,
    host_matches,
    matches,
    parse_address,
)
from tenantry.declared.policy_rules import Breach, Case
from tenantry.declared.policy_source import EvaluatedTeam
from tenantry.declared.team import Team


class Reserved(NamedTuple):
    """The hosts that no team may use."""

    hosts: frozenset[str]
    """The hosts of Harbor and of identity providers."""
    patterns: Sequence[str]
    """The patterns in `policy.reserved_hosts`."""
    wildcards: frozenset[str]
    """The wildcard hosts of the platform's Gateways."""


def hosts_of(platform: Platform) -> Iterator[str]:
    """Return the hosts of Harbor and of identity providers that the platform declares."""
    if platform.mesh.harbor:
        yield platform.mesh.harbor.host
    if platform.harbor.registry:
        registry = platform.harbor.registry
        yield from _host(registry if "://" in registry else f"https://{registry}")
    for provider in platform.keycloak.external_providers.values():
        if provider.connection:
            yield from _host(provider.connection.issuer)
    tokens = platform.mesh.harbor.portal_tokens if platform.mesh.harbor else None
    for issuer in tokens.other_issuers if tokens else ():
        yield from _host(issuer)


def _host(address: str) -> Iterator[str]:
    try:
        name = urlsplit(address).hostname
    except ValueError:
        return
    if name:
        yield fold(name)


class Use(NamedTuple):
    """A host that a team uses."""

    place: Place
    host: str
    value: str
    """The route's host, or the whole address."""
    limit: str
    """The limit that can allow the value: `further_hosts` or `addresses`."""


def uses(team: Team, base: Team) -> Iterator[Use]:
    """Return the hosts in a team's own fields, except of addresses that cannot be parsed."""
    for name, route in team.routes.items():
        given = base.routes.get(name)
        if given is None or given.host != route.host:
            yield Use(("routes", name, "host"), route.host, route.host, "further_hosts")
    for place, address in _addresses(team, base):
        host = parse_address(address).host
        if host is not None:
            yield Use(place, host, address, "addresses")


def _addresses(team: Team, base: Team) -> Iterator[tuple[Place, str]]:
    for name, client in team.oidc_clients.items():
        given = base.oidc_clients.get(name)
        for field in ("redirect_uris", "post_logout_redirect_uris", "web_origins"):
            known = getattr(given, field) if given else ()
            for index, address in enumerate(getattr(client, field)):
                if address not in known:
                    yield ("oidc_clients", name, field, index), address


def check(case: Case, reserved: Reserved) -> Iterator[Breach]:
    """Return the hosts, addresses and Gateways of a team beyond its limits."""
    team, base, limits = case.team, case.base, case.limits
    if not (team.routes or team.oidc_clients):
        return
    for place, address in _addresses(team, base):
        fault = parse_address(address).fault
        if fault and address not in limits.addresses:
            yield Breach(place, f"'{address}' {fault}", {"addresses": [address]})
    patterns = None
    if limits.hosts is not None:
        patterns = [for_team(each, team.name) for each in limits.hosts]
    own = {*LOOPBACK, *(route.host for route in team.routes.values())}
    for use in uses(team, base):
        if use.value in getattr(limits, use.limit):
            continue
        text = _fault(use, reserved)
        is_own = use.limit == "addresses" and use.host in own
        if (
            not text
            and patterns is not None
            and not is_own
            and not any(host_matches(each, use.host) for each in patterns)
        ):
            text = f"'{use.host}' is not among the hosts that the policy allows"
        if text:
            yield Breach(use.place, text, {use.limit: [use.value]})
    yield from _check_gateways(case)


def _fault(use: Use, reserved: Reserved) -> str:
    """Return the reason why a team needs an exception to use a host; empty if it needs none."""
    host = use.host
    if host in reserved.wildcards:
        return f"'{host}' is a Gateway's wildcard, which covers the hosts of all teams"
    if host.startswith("*."):
        return f"'{host}' covers hosts of other teams"
    if host in reserved.hosts:
        return f"'{host}' is a host of Harbor or of an identity provider"
    if any(host_matches(each, host) for each in reserved.patterns):
        return f"'{host}' is reserved by policy.reserved_hosts"
    return ""


def _check_gateways(case: Case) -> Iterator[Breach]:
    for name, route in case.team.routes.items():
        given = case.base.routes.get(name)
        gateway = route.gateway
        if gateway is None or gateway == case.gateway or (given and given.gateway == gateway):
            continue
        own = gateway.partition("/")[0] in case.team.namespaces
        if not own and gateway not in case.limits.gateways:
            text = f"'{gateway}' is not the platform's Gateway, '{case.gateway}'"
            yield Breach(("routes", name, "gateway"), text, {"gateways": [gateway]})


# All teams together


class Names:
    """The names of all teams, for lookups by prefix."""

    def __init__(self, names: Iterable[str]) -> None:
        self._sorted = sorted(set(names))

    def longer(self, name: str) -> Iterator[str]:
        """Return the names that begin with `name` and a dash."""
        begins = f"{name}-"
        for index in range(bisect_left(self._sorted, begins), len(self._sorted)):
            if not self._sorted[index].startswith(begins):
                return
            yield self._sorted[index]


class _Route(NamedTuple):
    """A route that the policy allows."""

    team: Team
    file: str | None
    place: Place


class Owners:
    """The hosts that teams have routes for.

    Attributes:
        routes: the routes by host, without those that the policy does not allow.
        wildcards: the team of each granted wildcard.
        granted: the teams of each host that is granted in full.
    """

    def __init__(self, evaluated: Iterable[EvaluatedTeam], limits: Mapping[int, Limits]) -> None:
        self.routes: dict[str, list[_Route]] = {}
        self.wildcards: dict[str, str] = {}
        self.granted: dict[str, set[str]] = {}
        for each in evaluated:
            team, file = each.team, each.file
            further = limits[id(team)].further_hosts
            for name, route in team.routes.items():
                place: Place = ("routes", name, "host")
                if each.refuses(place):
                    continue
                self.routes.setdefault(route.host, []).append(_Route(team, file, place))
                if route.host in further:
                    self.granted.setdefault(route.host, set()).add(team.name)
                    if route.host.startswith("*."):
                        self.wildcards[route.host] = team.name

    def fault(self, use: Use, team: Team) -> str:
        """Return the message if a host belongs to another team by a grant, else an empty text."""
        for wildcard in _wildcards_over(use.host) if self.wildcards else ():
            owner = self.wildcards.get(wildcard, team.name)
            if owner != team.name:
                return f"'{use.host}' belongs to team '{owner}', which has '{wildcard}'"
        granted = self.granted.get(use.host, {team.name})
        if team.name not in granted:
            return f"'{use.host}' belongs to team '{min(granted)}' by the policy"
        return ""

    def disputed(
        self, evaluated: EvaluatedTeam, base: Team, limits: Limits
    ) -> Iterator[tuple[str, Use]]:
        """Return the redirect hosts of a team's logins for which other teams have routes."""
        team = evaluated.team
        seen: set[str] = set()
        for use in uses(team, base):
            if use.limit != "addresses" or use.host in seen or use.host in LOOPBACK:
                continue
            if evaluated.refuses(use.place):
                continue
            routes = self.routes.get(use.host, ())
            own = any(route.team.name == team.name for route in routes)
            if (
                routes
                and not own
                and use.host not in self.granted
                and use.value not in limits.addresses
            ):
                seen.add(use.host)
                yield use.host, use


def check_among(
    team: Team, base: Team, limits: Limits, owners: Owners, names: Names
) -> Iterator[Breach]:
    """Return a team's hosts and robots that belong to another team by a grant or a pattern.

    Args:
        team: the team with all defaults.
        base: the platform's values for the team.
        limits: the team's limits.
        owners: the hosts that teams have routes for.
        names: the names of all teams.
    """
    for use in uses(team, base):
        if use.value not in getattr(limits, use.limit) and (text := owners.fault(use, team)):
            yield Breach(use.place, text, {use.limit: [use.value]})
    for purpose, robot in team.active_robots.items():
        given = base.active_robots.get(purpose)
        for index, raw in enumerate(robot.replaces):
            if given is None or raw not in given.replaces:
                name = raw.replace("{team}", team.name)
                if text := _owned_by_longer(name, team, limits, names):
                    place: Place = ("robots", purpose, "replaces", index)
                    yield Breach(place, text, {"replaces": [name]})


def _wildcards_over(host: str) -> Iterator[str]:
    parts = host.removeprefix("*.").split(".")
    first = 0 if host.startswith("*.") else 1
    for index in range(first, len(parts)):
        yield "*." + ".".join(parts[index:])


def _owned_by_longer(name: str, team: Team, limits: Limits, names: Names) -> str:
    """Return the message for a robot that a pattern gives to a team with a longer name.

    `otomi-team-{team}-*` for team `shop` also matches a robot of team `shop-web`.
    """
    if name in limits.replaces:
        return ""
    patterns = [each for each in limits.replaces if "{team}" in each]
    others = [
        other
        for other in names.longer(team.name)
        if any(matches(for_team(each, other), name) for each in patterns)
    ]
    return f"'{name}' is a robot of team '{others[0]}' by policy.limits.replaces" if others else ""
