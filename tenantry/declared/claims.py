"""The resources that teams claim, and the precedence between claims for one resource.

Naming conventions decide most conflicts. A namespace or group `team-<name>` belongs to team
`<name>`, and a Secret belongs to the team that owns its namespace. All other conflicting claims are
contested: Tenantry changes nothing for either team until the live systems show the owner.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tenantry.declared.faults import Place
from tenantry.declared.policy_source import NAME
from tenantry.declared.team import Team

Refused = tuple[str, Place]
"""A team's name, and a field of that team that the policy does not allow."""

LOGIN_HOST = "the host that logins return to"
"""The kind of a dispute over a host that one team routes and another team's logins redirect to. The
dispute's name is `host/team`, with the team of the logins."""

REFUSED_RANK = -1
"""The rank of a claim that the policy does not allow. Any other claim takes precedence."""


class Claim(NamedTuple):
    """One resource that one team claims for itself."""

    team: Team
    kind: str
    """The kind of the claimed resource, as in messages: `the host`."""
    name: str
    place: Place
    """The field that makes the claim."""
    rank: int = 0
    """The precedence by the naming conventions. The claim with the highest rank wins."""


class Conflict(NamedTuple):
    """A claim that another team makes as well."""

    claim: Claim
    text: str
    """The message for the user."""
    decided: bool
    """Whether a naming convention gives the resource to another team."""


def conflicts(teams: Sequence[Team], refused: Collection[Refused] = ()) -> Iterator[Conflict]:
    """Return the conflicting claims of these teams.

    Args:
        teams: the teams.
        refused: the fields that the policy does not allow.
    """
    owners = _namespace_owners([team for team in teams if (team.name, NAME) not in refused])
    claimed: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for team in teams:
        for claim in claims_of(team):
            rank = _rank(claim, owners)
            if is_refused(team, claim.place, refused):
                rank = REFUSED_RANK
            ranked = claim._replace(rank=rank)
            claimed[claim.kind, claim.name].append(ranked)
    for claims in claimed.values():
        if len({claim.team.name for claim in claims}) > 1:
            yield from compare(claims)


def is_refused(team: Team, place: Place, refused: Collection[Refused]) -> bool:
    """Return whether the policy refuses a claim's field, or the team's name."""
    return (team.name, place) in refused or (team.name, NAME) in refused


def compare(claims: Sequence[Claim]) -> Iterator[Conflict]:
    """Return the losing claims for one resource: all but the owner's, or all if contested."""
    highest = max(claim.rank for claim in claims)
    first = [claim for claim in claims if claim.rank == highest]
    for claim in claims:
        rivals = sorted((o for o in first if o.team.name != claim.team.name), key=_name)
        if rivals and not _is_the_namespaces(claim, rivals):
            text = f"{claim.kind} '{claim.name}' is also declared by team '{rivals[0].team.name}'"
            yield Conflict(claim, text, decided=claim.rank < highest)


def _name(claim: Claim) -> str:
    return claim.team.name


def _is_the_namespaces(claim: Claim, rivals: Sequence[Claim]) -> bool:
    """Return whether a conflict over a Secret follows from one over its namespace.

    The conflict over the namespace is reported on its own.
    """
    sinks = ["sinks" in each.place for each in (claim, *rivals)]
    return claim.kind == "the Secret" and not any(sinks)


def claims_of(team: Team) -> Iterator[Claim]:
    """Return the claims of a team."""
    for namespace in team.namespaces:
        key = team.namespace_key(namespace)
        place: Place = ("name",) if key is None else ("further_namespaces", key)
        yield Claim(team, "the namespace", namespace, place)
    yield Claim(team, "the group", team.oidc_group, ("group",) if team.group else ("name",))
    for name in team.oidc_clients:
        yield Claim(team, "the OIDC client", team.client_id(name), ("oidc_clients", name))
    for name in team.oidc_clients:
        secret = f"{team.home_namespace}/{team.client_secret_name(name)}"
        yield Claim(team, "the Secret", secret, ("oidc_clients", name))
    for purpose, robot in team.active_robots.items():
        for namespace in team.namespaces if robot.attach else [team.home_namespace]:
            place = ("robots", purpose)
            secret = f"{namespace}/{team.secret_name(purpose)}"
            yield Claim(team, "the Secret", secret, place)
        for index, sink in enumerate(team.sinks(purpose)):
            place = ("robots", purpose, "sinks", index)
            yield Claim(team, "the Secret", f"{sink.namespace}/{sink.name}", place)
        for index, name in enumerate(team.replaced_robots(purpose)):
            yield Claim(team, "the robot", name, ("robots", purpose, "replaces", index))
    for name, route in team.routes.items():
        yield Claim(team, "the host", route.host, ("routes", name, "host"))


def _namespace_owners(teams: Sequence[Team]) -> dict[str, set[str]]:
    """Return the owners by namespace: the team that it is named after, or all claimants."""
    owners: dict[str, set[str]] = defaultdict(set)
    for team in teams:
        for namespace in team.namespaces:
            owners[namespace].add(team.name)
    return owners | {team.home_namespace: {team.name} for team in teams}


def _rank(claim: Claim, owners: dict[str, set[str]]) -> int:
    team = claim.team
    match claim.kind:
        case "the namespace":
            return int(claim.name == team.home_namespace)
        case "the group":
            return int(claim.name == team.conventional_group)
        case "the Secret":
            namespace = claim.name.partition("/")[0]
            return int(team.name in owners.get(namespace, ()))
        case "the robot":  # the longest matching name wins: `team-shop-web` over `team-shop`
            named = re.search(rf"(?<![a-z0-9]){re.escape(team.project)}(?![a-z0-9])", claim.name)
            return len(team.project) if named else 0
    return 0
