"""The policy: the limits on what a team file, or a call that onboards a team, may declare.

Two classes of rules. The isolation rules protect teams from each other; they always apply, and a
limit here is an exception from one. The house limits apply where they are declared. Values that
`platform.yaml` itself gives to a team, by its defaults or by a profile, need no exception.
"""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tenantry.declared.harbor_values import Access
from tenantry.declared.kubernetes_values import ClusterRoleName, GatewayName, Host
from tenantry.declared.quotas import Quota
from tenantry.declared.team import Adopt, PodSecurity
from tenantry.declared.types import (
    MAX_INT,
    UNLIMITED,
    WHOLE,
    GroupName,
    Model,
    ProfileName,
    StorageQuota,
    TeamName,
    fits,
    quantity,
    storage_bytes,
)

Count = Annotated[int, Field(ge=0, le=MAX_INT), WHOLE]

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_PART = rf"({_LABEL}|([a-z0-9-]*\{{team\}}[a-z0-9-]*))"

HostPattern = Annotated[
    str,
    *fits(
        rf"(\*\.)?{_PART}(\.{_PART})*",
        "a pattern of hosts is a DNS name in lower case; '*.' at its beginning stands for one or "
        "more parts, {team} for the team, as *.{team}.example.com",
    ),
]
"""Hosts of a team. Without regular expressions: matching takes time that grows with the text only."""

SinkPattern = Annotated[
    str,
    *fits(
        r"([a-z0-9-]|\{team\})+/([a-z0-9.-]|\{team\})+",
        "a sink is namespace/name of a Secret; {team} stands for the team",
    ),
]
"""A Secret outside of the team's namespaces, named in full: a team never chooses which one."""

NamePattern = Annotated[
    str,
    Field(
        min_length=1, max_length=255, description="`*` stands for any text, `{team}` for the team."
    ),
]
"""A name, in which `*` stands for any text and `{team}` for the team."""

KeyPattern = Annotated[
    str,
    *fits(
        r"[-A-Za-z0-9_./]+\*?",
        "the key of a label or annotation; a '*' at its end stands for any text",
    ),
]


def _check_cidr(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("must be a CIDR, such as 10.1.0.0/24 or 2001:db8::/64") from None


Cidr = Annotated[str, AfterValidator(_check_cidr)]


class Limits(Model):
    """What teams may declare. A limit that is not given leaves the rule as it is."""

    # Exceptions from the isolation rules

    adopt: Adopt = "never"
    """The most that `adopt` of a team may be: what Tenantry did not create is not taken over
    otherwise."""
    groups: list[GroupName] = []
    """Values of `group` besides the team's own `team-<name>`, in full. A group gets the team's
    rights, so it must not be one that another team or the platform uses."""
    sinks: list[SinkPattern] = []
    """Secrets outside of the team's namespaces that its robots' credentials may be written to, as
    `namespace/name`."""
    replaces: list[NamePattern] = []
    """Robots that a team's robots may replace, and so delete, such as `otomi-team-{team}-*`."""
    pod_security: PodSecurity = "baseline"
    """The least strict `pod_security` of a namespace."""
    cluster_roles: list[ClusterRoleName] = []
    """Values of `cluster_role` besides the one that the platform gives."""
    project_admin: bool = False
    """Whether the role `projectAdmin` may be given in the team's Harbor project. Its holder can
    rewrite the project's robots and members."""
    robot_access: list[Access] = []
    """Permissions by which a robot could change robots, members or the project itself, such as
    `robot:create`."""
    gateways: list[GatewayName] = []
    """Gateways besides `mesh.gateway` and those in the team's own namespaces."""
    further_hosts: list[Host] = []
    """Hosts of routes that are refused otherwise, in full, such as a wildcard `*.shop.example.com`.
    The other hosts below a wildcard are its team's then."""
    addresses: list[Annotated[str, Field(min_length=1)]] = []
    """Redirect URIs, logout URIs and web origins that are refused otherwise, in full."""
    labels: list[KeyPattern] = []
    """Keys of labels and annotations of namespaces that belong to Kubernetes, to Istio, or to
    another controller."""

    # House limits

    hosts: list[HostPattern] | None = None
    """Hosts that a team may use in routes and addresses, such as `*.{team}.example.com`. If not
    given, any host that is not another team's, nor Harbor's, nor Keycloak's."""
    external_groups: list[NamePattern] | None = None
    """Names in `external_groups` of a team; any if not given."""
    public_projects: bool = True
    """Whether a team may make its Harbor project public."""
    without_mesh: bool = True
    """Whether a namespace may do without the mesh (`mesh: false`)."""
    without_isolation: bool = True
    """Whether a namespace may do without `deny_by_default`, or have NetworkPolicies that allow
    traffic from or to everywhere."""
    egress: list[Cidr] | None = None
    """Addresses that NetworkPolicies of a team may allow traffic to; any if not given."""
    max_expiry_days: Annotated[int, Field(ge=1, le=36500), WHOLE] | Literal["never"] = "never"
    """The most days until a robot expires."""
    max_storage: StorageQuota = UNLIMITED
    """The most that a Harbor project may hold."""
    max_quota: Quota = {}
    """The most of each resource in the quota of one namespace."""
    max_namespaces: Count | None = None
    """How many namespaces a team may have."""
    max_robots: Count | None = None
    """How many robots a team may have, counted by purpose."""
    max_clients: Count | None = None
    """How many OIDC clients a team may have."""
    max_routes: Count | None = None
    """How many routes a team may have."""
    max_sinks: Count | None = None
    """How many sinks a team may have, all robots together."""
    max_network_policies: Count | None = None
    """How many NetworkPolicies of its own a team may have, all namespaces together."""
    min_schedule_minutes: Annotated[int, Field(ge=1, le=1440), WHOLE] = 1
    """The least minutes between two runs of a schedule, such as 60."""


class ProfilePolicy(Limits):
    """Limits that replace those of `limits` for the teams of a profile."""

    teams: list[TeamName] | None = None
    """The teams that may use the profile; all if not given. It must be given if the profile, or
    its limits here, allow more than `limits` does: a team chooses its profile itself."""


class Grant(Limits):
    """What named teams may declare in addition."""

    teams: Annotated[list[TeamName], Field(min_length=1)]
    """The teams."""
    reason: Annotated[str, Field(min_length=1)]
    """Why they may."""
    files: list[Annotated[str, *fits(r"[^/]+\.ya?ml", "the name of a file in teams/")]] = []
    """Files in `teams/` that may declare these teams besides `<name>.yaml`. Any other file is
    refused, and no grant has effect for it: a file says itself which team it declares."""


class Policy(Model):
    """The limits on what a team file, or a call that onboards a team, may declare."""

    limits: Limits = Limits()
    """Limits for all teams."""
    profiles: dict[ProfileName, ProfilePolicy] = {}
    """Limits for the teams of a profile, by the profile's name."""
    grants: list[Grant] = []
    """Exceptions for named teams, each with a reason."""
    reserved_groups: list[GroupName] = []
    """Further groups that no team may use as its `group`, besides those that this file names."""
    reserved_hosts: list[HostPattern] = []
    """Further hosts that no team may use, such as `*.internal.example.com`."""


LIMITS: tuple[str, ...] = tuple(Limits.model_fields)
"""The names of all limits."""

_ORDERS: dict[str, tuple[Any, ...]] = {
    "adopt": ("never", "if-identical", "yes"),
    "pod_security": ("restricted", "baseline", "privileged"),
}
"""Values from the strictest to the least strict."""


def _most(value: Any) -> float:
    return float("inf") if value in (None, "never") else float(value)


def loosest(name: str, one: Any, other: Any) -> Any:
    """Return what two values of a limit allow together."""
    if name in _ORDERS:
        return max(one, other, key=_ORDERS[name].index)
    if isinstance(one, bool):
        return one or other
    if name == "max_storage":
        sizes = {each: storage_bytes(each) for each in (one, other)}
        return max(sizes, key=lambda each: float("inf") if sizes[each] < 0 else sizes[each])
    if name == "max_quota":
        raised = {
            key: max(one[key], value, key=quantity) for key, value in other.items() if key in one
        }
        return {**one, **raised}
    if name == "min_schedule_minutes":
        return min(one, other)
    if name.startswith("max_"):
        return max(one, other, key=_most)
    if one is None or other is None:
        return None
    return list(dict.fromkeys([*one, *other]))


def allows_more(name: str, value: Any, limit: Any) -> bool:
    """Return whether a value of a limit allows something that another does not."""
    if name == "max_quota":
        return any(
            key not in value or quantity(value[key]) > quantity(most) for key, most in limit.items()
        )
    together = loosest(name, limit, value)
    if isinstance(together, list):
        return set(together) != set(limit)
    return bool(together != limit)


def replaced(limits: Limits, over: Limits) -> Limits:
    """Return limits in which those that are given in others take their place."""
    given = {name: getattr(over, name) for name in over.model_fields_set & set(LIMITS)}
    if "max_quota" in given:
        given["max_quota"] = {**limits.max_quota, **given["max_quota"]}
    return limits.model_copy(update=given) if given else limits


def widened(limits: Limits, grants: Iterable[Limits]) -> Limits:
    """Return limits that also allow what grants allow."""
    update: dict[str, Any] = {}
    for grant in grants:
        for name in grant.model_fields_set & set(LIMITS):
            before = update.get(name, getattr(limits, name))
            update[name] = loosest(name, before, getattr(grant, name))
    return limits.model_copy(update=update) if update else limits
