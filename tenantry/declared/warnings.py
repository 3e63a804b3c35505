"""Values that were accepted so far without harm, and that a later release will refuse.

A warning stops nothing: `tenantry validate` shows it, and so does the log of each flow.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from tenantry.declared import labels
from tenantry.declared.faults import Place
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.declared.types import is_whole, storage_bytes

Warning = tuple[Place, str]


def check_team(team: Team) -> Iterator[Warning]:
    """Return the warnings of a team, its defaults filled in."""
    yield from _doubled(("members",), team.members or (), lower=True)
    for name, client in team.oidc_clients.items():
        place = ("oidc_clients", name)
        yield from _doubled((*place, "redirect_uris"), client.redirect_uris)
        yield from _doubled((*place, "post_logout_redirect_uris"), client.post_logout_redirect_uris)
        yield from _doubled((*place, "web_origins"), client.web_origins)
    quota = team.harbor.storage_quota
    if quota is not None and not is_whole(quota):
        yield (
            ("harbor", "storage_quota"),
            (
                f"'{quota}' is not a whole number of bytes; Harbor gets {storage_bytes(quota)}. Write "
                "a whole number of bytes, or a smaller unit"
            ),
        )
    yield from labels.check_unused(team)


def check_platform(platform: Platform) -> Iterator[Warning]:
    """Return the warnings of the platform."""
    registry = platform.harbor.registry
    if registry and (registry.endswith("/") or "://" in registry):
        yield (
            ("harbor", "registry"),
            f"'{registry}' has more than a host and a port; write it without scheme and '/'",
        )


def _doubled(place: Place, values: Sequence[str], *, lower: bool = False) -> Iterator[Warning]:
    """Return the values that are there twice; the systems keep one of them."""
    seen = Counter[str]()
    for index, value in enumerate(values):
        key = value.lower() if lower else value
        seen[key] += 1
        if seen[key] > 1:
            why = " (Keycloak keeps user names in lower case)" if lower else ""
            yield (*place, index), f"'{value}' is there twice{why}; remove one of them"
