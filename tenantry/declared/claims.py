"""What teams claim, and which of two claims for one thing takes precedence.

A convention decides where one can: `team-<name>`, as a namespace and as a group, belongs to team
`<name>`, and a Secret belongs to the team whose namespace it is in. Where none can, the claims are
contested: nothing is done for either team until the systems show the owner.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tenantry.declared.faults import Place
from tenantry.declared.policy_source import NAME
from tenantry.declared.team import Team

Refused = tuple[str, Place]
"""A team's name, and a field of it that the policy does not allow."""

LOGIN_HOST = "the host that logins return to"
"""What is disputed where one team has a route for a host that another team's logins return to. Its
name is `host/team`, with the team of the logins."""

REFUSED_RANK = -1
"""The rank of a claim that the policy does not allow: any other takes precedence."""


class Claim(NamedTuple):
    """One thing that one team claims for itself."""

    team: Team
    kind: str
    """Its kind, as in messages: `the host`."""
    name: str
    place: Place
    """Where the team claims it."""
    rank: int = 0
    """The claim of the highest rank takes precedence; the convention sets the rank."""


class Conflict(NamedTuple):
    """A claim that another team makes too."""

    claim: Claim
    text: str
    """The fault, as a user reads it."""
    decided: bool
    """Whether a convention gives the thing to another team."""


def conflicts(teams: Sequence[Team], refused: Collection[Refused] = ()) -> Iterator[Conflict]:
    """Return the claims of these teams that conflict.

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
    """Return whether a claim does not count: the policy refuses the field, or the team's name."""
    return (team.name, place) in refused or (team.name, NAME) in refused


def compare(claims: Sequence[Claim]) -> Iterator[Conflict]:
    """Return which of several teams' claims for one thing are faulty: all but one's, or all."""
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
    """Whether a conflict over a Secret is one over its namespace, which has its own fault."""
    sinks = ["sinks" in each.place for each in (claim, *rivals)]
    return claim.kind == "the Secret" and not any(sinks)


def claims_of(team: Team) -> Iterator[Claim]:
    """Return all that a team claims for itself."""
    for namespace in team.namespaces:
        key = namespace.removeprefix(f"{team.slug}-")
        first = namespace == team.slug
        place: Place = ("name",) if first else ("further_namespaces", key)
        yield Claim(team, "the namespace", namespace, place)
    yield Claim(team, "the group", team.oidc_group, ("group",) if team.group else ("name",))
    for name in team.oidc_clients:
        yield Claim(team, "the OIDC client", f"{team.slug}-{name}", ("oidc_clients", name))
    for name in team.oidc_clients:
        yield Claim(team, "the Secret", f"{team.slug}/oidc-{name}", ("oidc_clients", name))
    for purpose, robot in team.active_robots.items():
        for namespace in team.namespaces if robot.attach else [team.slug]:
            place = ("robots", purpose)
            yield Claim(team, "the Secret", f"{namespace}/harbor-{purpose}", place)
        for index, sink in enumerate(team.sinks(purpose)):
            place = ("robots", purpose, "sinks", index)
            yield Claim(team, "the Secret", f"{sink.namespace}/{sink.name}", place)
        for index, name in enumerate(team.replaced_robots(purpose)):
            yield Claim(team, "the robot", name, ("robots", purpose, "replaces", index))
    for name, route in team.routes.items():
        yield Claim(team, "the host", route.host, ("routes", name, "host"))


def _namespace_owners(teams: Sequence[Team]) -> dict[str, set[str]]:
    """By namespace: the team whose first namespace it is, else all teams that claim it."""
    owners: dict[str, set[str]] = defaultdict(set)
    for team in teams:
        for namespace in team.namespaces:
            owners[namespace].add(team.name)
    return owners | {team.slug: {team.name} for team in teams}


def _rank(claim: Claim, owners: dict[str, set[str]]) -> int:
    team = claim.team
    match claim.kind:
        case "the namespace" | "the group":
            return int(claim.name == team.slug)
        case "the Secret":
            namespace = claim.name.partition("/")[0]
            return int(team.name in owners.get(namespace, ()))
        case "the robot":  # the longest name that is in it: `team-shop-web`, and not `team-shop`
            named = re.search(rf"(?<![a-z0-9]){re.escape(team.slug)}(?![a-z0-9])", claim.name)
            return len(team.slug) if named else 0
    return 0
