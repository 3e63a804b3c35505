"""The resources that teams claim, and the precedence between claims for one resource.

A name that the policy grants to a team, in full, belongs to this team. Otherwise naming conventions
decide most conflicts. A namespace, project or group that the platform's pattern gives to a team
belongs to it, and a Secret belongs to the team that owns its namespace. All other conflicting claims
are contested: Tenantry changes nothing for either team until the live systems show the owner.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from tenantry.declared.faults import Place
from tenantry.declared.name_rules import names_of
from tenantry.declared.policy_source import NAME
from tenantry.declared.team import Team

Refused = tuple[str, Place]
"""A team's name, and a field of that team that the policy does not allow."""

Granted = tuple[str, str]
"""A limit of the policy, and a name that a grant lists there for a team."""

NAMESPACE, CLIENT = "the namespace", "the OIDC client"
LIMITS = {
    NAMESPACE: "namespaces",
    "the project": "projects",
    "the group": "groups",
    CLIENT: "clients",
}
"""The kinds of claims for the names of a team's objects, with the limit that grants such a name."""

LOGIN_HOST = "the host that logins return to"
"""The kind of a dispute over a host that one team routes and another team's logins redirect to. The
dispute's name is `host/team`, with the team of the logins."""

REFUSED_RANK = -1
"""The rank of a claim that the policy does not allow. Any other claim takes precedence."""
_EXPLICIT, _BY_PATTERN, _UNIQUE, _GRANTED = range(4)
"""Ranks of a claim for a name of a team's object. By the platform's pattern, two teams can have the
same name for a further namespace or a client, but not for the others."""


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
    convention: str = ""
    """The name by the platform's pattern, for a name of one of the team's objects."""


class Conflict(NamedTuple):
    """A claim that another team makes as well."""

    claim: Claim
    text: str
    """The message for the user."""
    decided: bool
    """Whether a grant or a naming convention gives the resource to another team."""


def no_grants(team: Team) -> Collection[Granted]:
    """Return no grants, for teams that are not checked against a policy."""
    return ()


def conflicts(
    teams: Sequence[Team],
    refused: Collection[Refused] = (),
    granted: Callable[[Team], Collection[Granted]] = no_grants,
) -> Iterator[Conflict]:
    """Return the conflicting claims of these teams.

    Args:
        teams: the teams.
        refused: the fields that the policy does not allow.
        granted: returns the names that the policy grants to a team.
    """
    claimed: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    others: list[Claim] = []
    for team in teams:
        own = granted(team)
        for claim in claims_of(team):
            if claim.kind in LIMITS:
                ranked = claim._replace(rank=_rank_of_name(claim, own))
                claimed[claim.kind, claim.name].append(_lowered(ranked, refused))
            else:
                others.append(claim)
    namespaces = {
        name: _Namespace.of(found) for (kind, name), found in claimed.items() if kind == NAMESPACE
    }
    for claim in others:
        ranked = claim._replace(rank=_rank(claim, namespaces))
        claimed[claim.kind, claim.name].append(_lowered(ranked, refused))
    for claims in claimed.values():
        if len({claim.team.name for claim in claims}) > 1:
            yield from compare(claims)


def _lowered(claim: Claim, refused: Collection[Refused]) -> Claim:
    """Return a claim, with the lowest rank if the policy does not allow it."""
    is_lower = is_refused(claim.team, claim.place, refused)
    return claim._replace(rank=REFUSED_RANK) if is_lower else claim


class _Namespace(NamedTuple):
    """The teams that claim a namespace."""

    owners: frozenset[str]
    """The teams with the highest rank."""
    refused: frozenset[str]
    """The teams whose claim the policy does not allow."""

    @classmethod
    def of(cls, claims: Sequence[Claim]) -> "_Namespace":
        """Return the teams of all claims for one namespace."""
        refused = frozenset(claim.team.name for claim in claims if claim.rank == REFUSED_RANK)
        highest = max(claim.rank for claim in claims)
        owners = frozenset(claim.team.name for claim in claims if claim.rank == highest)
        return cls(owners - refused, refused)


def is_refused(team: Team, place: Place, refused: Collection[Refused]) -> bool:
    """Return whether the policy refuses a claim's field, or the team's name."""
    return (team.name, place) in refused or (team.name, NAME) in refused


def compare(claims: Sequence[Claim]) -> Iterator[Conflict]:
    """Return the losing claims for one resource: all but the owner's, or all if contested."""
    highest = max(claim.rank for claim in claims)
    first = sorted((claim for claim in claims if claim.rank == highest), key=_name)
    rivals: dict[str, Claim] = {claim.team.name: claim for claim in reversed(first)}
    leading = list(rivals)[::-1][:2]
    through_sinks = {claim.team.name for claim in first if "sinks" in claim.place}
    for claim in claims:
        rival = next((name for name in leading if name != claim.team.name), None)
        if rival is None:
            continue
        of_rivals = len(through_sinks) - (claim.team.name in through_sinks)
        if claim.kind == "the Secret" and not of_rivals and "sinks" not in claim.place:
            continue  # it follows from the conflict over the namespace, which is reported
        text = f"{claim.kind} '{claim.name}' is also declared by team '{rival}'"
        yield Conflict(claim, text, decided=claim.rank < highest)


def _name(claim: Claim) -> str:
    return claim.team.name


def claims_of(team: Team) -> Iterator[Claim]:
    """Return the claims of a team."""
    for named in names_of(team):
        yield Claim(team, named.kind, named.name, named.place, convention=named.convention)
    secrets = team.names.secrets
    for name in team.oidc_clients:
        secret = f"{team.home_namespace}/{team.client_secret_name(name)}"
        yield Claim(team, "the Secret", secret, ("oidc_clients", name))
    for purpose, robot in team.active_robots.items():
        for namespace in team.namespaces if robot.attach else [team.home_namespace]:
            secret = f"{namespace}/{team.secret_name(purpose)}"
            place: Place = ("names", "secrets") if purpose in secrets else ("robots",)
            yield Claim(team, "the Secret", secret, (*place, purpose))
        for index, sink in enumerate(team.sinks(purpose)):
            place = ("robots", purpose, "sinks", index)
            yield Claim(team, "the Secret", f"{sink.namespace}/{sink.name}", place)
        for index, name in enumerate(team.replaced_robots(purpose)):
            yield Claim(team, "the robot", name, ("robots", purpose, "replaces", index))
    for name, route in team.routes.items():
        yield Claim(team, "the host", route.host, ("routes", name, "host"))


def is_by_convention(claim: Claim) -> bool:
    """Return whether the platform's pattern gives a name to the team that claims it.

    A further namespace or a client of one team can have the same name as another team's.
    """
    is_further = claim.kind == NAMESPACE and "further_namespaces" in claim.place
    return claim.kind in LIMITS and claim.kind != CLIENT and not is_further and _follows(claim)


def _follows(claim: Claim) -> bool:
    return claim.name == claim.convention


def _rank_of_name(claim: Claim, granted: Collection[Granted]) -> int:
    """Return the precedence of a claim for a name of a team's object."""
    if not _follows(claim):
        return _GRANTED if (LIMITS[claim.kind], claim.name) in granted else _EXPLICIT
    return _UNIQUE if is_by_convention(claim) else _BY_PATTERN


def _rank(claim: Claim, namespaces: Mapping[str, _Namespace]) -> int:
    """Return the precedence of another claim."""
    team = claim.team
    match claim.kind:
        case "the Secret":
            namespace = namespaces.get(claim.name.partition("/")[0])
            if namespace and team.name in namespace.refused and "sinks" not in claim.place:
                return REFUSED_RANK
            return int(namespace is not None and team.name in namespace.owners)
        case "the robot":  # the longest matching name wins: `team-shop-web` over `team-shop`
            named = re.search(rf"(?<![a-z0-9]){re.escape(team.project)}(?![a-z0-9])", claim.name)
            return len(team.project) if named else 0
    return 0
