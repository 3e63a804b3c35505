"""The kinds of resources in a cluster, except those of the mesh."""

from collections.abc import Callable

from tenantry.declared import Platform, Team
from tenantry.declared.faults import Place
from tenantry.kinds import Kind
from tenantry.resources import Live

APPLIED = "tenantry.io/applied"
"""Annotation of a team's first namespace: a hash of the declared state that was applied completely."""
GATEWAY_API = "Gateway of the Gateway API"
"""The name of the second kind that is called Gateway."""
HELD_ROBOT = "tenantry.io/robot"
"""Annotation of a Secret: the robot whose credential it holds, such as `pull-b`."""
_LABELS = {
    "pod-security.kubernetes.io/enforce": ("pod_security",),
    "istio-injection": ("mesh",),
    "istio.io/rev": ("mesh",),
}
"""Labels of a namespace, with the fields of a team file that set them."""


def _section(team: Team, namespace: str) -> Place:
    """Return the section of a team's file that declares a namespace."""
    key = team.namespace_key(namespace)
    return ("namespace",) if key is None else ("further_namespaces", key)


def _namespace(team: Team, key: str, field: str) -> Place:
    section = _section(team, key.partition("/")[0])
    label = field.removeprefix("metadata.labels.")
    return (*section, *_LABELS.get(label, _metadata(field)))


def _metadata(field: str) -> Place:
    part, _, key = field.partition(".")[2].partition(".")
    return (part, key) if part else ()


def _inside(*path: str) -> Callable[[Team, str, str], Place]:
    def place(team: Team, key: str, field: str) -> Place:
        return (*_section(team, key.partition("/")[0]), *path)

    return place


def _quota(team: Team, key: str, field: str) -> Place:
    section = _section(team, key.partition("/")[0])
    return (*section, "quota", field.removeprefix("spec.hard."))


def _network_policy(team: Team, key: str, field: str) -> Place:
    namespace, _, name = key.partition("/")
    declared = team.namespaces.get(namespace)
    named = declared is not None and name in declared.network.policies
    network = (*_section(team, namespace), "network")
    return (*network, "policies", name) if named else network


def _secret(team: Team, key: str, field: str) -> Place:
    namespace, _, name = key.partition("/")
    for client in team.oidc_clients:
        if (namespace, name) == (team.home_namespace, team.client_secret_name(client)):
            return ("oidc_clients", client)
    purpose = team.purpose_of(name) if namespace in team.namespaces else None
    return ("robots", purpose) if purpose is not None else ("robots",)


def _robots(team: Team, key: str, field: str) -> Place:
    return ("robots",)


def _kept_namespace(owner: Team | Platform, key: str, live: Live) -> str:
    return (
        "its workloads and data stay, without access for the team and with image pulls until the next "
        f"rotation. To delete it: kubectl delete namespace {key}"
    )


def _left_secret(owner: Team | Platform, key: str, live: Live) -> str:
    annotations = live.fields["metadata"].get("annotations") or {}
    if HELD_ROBOT in annotations:
        return (
            "rotate-robots retires it: it is deleted once no working robot has the credential in it. If "
            "the robot is still declared, that is after its next rotation"
        )
    return (
        "it is deleted with its OIDC client, by detect-drift with remediate: all, or with 'remove': "
        f"kubernetes/Secret/{key}"
    )


NAMESPACE = Kind(
    "kubernetes",
    "Namespace",
    "Kubernetes",
    is_recorded=True,
    explain_left=_kept_namespace,
    needed_for_access=True,
    access_fields=("metadata.labels.pod-security.kubernetes.io/enforce",),
    removal_step="Namespaces",
    place=_namespace,
)
NAMESPACE_MARK = Kind(
    "kubernetes",
    "Namespace mark",
    "Mark as applied",
    is_record=True,
    revocation={"metadata": {"annotations": {APPLIED: None}}},
    place=_namespace,
)
"""The annotation of a team's namespace that records that everything is applied."""
TERMINATING_NAMESPACE = Kind("kubernetes", "Terminating namespace", place=_namespace)
RESOURCE_QUOTA = Kind(
    "kubernetes",
    "ResourceQuota",
    "Kubernetes",
    removal="at once",
    container=NAMESPACE,
    place=_quota,
)
LIMIT_RANGE = Kind(
    "kubernetes",
    "LimitRange",
    "Kubernetes",
    removal="at once",
    container=NAMESPACE,
    place=_inside("limits"),
)
NETWORK_POLICY = Kind(
    "kubernetes",
    "NetworkPolicy",
    "Kubernetes",
    removal="at once",
    needed_for_access=True,
    access_fields=("spec*",),
    container=NAMESPACE,
    place=_network_policy,
)
ROLE_BINDING = Kind(
    "kubernetes",
    "RoleBinding",
    "Kubernetes",
    removal="at once",
    needed_for_access=True,
    grants_access=True,
    access_fields=("roleRef*", "subjects*"),
    immutable_fields=("roleRef",),
    container=NAMESPACE,
    revocation="delete",
    removal_step="Kubernetes",
    place=_inside("cluster_role"),
)
CLUSTER_ROLE = Kind(
    "kubernetes",
    "ClusterRole",
    "Kubernetes",
    needed_for_access=True,
    access_fields=("rules*",),
    place=_namespace,
)
SECRET = Kind(
    "kubernetes",
    "Secret",
    "Credentials",
    removal="retired",
    is_recorded=True,
    explain_left=_left_secret,
    needed_for_access=True,
    access_fields=("type", "client_id"),
    immutable_fields=("type",),
    health_fields=("registry", "username", "credential", "issuer", "client_secret"),
    container=NAMESPACE,
    revocation={"robot": None},
    removal_step="Kubernetes",
    place=_secret,
)
EXTRA_SECRET = Kind("kubernetes", "extra Secret", place=_secret)
"""The list of all Secrets with Tenantry's mark, for a list that cannot be read."""
SERVICE_ACCOUNT = Kind(
    "kubernetes",
    "ServiceAccount",
    "Credentials",
    needed_for_access=True,
    access_fields=("imagePullSecrets*",),
    container=NAMESPACE,
    place=_robots,
)
PULL_SECRET = Kind(
    "kubernetes",
    "image pull secret",
    "Credentials",
    removal="at once",
    is_recorded=True,
    container=NAMESPACE,
    place=_robots,
)
"""The reference of a ServiceAccount to a Secret. It is a part of the desired ServiceAccount, and is
observed on its own if it is no longer declared."""
SERVICE = Kind("kubernetes", "Service", place=_namespace)
POD = Kind("kubernetes", "Pod", place=_namespace)
