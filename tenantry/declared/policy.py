"""The policy: the limits on what a team file, or a call that onboards a team, may declare.

It has two kinds of rules. The isolation rules protect teams from each other: they always apply, and
a limit here is an exception to one of them. The optional limits apply only if they are declared.
Values that `platform.yaml` gives to a team, by its defaults or by a profile, need no exception.
"""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tenantry.declared.adopt import NEVER, Adopt, least_strict
from tenantry.declared.harbor_values import Access
from tenantry.declared.kubernetes_values import ClusterRoleName, GatewayName, Host, NamespaceName
from tenantry.declared.names import ClientId, ProjectName
from tenantry.declared.namespace import PodSecurity
from tenantry.declared.quotas import Quota
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
        "a host pattern is a DNS name in lower case; '*.' at its beginning stands for one or more "
        "parts, {team} for the team, such as *.{team}.example.com",
    ),
]
"""A pattern for the hosts of a team. It is not a regular expression, so that matching takes linear
time."""

SinkPattern = Annotated[
    str,
    *fits(
        r"([a-z0-9-]|\{team\})+/([a-z0-9.-]|\{team\})+",
        "a sink is namespace/name of a Secret; {team} stands for the team",
    ),
]
"""The full name of a Secret outside of the team's namespaces, so that the team cannot choose it."""

NamePattern = Annotated[
    str,
    Field(
        min_length=1, max_length=255, description="`*` stands for any text, `{team}` for the team."
    ),
]
"""A name pattern, in which `*` stands for any text and `{team}` for the team."""

ReservedName = Annotated[
    str,
    *fits(
        r"[a-z0-9._*-]+",
        "a name of lower-case letters, digits, '-', '.' and '_'; '*' stands for any text",
    ),
]
"""The name of a namespace or project, in which `*` stands for any text."""

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
    """The limits on what teams may declare. A limit that is not given does not change the rule."""

    # Exceptions to the isolation rules

    adopt: Adopt = NEVER
    """The most permissive value of a team's `adopt`, for all systems or for each. Resources that
    Tenantry did not create are adopted only within this limit."""
    groups: list[GroupName] = []
    """Allowed values of `group`, in full, in addition to the team's own, such as `team-<name>`. A
    group gets the team's rights, so it must not be a group that another team or the platform uses."""
    namespaces: list[NamespaceName] = []
    """Names of namespaces that a team may give in `names`, in full."""
    projects: list[ProjectName] = []
    """Names of Harbor projects that a team may give in `names`, in full. The members of the team
    can then use the images in the project."""
    clients: list[ClientId] = []
    """Ids of OIDC clients that a team may give in `names`, in full. The team gets the secret of the
    client."""
    sinks: list[SinkPattern] = []
    """Secrets outside of the team's namespaces that may receive its robots' credentials, in the
    form `namespace/name`, such as `ci/{team}-push`."""
    replaces: list[NamePattern] = []
    """Robots that a team's robots may replace, and therefore delete, such as
    `otomi-team-{team}-*`."""
    pod_security: PodSecurity = "baseline"
    """The least strict value of a namespace's `pod_security`."""
    cluster_roles: list[ClusterRoleName] = []
    """Allowed values of `cluster_role` in addition to the platform's."""
    project_admin: bool = False
    """Whether a team may assign the role `projectAdmin` in its Harbor project. This role can change
    the project's robots and members."""
    robot_access: list[Access] = []
    """Permissions that would let a robot change robots, members or the project itself, such as
    `robot:create`."""
    gateways: list[GatewayName] = []
    """Allowed Gateways, such as `istio-ingress/internal`, in addition to `mesh.gateway` and those in
    the team's own namespaces."""
    further_hosts: list[Host] = []
    """Hosts of routes that would otherwise be refused, in full, such as a wildcard
    `*.shop.example.com`. All hosts below a granted wildcard then belong to its team."""
    addresses: list[Annotated[str, Field(min_length=1)]] = []
    """Redirect URIs, logout URIs and web origins that would otherwise be refused, in full."""
    labels: list[KeyPattern] = []
    """Keys of namespace labels and annotations that belong to Kubernetes, Istio or another
    controller."""

    # Optional limits

    hosts: list[HostPattern] | None = None
    """Hosts that a team may use in routes and addresses, such as `*.{team}.example.com`. If not
    given, a team may use any host that does not belong to another team, Harbor or Keycloak."""
    external_groups: list[NamePattern] | None = None
    """Allowed names in a team's `external_groups`; any if not given."""
    public_projects: bool = True
    """Whether a team may make its Harbor project public."""
    without_mesh: bool = True
    """Whether a namespace may opt out of the mesh (`mesh: false`)."""
    without_isolation: bool = True
    """Whether a namespace may turn off `deny_by_default`, or have NetworkPolicies that allow
    traffic from or to everywhere."""
    egress: list[Cidr] | None = None
    """Addresses to which a team's NetworkPolicies may allow traffic; any if not given."""
    max_expiry_days: Annotated[int, Field(ge=1, le=36500), WHOLE] | Literal["never"] = "never"
    """The maximum of a robot's `expiry_days`."""
    max_storage: StorageQuota = UNLIMITED
    """The maximum storage quota of a Harbor project."""
    max_quota: Quota = {}
    """The maximum of each resource in the quota of one namespace, such as `requests.cpu: 16`."""
    max_namespaces: Count | None = None
    """The maximum number of namespaces of a team."""
    max_robots: Count | None = None
    """The maximum number of robots of a team, counted by purpose."""
    max_clients: Count | None = None
    """The maximum number of OIDC clients of a team."""
    max_routes: Count | None = None
    """The maximum number of routes of a team."""
    max_sinks: Count | None = None
    """The maximum number of sinks of a team, over all robots."""
    max_network_policies: Count | None = None
    """The maximum number of a team's own NetworkPolicies, over all namespaces."""
    min_schedule_minutes: Annotated[int, Field(ge=1, le=1440), WHOLE] = 1
    """The minimum number of minutes between two runs of a schedule, such as 60."""


class ProfilePolicy(Limits):
    """Limits that override `limits` for the teams of a profile."""

    teams: list[TeamName] | None = None
    """The teams that may use the profile; all if not given. It is required if the profile, or its
    limits here, allow more than `limits`, because a team selects its profile itself."""


class Grant(Limits):
    """Additional permissions for named teams."""

    teams: Annotated[list[TeamName], Field(min_length=1)]
    """The teams."""
    reason: Annotated[str, Field(min_length=1)]
    """The reason for the grant."""
    files: list[Annotated[str, *fits(r"[^/]+\.ya?ml", "the name of a file in teams/")]] = []
    """Files in `teams/`, in addition to `<name>.yaml`, that may declare these teams, such as
    `legacy.yaml`. Any other file is refused, and grants do not apply to it, because a file itself says which team it declares."""


class Policy(Model):
    """The limits on what a team file, or a call that onboards a team, may declare."""

    limits: Limits = Limits()
    """Limits for all teams."""
    profiles: dict[ProfileName, ProfilePolicy] = {}
    """Limits for the teams of a profile, by the profile's name."""
    grants: list[Grant] = []
    """Exceptions for named teams, each with a reason."""
    reserved_groups: list[GroupName] = []
    """Groups that no team may use as its `group`, in addition to the groups in this file."""
    reserved_namespaces: list[ReservedName] = []
    """Namespaces that no team may use, such as `argocd` or `monitoring-*`. Reserve the namespaces of
    the platform if the pattern of the teams' namespaces is `{team}` alone."""
    reserved_projects: list[ReservedName] = []
    """Harbor projects that no team may use, such as `base-images`."""
    reserved_hosts: list[HostPattern] = []
    """Hosts that no team may use, such as `*.internal.example.com`."""


LIMITS: tuple[str, ...] = tuple(Limits.model_fields)
"""The names of all limits."""

_ORDERS: dict[str, tuple[Any, ...]] = {
    "pod_security": ("restricted", "baseline", "privileged"),
}
"""Values from the strictest to the least strict."""


def _most(value: Any) -> float:
    return float("inf") if value in (None, "never") else float(value)


def loosest(name: str, one: Any, other: Any) -> Any:
    """Return the value of a limit that allows everything that one of two values allows."""
    if name == "adopt":
        return least_strict(one, other)
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
    """Return whether a value of a limit allows more than `limit`."""
    if name == "max_quota":
        return any(
            key not in value or quantity(value[key]) > quantity(most) for key, most in limit.items()
        )
    together = loosest(name, limit, value)
    if isinstance(together, list):
        return set(together) != set(limit)
    return bool(together != limit)


def overridden(limits: Limits, over: Limits) -> Limits:
    """Return the limits, overridden by the limits that are given in `over`."""
    given = {name: getattr(over, name) for name in over.model_fields_set & set(LIMITS)}
    if "max_quota" in given:
        given["max_quota"] = {**limits.max_quota, **given["max_quota"]}
    return limits.model_copy(update=given) if given else limits


def extended(limits: Limits, grants: Iterable[Limits]) -> Limits:
    """Return the limits, extended by the permissions of grants."""
    update: dict[str, Any] = {}
    for grant in grants:
        for name in grant.model_fields_set & set(LIMITS):
            before = update.get(name, getattr(limits, name))
            update[name] = loosest(name, before, getattr(grant, name))
    return limits.model_copy(update=update) if update else limits
