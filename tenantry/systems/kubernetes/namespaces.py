"""The desired namespaces of a team, and the objects in them that isolate the team."""

from collections.abc import Collection, Iterator
from typing import Any

from tenantry.declared import Namespace, Platform, Team
from tenantry.declared.labels import POD_SECURITY, injection
from tenantry.marks import Marks
from tenantry.resources import Amount, Exactly, Resource
from tenantry.systems.kubernetes import kinds
from tenantry.systems.kubernetes.objects import resource

MEMBER_ROLE = "tenantry-team-member"
"""The name of the ClusterRole for the members of teams."""
APPLY_ROLE = (
    "Apply deployments/rbac.yaml of this version of Tenantry: "
    "kubectl apply -f deployments/rbac.yaml."
)
"""The remedy if the ClusterRole is missing or outdated."""
HOSTS = "tenantry.io/hosts"
"""Annotation of a team's namespace: the hosts that its members may name in routes.

`deployments/admission.yaml` reads it. Members cannot change it: their role may only read
namespaces.
"""
REPLACES = "tenantry.io/replaces"
"""Annotation of a team's namespace: the robots of other tools that the team's robots replace."""
NAME = "tenantry"
"""Name of the ResourceQuota and the LimitRange."""
BINDING = "tenantry-team"
"""Name of the RoleBinding for the members of the team."""

_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete", "deletecollection"]


def member_role() -> Resource:
    """Return the ClusterRole for the members of a team in its namespaces.

    Like Kubernetes' role `edit`, it permits workloads. Unlike `edit`, it does not permit writes to
    the isolation policies: NetworkPolicies, quotas, limit ranges and role bindings can only be
    read.
    """
    write = {
        "": [
            "configmaps",
            "endpoints",
            "persistentvolumeclaims",
            "pods",
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/eviction",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
        ],
        "apps": ["*"],
        "autoscaling": ["*"],
        "batch": ["*"],
        "networking.k8s.io": ["ingresses"],
        "policy": ["poddisruptionbudgets"],
        "networking.istio.io": ["destinationrules", "serviceentries", "virtualservices"],
    }
    read = {
        "": ["events", "limitranges", "namespaces", "pods/log", "pods/status", "resourcequotas"],
        "networking.k8s.io": ["networkpolicies"],
        "rbac.authorization.k8s.io": ["rolebindings", "roles"],
        "security.istio.io": ["*"],
        "metrics.k8s.io": ["pods"],
    }
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": verbs}
        for verbs, groups in ((_WRITE, write), (_READ, read))
        for group, resources in groups.items()
    ]
    return resource(kinds.CLUSTER_ROLE, MEMBER_ROLE, None, {"rules": rules}, None)


def namespace(
    marks: Marks,
    team: Team,
    name: str,
    declared: Namespace,
    annotations: dict[str, str],
    granted_hosts: Collection[str] = (),
    spaces: Collection[str] | None = None,
) -> Resource:
    """Return the namespace itself.

    Args:
        marks: the platform's marks.
        team: the team.
        name: the name of the namespace.
        declared: its declaration.
        annotations: Tenantry's further annotations.
        granted_hosts: the hosts that the policy grants to the team.
        spaces: the names of all namespaces of the team, if they differ from the declared ones.
    """
    labels = {
        **declared.labels,
        **({POD_SECURITY: declared.pod_security} if declared.pod_security else {}),
        **injection(declared.mesh),
    }
    return resource(
        kinds.NAMESPACE,
        name,
        team,
        {},
        marks,
        more_labels=labels,
        annotations={
            **declared.annotations,
            **_hosts(team, granted_hosts, spaces or team.namespaces),
            **_replaces(team),
            **annotations,
        },
    )


def _hosts(team: Team, granted: Collection[str], spaces: Collection[str]) -> dict[str, str]:
    """Return the annotation with the hosts of the team.

    These are the hosts of its routes, the hosts that the policy grants to it, and the Services of
    its namespaces if it has several namespaces.
    """
    hosts = {route.host for route in team.routes.values()} | set(granted)
    if len(spaces) > 1:
        hosts |= {f"*.{name}.svc.cluster.local" for name in spaces}
    return {HOSTS: ",".join(sorted(hosts))} if hosts else {}


def _replaces(team: Team) -> dict[str, str]:
    """Return the annotation with the robots that the team's robots replace.

    It is on the namespace, since objects that a team can write do not prove who holds a robot.
    """
    robots = {name for purpose in team.active_robots for name in team.replaced_robots(purpose)}
    return {REPLACES: ",".join(sorted(robots))} if robots else {}


def contents(
    marks: Marks, platform: Platform, team: Team, name: str, declared: Namespace
) -> Iterator[Resource]:
    """Return the objects in the namespace."""
    if declared.quota:
        hard = _amounts(declared.quota)
        yield resource(
            kinds.RESOURCE_QUOTA, NAME, team, {"spec": {"hard": hard}}, marks, namespace=name
        )
    if limits := _limits(declared):
        yield resource(
            kinds.LIMIT_RANGE, NAME, team, {"spec": {"limits": [limits]}}, marks, namespace=name
        )
    if declared.network.deny_by_default:
        for policy, spec in _policies(platform, declared).items():
            content = {"spec": Exactly(_completed(spec))}
            yield resource(kinds.NETWORK_POLICY, policy, team, content, marks, namespace=name)
    if declared.cluster_role is not None:
        yield _role_binding(marks, platform, team, name, declared.cluster_role)


def _role_binding(
    marks: Marks, platform: Platform, team: Team, namespace: str, role: str
) -> Resource:
    """Return the binding of a ClusterRole to the team's group in a namespace."""
    group = platform.kubernetes.group_prefix + team.oidc_group
    api = "rbac.authorization.k8s.io"
    content = {
        "roleRef": Exactly({"apiGroup": api, "kind": "ClusterRole", "name": role}),
        "subjects": [{"apiGroup": api, "kind": "Group", "name": group}],
    }
    return resource(kinds.ROLE_BINDING, BINDING, team, content, marks, namespace=namespace)


def _amounts(amounts: dict[str, str]) -> dict[str, Amount]:
    return {key: Amount(value) for key, value in amounts.items()}


def _limits(declared: Namespace) -> dict[str, Any] | None:
    """Return the item of the LimitRange, with the defaults of the API server, so that it compares
    equal."""
    limits = declared.limits
    default = {**limits.max, **limits.default}
    request = {**limits.min, **default, **limits.default_request}
    parts = {
        "default": default,
        "defaultRequest": request,
        "max": limits.max,
        "min": limits.min,
    }
    filled = {key: _amounts(amounts) for key, amounts in parts.items() if amounts}
    return {"type": "Container", **filled} if filled else None


def _policies(platform: Platform, declared: Namespace) -> dict[str, dict[str, Any]]:
    network, mesh = declared.network, platform.mesh
    dns = {
        "namespaceSelector": _in_namespace(platform.kubernetes.dns_namespace),
        "podSelector": {"matchLabels": platform.kubernetes.dns_labels},
    }
    control_plane = {"namespaceSelector": _in_namespace(mesh.control_plane_namespace)}
    gateway = {"namespaceSelector": _in_namespace(mesh.gateway_namespace)}
    same: dict[str, Any] = {"podSelector": {}}
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    # istiod serves the sidecars at 15012 (TLS) and 15010 (deprecated).
    mesh_ports = [{"protocol": "TCP", "port": port} for port in (15010, 15012)]
    policies: dict[str, dict[str, Any]] = {
        "tenantry-default-deny": {"policyTypes": ["Ingress", "Egress"]}
    }
    if network.allow_dns:
        policies["tenantry-allow-dns"] = {"egress": [{"to": [dns], "ports": ports}]}
    if network.allow_same_namespace:
        policies["tenantry-allow-same-namespace"] = {
            "ingress": [{"from": [same]}],
            "egress": [{"to": [same]}],
        }
    if network.allow_mesh and declared.mesh is not False:
        policies["tenantry-allow-mesh"] = {"egress": [{"to": [control_plane], "ports": mesh_ports}]}
    if network.allow_gateway:
        policies["tenantry-allow-gateway"] = {"ingress": [{"from": [gateway]}]}
    return policies | network.policies


def _in_namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


def _completed(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a NetworkPolicy with the defaults of the API server."""
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    if "ingress" not in spec and "egress" in spec and "policyTypes" not in spec:
        types = ["Egress"]  # ours name one direction; the server would add Ingress and deny it
    completed = {"podSelector": {}, **spec, "policyTypes": types}
    for direction in ("ingress", "egress"):
        # Sent also if empty: server-side apply removes added entries only from fields that are
        # sent.
        completed[direction] = [_with_protocols(rule) for rule in spec.get(direction, [])]
    return completed


def _with_protocols(rule: dict[str, Any]) -> dict[str, Any]:
    if "ports" not in rule:
        return rule
    return {**rule, "ports": [{"protocol": "TCP", **port} for port in rule["ports"]]}
