"""Warnings about values that are still accepted, and that a later release will reject.

Warnings do not fail a run. `tenantry validate` and the log of each flow show them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from tenantry.declared import labels, mesh_rules, network_policies
from tenantry.declared.faults import Place
from tenantry.declared.harbor_values import CHARTS
from tenantry.declared.keycloak_values import has_blank
from tenantry.declared.namespace import Namespace
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.declared.types import is_whole, storage_bytes

Warning = tuple[Place, str]


def check_team(team: Team) -> Iterator[Warning]:
    """Return the warnings of a team with all defaults."""
    yield from _doubled(("members",), team.members or (), lower=True)
    for name, client in team.oidc_clients.items():
        place = ("oidc_clients", name)
        yield from _doubled((*place, "redirect_uris"), client.redirect_uris)
        yield from _doubled((*place, "post_logout_redirect_uris"), client.post_logout_redirect_uris)
        yield from _doubled((*place, "web_origins"), client.web_origins)
        for index, origin in enumerate(client.web_origins):
            if has_blank(origin):
                text = f"'{origin}' contains a blank or a control character; remove it"
                yield (*place, "web_origins", index), text
    quota = team.harbor.storage_quota
    if quota is not None and not is_whole(quota):
        yield (
            ("harbor", "storage_quota"),
            (
                f"'{quota}' is not a whole number of bytes; Tenantry sets {storage_bytes(quota)}. "
                "Write a whole number of bytes, or use a smaller unit"
            ),
        )
    yield from labels.check_unused(team)
    yield from _check_policies(team)
    for purpose, robot in team.active_robots.items():
        for index, access in enumerate(robot.access):
            if access.partition(":")[0] in CHARTS:
                text = (
                    f"'{access}' is refused by Harbor 2.8 and later, which has no charts; remove it"
                )
                yield ("robots", purpose, "access", index), text


def check_routes(platform: Platform, team: Team) -> Iterator[Warning]:
    """Return the warnings of a team's routes."""
    yield from mesh_rules.check_unreachable(platform, team)


def _check_policies(team: Team) -> Iterator[Warning]:
    first: set[Warning] = set()
    found: dict[Place, Namespace] = {("namespace",): team.namespace}
    found |= {("further_namespaces", key): each for key, each in team.further_namespaces.items()}
    for place, namespace in found.items():
        for name, spec in namespace.network.policies.items():
            for where, text in network_policies.check_unclear(spec):
                warning = ("network", "policies", name, *where), text
                if warning not in first:  # further namespaces inherit values from the first one
                    first.add(warning)
                    yield (*place, *warning[0]), text


def check_platform(platform: Platform) -> Iterator[Warning]:
    """Return the warnings of the platform."""
    registry = platform.harbor.registry
    if registry and (registry.endswith("/") or "://" in registry):
        yield (
            ("harbor", "registry"),
            f"'{registry}' is more than a host and a port; remove the scheme and the '/'",
        )


def _doubled(place: Place, values: Sequence[str], *, lower: bool = False) -> Iterator[Warning]:
    """Return the values that are given twice; the systems keep one of them."""
    seen = Counter[str]()
    for index, value in enumerate(values):
        key = value.lower() if lower else value
        seen[key] += 1
        if seen[key] > 1:
            why = " (Keycloak converts user names to lower case)" if lower else ""
            yield (*place, index), f"'{value}' is given twice{why}; remove one of them"
