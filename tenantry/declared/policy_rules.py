"""The rules of the policy. Each compares a completed team with the values that the platform gives."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tenantry.declared import labels, policy_network
from tenantry.declared.faults import Place
from tenantry.declared.harbor_project import Robot
from tenantry.declared.name_rules import names_of
from tenantry.declared.namespace import Namespace
from tenantry.declared.policy import Limits, allows_more
from tenantry.declared.policy_names import (
    fold,
    for_team,
    is_reserved_key,
    matches,
    shortest_interval,
)
from tenantry.declared.team import Team
from tenantry.wording import count

PROJECT_ADMIN = "projectAdmin"
_FAR_REACHING = frozenset(
    (
        *("robot:create", "robot:delete", "member:create", "member:update", "member:delete"),
        *("project:update", "project:delete"),
    )
)
"""Permissions that let a robot administer its project, or its own credential."""
_PUBLISHING = frozenset(("metadata:create", "metadata:update", "metadata:delete"))
"""Permissions that let a robot make its project public."""


class Breach(NamedTuple):
    """A value that the policy does not allow."""

    place: Place
    text: str
    """The reason."""
    allows: Mapping[str, Any]
    """The limits that would allow the value."""


class Case(NamedTuple):
    """The input of the rules: a team, its limits, and the platform's values."""

    given: Team
    """The team with only its own fields."""
    team: Team
    """The same team with all defaults."""
    base: Team
    """A team without own fields: the platform's values."""
    limits: Limits
    reserved_groups: frozenset[str]
    """The folded names of reserved groups."""
    reserved_names: Mapping[str, Sequence[str]]
    """Patterns of reserved names, by the limit that allows such a name."""
    group_prefix: str
    gateway: str
    """The platform's Gateway."""


def check(case: Case) -> Iterator[Breach]:
    """Return a team's values beyond its limits, except hosts and addresses."""
    yield from _check_group(case)
    yield from _check_names(case)
    yield from _check_external_groups(case)
    given = case.given.model_fields_set
    if "harbor" in given:
        yield from _check_project(case)
    if "robots" in given:
        for purpose, robot in case.team.active_robots.items():
            yield from _check_robot(case, purpose, robot)
    if "namespace" in given or "further_namespaces" in given:
        yield from _check_namespaces(case)
    yield from _check_counts(case)


def _check_group(case: Case) -> Iterator[Breach]:
    team, name = case.team, case.team.oidc_group
    if name in case.limits.groups:
        return
    place: Place = ("group",) if team.group is not None else ("name",)
    names = {fold(name), fold(case.group_prefix + name)}
    allows = {"groups": [name]}
    if any(each.startswith("system:") for each in names):
        text = f"'{name}' is reserved: Kubernetes grants rights to groups named 'system:'"
        yield Breach(place, text, allows)
    elif names & case.reserved_groups:
        yield Breach(place, f"'{name}' is reserved: platform.yaml uses this group", allows)
    elif team.group is not None and team.group != (own := team.by_convention.oidc_group):
        yield Breach(place, f"'{name}' is not the team's own group, '{own}'", allows)


def _check_names(case: Case) -> Iterator[Breach]:
    """Check the names of namespaces, of the project and of OIDC clients."""
    for named in names_of(case.team):
        allowed = getattr(case.limits, named.limit)
        if named.limit == "groups" or named.name in allowed:
            continue
        allows = {named.limit: [named.name]}
        patterns = case.reserved_names.get(named.limit, ())
        if any(matches(pattern, named.name) for pattern in patterns):
            yield Breach(named.place, f"{named.kind} '{named.name}' is reserved", allows)
        elif named.is_given and named.name != named.convention:
            text = f"{named.kind} '{named.name}' is not the team's own, '{named.convention}'"
            yield Breach(named.place, text, allows)


def _check_external_groups(case: Case) -> Iterator[Breach]:
    patterns = case.limits.external_groups
    if patterns is None or not case.team.external_groups:
        return
    patterns = [for_team(each, case.team.name) for each in patterns]
    for alias, names in case.team.external_groups.items():
        missing = [name for name in names if not any(matches(each, name) for each in patterns)]
        if missing:
            text = f"'{missing[0]}' is not among the names that the policy allows"
            yield Breach(("external_groups", alias), text, {"external_groups": missing})


def _check_project(case: Case) -> Iterator[Breach]:
    harbor, base, limits = case.team.harbor, case.base.harbor, case.limits
    admin = f"'{PROJECT_ADMIN}' may change the robots and members of the project"
    if harbor.role == PROJECT_ADMIN != base.role and not limits.project_admin:
        yield Breach(("harbor", "role"), admin, {"project_admin": True})
    for group, role in harbor.groups.items():
        if role == PROJECT_ADMIN != base.groups.get(group) and not limits.project_admin:
            yield Breach(("harbor", "groups", group), admin, {"project_admin": True})
    if harbor.public and not base.public and not limits.public_projects:
        text = "true allows pulls of the team's images without a login"
        yield Breach(("harbor", "public"), text, {"public_projects": True})
    quota = harbor.storage_quota
    if (
        quota is not None
        and quota != base.storage_quota
        and allows_more("max_storage", quota, limits.max_storage)
    ):
        text = f"'{quota}' is more than {limits.max_storage}"
        yield Breach(("harbor", "storage_quota"), text, {"max_storage": quota})
    schedule = harbor.retention.schedule if harbor.retention else None
    if schedule and (not base.retention or base.retention.schedule != schedule):
        minutes = shortest_interval(schedule)
        if minutes < limits.min_schedule_minutes:
            text = (
                f"'{schedule}' has runs only {count(minutes, 'minute')} apart; the policy allows one run per "
                f"{count(limits.min_schedule_minutes, 'minute')}"
            )
            allows = {"min_schedule_minutes": minutes}
            yield Breach(("harbor", "retention", "schedule"), text, allows)


def _check_robot(case: Case, purpose: str, robot: Robot) -> Iterator[Breach]:
    team, limits = case.team, case.limits
    base = case.base.active_robots.get(purpose)
    place: Place = ("robots", purpose)
    is_given = base is not None and robot.expiry_days == base.expiry_days
    if not is_given and allows_more("max_expiry_days", robot.expiry_days, limits.max_expiry_days):
        text = f"'{robot.expiry_days}' is longer than {limits.max_expiry_days} days"
        allows = {"max_expiry_days": robot.expiry_days}
        yield Breach((*place, "expiry_days"), text, allows)
    for index, access in enumerate(robot.access):
        if base is not None and access in base.access:
            continue
        if access in _FAR_REACHING and access not in limits.robot_access:
            text = f"'{access}' would let the robot change robots, members or the project"
            yield Breach((*place, "access", index), text, {"robot_access": [access]})
        elif (
            access in _PUBLISHING
            and not limits.public_projects
            and access not in limits.robot_access
        ):
            text = f"'{access}' would let the robot make the project public"
            yield Breach((*place, "access", index), text, {"robot_access": [access]})
    allowed = {for_team(each, team.name) for each in limits.sinks}
    for index, (raw, sink) in enumerate(zip(robot.sinks, team.sinks(purpose), strict=True)):
        name = f"{sink.namespace}/{sink.name}"
        if base is not None and raw in base.sinks:
            continue
        if sink.namespace not in team.namespaces and name not in allowed:
            text = f"'{name}' is outside of the team's namespaces"
            yield Breach((*place, "sinks", index), text, {"sinks": [name]})
    patterns = [for_team(each, team.name) for each in limits.replaces]
    for index, (declared, full) in enumerate(
        zip(robot.replaces, team.replaced_robots(purpose), strict=True)
    ):
        if base is not None and declared in base.replaces:
            continue
        if not any(matches(each, full) for each in patterns):
            text = f"'{full}' is not a robot that the policy lets the team replace"
            yield Breach((*place, "replaces", index), text, {"replaces": [full]})


# Namespaces


def _check_namespaces(case: Case) -> Iterator[Breach]:
    team, base = case.team, case.base
    yield from _check_namespace(
        case, ("namespace",), team.home_namespace, team.namespace, base.namespace
    )
    for key, namespace in team.further_namespaces.items():
        place: Place = ("further_namespaces", key)
        own = base.further_namespaces.get(key)
        known = (team.namespace, *((own,) if own else ()))
        yield from _check_namespace(case, place, team.further_namespace(key), namespace, *known)


def _check_namespace(
    case: Case, place: Place, name: str, namespace: Namespace, *known: Namespace
) -> Iterator[Breach]:
    """Check one namespace.

    Args:
        case: the team.
        place: the field that declares the namespace.
        name: the namespace's full name.
        namespace: the completed namespace.
        known: namespaces whose values are allowed, or are checked on their own.
    """
    limits = case.limits
    level = namespace.pod_security or "privileged"  # null enforces no level
    if all(level != (each.pod_security or "privileged") for each in known) and allows_more(
        "pod_security", level, limits.pod_security
    ):
        text = f"'{level}' is less strict than '{limits.pod_security}'"
        yield Breach((*place, "pod_security"), text, {"pod_security": level})
    role = namespace.cluster_role
    allowed = (None, *limits.cluster_roles, *(each.cluster_role for each in known))
    if role not in allowed:
        text = f"'{role}' is not the ClusterRole that the platform gives to teams"
        yield Breach((*place, "cluster_role"), text, {"cluster_roles": [role]})
    if (
        namespace.mesh is False
        and all(each.mesh is not False for each in known)
        and not limits.without_mesh
    ):
        text = "false leaves the pods without the mesh's encryption and rules"
        yield Breach((*place, "mesh"), text, {"without_mesh": True})
    yield from _check_keys(case, place, name, namespace, *known)
    for resource, most in limits.max_quota.items():
        amount = namespace.quota.get(resource)
        if amount is None or any(each.quota.get(resource) == amount for each in known):
            continue
        if allows_more("max_quota", {resource: amount}, {resource: most}):
            allows = {"max_quota": {resource: amount}}
            yield Breach((*place, "quota", resource), f"{amount} is more than {most}", allows)
    yield from _check_network(case, place, namespace, *known)


def _check_keys(
    case: Case, place: Place, name: str, namespace: Namespace, *known: Namespace
) -> Iterator[Breach]:
    ours = {
        **labels.injection(namespace.mesh),
        labels.POD_SECURITY: namespace.pod_security,
        labels.NAME: name,
    }
    for field in ("labels", "annotations"):
        for key, value in getattr(namespace, field).items():
            if not is_reserved_key(key) or any(matches(p, key) for p in case.limits.labels):
                continue
            if any(getattr(each, field).get(key) == value for each in known):
                continue
            agrees = field == "labels" and ours.get(key) == value
            unused = key == labels.REVISION and isinstance(namespace.mesh, bool)
            if not agrees and not (unused and field == "labels"):
                text = "belongs to Kubernetes, to the mesh or to another controller"
                yield Breach((*place, field, key), text, {"labels": [key]})


def _check_network(
    case: Case, place: Place, namespace: Namespace, *known: Namespace
) -> Iterator[Breach]:
    limits, network = case.limits, namespace.network
    place = (*place, "network")
    whole = {"without_isolation": True}
    if (
        not limits.without_isolation
        and not network.deny_by_default
        and all(each.network.deny_by_default for each in known)
    ):
        text = "false lets all traffic in and out"
        yield Breach((*place, "deny_by_default"), text, whole)
    own = {
        name: spec
        for name, spec in network.policies.items()
        if all(each.network.policies.get(name) != spec for each in known)
    }
    if not own:
        return
    if not limits.without_isolation:
        for where, text in policy_network.open_to_all(own):
            yield Breach((*place, "policies", *where), text, whole)
    if limits.egress is not None:
        for where, blocks in policy_network.egress_beyond(own, limits.egress):
            text = f"allows traffic to {' and '.join(blocks)}, which the policy does not allow"
            yield Breach((*place, "policies", *where), text, {"egress": blocks})


# Counts

_COUNTED: Mapping[str, tuple[str, Place]] = {
    "max_namespaces": ("namespaces", ("further_namespaces",)),
    "max_robots": ("robots", ("robots",)),
    "max_clients": ("OIDC clients", ("oidc_clients",)),
    "max_routes": ("routes", ("routes",)),
    "max_sinks": ("sinks", ("robots",)),
    "max_network_policies": ("NetworkPolicies", ("namespace", "network", "policies")),
}


def _check_counts(case: Case) -> Iterator[Breach]:
    for name, (what, place) in _COUNTED.items():
        most = getattr(case.limits, name)
        if most is None:
            continue
        count = _count(name, case.team, case.base)
        if count > most and count > _count(name, case.base, case.base):
            text = f"{count} {what} are more than {most}"
            yield Breach(place, text, {name: count})


def _count(name: str, team: Team, base: Team) -> int:
    match name:
        case "max_namespaces":
            return 1 + len(team.further_namespaces)
        case "max_robots":
            return len(team.active_robots)
        case "max_clients":
            return len(team.oidc_clients)
        case "max_routes":
            return len(team.routes)
        case "max_sinks":
            return sum(len(robot.sinks) for robot in team.active_robots.values())
    given = base.namespace.network.policies
    return sum(
        given.get(key) != spec
        for namespace in team.namespaces.values()
        for key, spec in namespace.network.policies.items()
    )
