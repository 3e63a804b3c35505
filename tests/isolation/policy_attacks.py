"""Attacks by the declaration of a team, and the platforms that they are declared for."""

from typing import Any, NamedTuple

import pytest

from tests.isolation.network_attacks import NETWORK
from tests.support.harness import Data

SHOP: Data = {
    "name": "shop",
    "routes": {"web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
}


PLATFORM: Data = {
    "name": "Test",
    "harbor": {
        "registry": "registry.example.com",
        "single_sign_on": {"admin_group": "platform-admins"},
    },
    "keycloak": {
        "parent_group": "tenants",
        "groups": {"auditors": {}},
        "external_providers": {
            "corp": {
                "connection": {
                    "issuer": "https://login.example.com/realms/corp",
                    "client_id": "tenantry",
                    "client_secret": {"namespace": "sso", "name": "corp"},
                }
            }
        },
    },
    "mesh": {
        "gateways": {
            "istio-ingress/public": {"hosts": ["*.example.com"], "certificate": "wildcard"},
            "istio-ingress/admin": {"hosts": ["*.admin.example.com"], "certificate": "admin"},
        },
        "harbor": {"host": "harbor.example.com"},
    },
    "defaults": {"harbor": {"groups": {"all-teams-admin": "projectAdmin"}}},
}


LIMITS: Data = {
    "hosts": ["{team}.example.com", "*.{team}.example.com"],
    "external_groups": ["{team}-*"],
    "public_projects": False,
    "without_mesh": False,
    "without_isolation": False,
    "egress": ["10.0.0.0/8"],
    "max_expiry_days": 90,
    "max_storage": "100Gi",
    "max_quota": {"requests.cpu": "8", "pods": "100"},
    "max_namespaces": 3,
    "max_robots": 4,
    "max_clients": 2,
    "max_routes": 2,
    "max_sinks": 2,
    "max_network_policies": 4,
    "min_schedule_minutes": 60,
}


LIMITED: Data = {**PLATFORM, "policy": {"limits": LIMITS}}


class Attack(NamedTuple):
    """A declaration of Mallory, and the fault that it must cause."""

    field: str
    """The field in the fault."""
    content: Data
    text: str
    """A part of the fault's text."""
    limit: str
    """The limit in the proposed grant."""


def group(name: str, text: str) -> Attack:
    return Attack("group", {"group": name}, text, "groups")


def namespace(field: str, text: str, limit: str, **content: Any) -> Attack:
    return Attack(f"namespace.{field}", {"namespace": content}, text, limit)


def route(field: str, text: str, limit: str, **content: Any) -> Attack:
    paths = [{"service": "front", "port": 80}]
    routes = {"web": {"host": "m.example.com", "paths": paths, **content}}
    return Attack(f"routes.web.{field}", {"routes": routes}, text, limit)


def robot(field: str, text: str, limit: str, **content: Any) -> Attack:
    return Attack(f"robots.ci.{field}", {"robots": {"ci": content}}, text, limit)


def login(address: str, text: str, field: str = "redirect_uris") -> Attack:
    client: dict[str, Any] = {"redirect_uris": ["https://m.example.com/cb"]}
    client[field] = [address]
    place = f"oidc_clients.web.{field}[0]"
    return Attack(place, {"oidc_clients": {"web": client}}, text, "addresses")


def label(key: str, value: str = "x", field: str = "labels") -> Attack:
    return namespace(f"{field}.{key}", "belongs to Kubernetes", "labels", **{field: {key: value}})


OTHER = "is not the team's own group"


RESERVED = "is reserved"


ISOLATION: dict[str, Attack] = {
    # Groups of others, and names that look different but are equal
    "cluster-admin": group("system:masters", RESERVED),
    "cluster-admin in capitals": group("SYSTEM:Masters", RESERVED),
    "cluster-admin in full width": group(
        "\uff53\uff59\uff53\uff54\uff45\uff4d\uff1amasters", RESERVED
    ),
    "cluster-admin with a zero-width space": group("sys\u200btem:masters", RESERVED),
    "cluster-admin with a soft hyphen": group("system\u00ad:masters", RESERVED),
    "all service accounts": group("system:serviceaccounts", RESERVED),
    "the Harbor administrators": group("platform-admins", RESERVED),
    "the Harbor administrators in capitals": group("Platform-Admins", RESERVED),
    "the Harbor administrators with a zero-width joiner": group("platform\u200d-admins", RESERVED),
    "the Harbor administrators with a variation selector": group("platform\ufe0f-admins", RESERVED),
    "the Harbor administrators with a filler": group("platform\u3164-admins", RESERVED),
    "the group of all projects in bold": group(
        "\U0001d41a\U0001d425\U0001d425-teams-admin", RESERVED
    ),
    "the parent group": group("Tenants", RESERVED),
    "another team's group in capitals": group("Team-Shop", OTHER),
    "a group that no team has": group("finance", OTHER),
    # Secrets and robots of others
    "a sink in another namespace": robot(
        "sinks[0]",
        "'cert-manager/ca-key' is outside of the team's namespaces",
        "sinks",
        sinks=[{"namespace": "cert-manager", "name": "ca-key"}],
    ),
    "a sink by the team's name": robot(
        "sinks[0]",
        "outside of the team's namespaces",
        "sinks",
        sinks=[{"namespace": "{team}", "name": "x"}],
    ),
    "a sink of a longer name": robot(
        "sinks[0]",
        "outside of the team's namespaces",
        "sinks",
        sinks=[{"namespace": "team-{team}-other", "name": "x"}],
    ),
    "a system robot": robot(
        "replaces[0]",
        "'robot$replicator' is not a robot",
        "replaces",
        replaces=["robot$replicator"],
    ),
    # Rights
    "privileged pods": namespace(
        "pod_security", "less strict", "pod_security", pod_security="privileged"
    ),
    "cluster-admin as the role": namespace(
        "cluster_role", "not the ClusterRole", "cluster_roles", cluster_role="cluster-admin"
    ),
    "another namespace": Attack(
        "names.namespace",
        {"names": {"namespace": "argocd"}},
        "the namespace 'argocd' is not the team's own, 'team-mallory'",
        "namespaces",
    ),
    "another further namespace": Attack(
        "names.further_namespaces.jobs",
        {"further_namespaces": {"jobs": {}}, "names": {"further_namespaces": {"jobs": "ci"}}},
        "the namespace 'ci' is not the team's own, 'team-mallory-jobs'",
        "namespaces",
    ),
    "another project": Attack(
        "names.project",
        {"names": {"project": "base-images"}},
        "the project 'base-images' is not the team's own, 'team-mallory'",
        "projects",
    ),
    "another client": Attack(
        "names.clients.web",
        {
            "oidc_clients": {"web": {"redirect_uris": ["https://mallory.example.com/cb"]}},
            "names": {"clients": {"web": "grafana"}},
        },
        "the OIDC client 'grafana' is not the team's own, 'team-mallory-web'",
        "clients",
    ),
    "projectAdmin for the team": Attack(
        "harbor.role",
        {"harbor": {"role": "projectAdmin"}},
        "may change the robots and members",
        "project_admin",
    ),
    "projectAdmin for a group": Attack(
        "harbor.groups.friends",
        {"harbor": {"groups": {"friends": "projectAdmin"}}},
        "may change the robots and members",
        "project_admin",
    ),
    "a robot that creates robots": robot(
        "access[1]",
        "'robot:create' would let the robot change",
        "robot_access",
        access=["repository:pull", "robot:create"],
    ),
    "a robot that adds members": robot(
        "access[0]", "'member:create' would let", "robot_access", access=["member:create"]
    ),
    # Hosts
    "a wildcard over all": route(
        "host", "is a Gateway's wildcard", "further_hosts", host="*.example.com"
    ),
    "a wildcard over another team": route(
        "host", "covers hosts of other teams", "further_hosts", host="*.shop.example.com"
    ),
    "the registry's host": route(
        "host", "is a host of Harbor", "further_hosts", host="registry.example.com"
    ),
    "the identity provider's host": route(
        "host",
        "is a host of Harbor or of an identity provider",
        "further_hosts",
        host="login.example.com",
    ),
    "another gateway": route(
        "gateway", "is not the platform's Gateway", "gateways", gateway="istio-ingress/admin"
    ),
    "the mesh's own gateway": route(
        "gateway", "is not the platform's Gateway", "gateways", gateway="istio-system/mesh"
    ),
    # Redirect addresses of logins
    "any address": login("*", "is not a full address"),
    "any address with a scheme": login("http*", "is not a full address"),
    "any host": login("https://*", "has a '*' in its host"),
    "any host that begins alike": login("https://m.example.com*", "has a '*' in its host"),
    "a wildcard in the host": login("https://*.example.com/cb", "has a '*' in its host"),
    "a host that looks like a user": login(
        "https://m.example.com@evil.example/", "has a user name"
    ),
    "an encoded host": login("https://shop%2eexample.com/", "has a '%' in its host"),
    "a scheme that runs code": login("vbscript:x", "has the scheme 'vbscript:'"),
    "a file": login("file:///etc/passwd", "has the scheme 'file:'"),
    "no host": login("https:/evil.example/", "has no '//'"),
    "a logout to anywhere": login("*", "is not a full address", "post_logout_redirect_uris"),
    "any origin": login("*", "is not a full address", "web_origins"),
    "Harbor's host": login("https://harbor.example.com/", "is a host of Harbor"),
    "Harbor's host in capitals": login("https://HARBOR.example.com/", "is a host of Harbor"),
    "the provider's host": login("https://login.example.com:8443/x", "is a host of Harbor or"),
    # Labels and annotations of Kubernetes and its controllers
    "an old version of Pod Security": label("pod-security.kubernetes.io/enforce-version", "v1.0"),
    "no warnings of Pod Security": label("pod-security.kubernetes.io/warn", "privileged"),
    "a node selector": label("scheduler.alpha.kubernetes.io/node-selector", "a=b", "annotations"),
    "a label of Kubernetes": label("node.kubernetes.io/exclude"),
    "a label of k8s.io": label("admission.k8s.io/skip"),
    "a label of Istio": label("topology.istio.io/network"),
    "an annotation of Istio": label("networking.istio.io/exportTo", "*", "annotations"),
    "a project of Rancher": label("field.cattle.io/projectId", "c:p", "annotations"),
    "no admission by Gatekeeper": label("admission.gatekeeper.sh/ignore"),
    "a tenant of Capsule": label("capsule.clastix.io/tenant", "oil"),
}


LIMIT: dict[str, Attack] = {
    "a public project": Attack(
        "harbor.public",
        {"harbor": {"public": True}},
        "pulls of the team's images",
        "public_projects",
    ),
    "a robot that makes the project public": robot(
        "access[0]", "make the project public", "robot_access", access=["metadata:update"]
    ),
    "too much storage": Attack(
        "harbor.storage_quota",
        {"harbor": {"storage_quota": "101Gi"}},
        "'101Gi' is more than 100Gi",
        "max_storage",
    ),
    "unlimited storage": Attack(
        "harbor.storage_quota",
        {"harbor": {"storage_quota": "unlimited"}},
        "'unlimited' is more than 100Gi",
        "max_storage",
    ),
    "a schedule of each minute": Attack(
        "harbor.retention.schedule",
        {"harbor": {"retention": {"rules": [{"latest_pushed": 1}], "schedule": "* * * * *"}}},
        "has runs only 1 minute apart",
        "min_schedule_minutes",
    ),
    "a schedule twice at midnight": Attack(
        "harbor.retention.schedule",
        {"harbor": {"retention": {"rules": [{"latest_pushed": 1}], "schedule": "0,59 0,23 * * *"}}},
        "has runs only 1 minute apart",
        "min_schedule_minutes",
    ),
    "a robot for ever": robot(
        "expiry_days", "longer than 90", "max_expiry_days", expiry_days="never"
    ),
    "a robot for years": robot("expiry_days", "longer than 90", "max_expiry_days", expiry_days=900),
    "no mesh": namespace("mesh", "without the mesh", "without_mesh", mesh=False),
    "too many processors": namespace(
        "quota.requests.cpu", "9 is more than 8", "max_quota", quota={"requests.cpu": 9}
    ),
    "too many processors in thousandths": namespace(
        "quota.requests.cpu", "8001m is more than 8", "max_quota", quota={"requests.cpu": "8001m"}
    ),
    "no isolation": namespace(
        "network.deny_by_default",
        "all traffic",
        "without_isolation",
        network={"deny_by_default": False},
    ),
    "a further namespace without isolation": Attack(
        "further_namespaces.jobs.network.deny_by_default",
        {"further_namespaces": {"jobs": {"network": {"deny_by_default": False}}}},
        "all traffic",
        "without_isolation",
    ),
    "further privileged pods": Attack(
        "further_namespaces.jobs.pod_security",
        {"further_namespaces": {"jobs": {"pod_security": "privileged"}}},
        "less strict",
        "pod_security",
    ),
    "a foreign host": route("host", "not among the hosts", "further_hosts", host="pay.example.com"),
    "a host that ends alike": route(
        "host", "not among the hosts", "further_hosts", host="evilmallory.example.com"
    ),
    "a login to a foreign host": login("https://evil.example/cb", "not among the hosts"),
    "the names of others at a provider": Attack(
        "external_groups.corp",
        {"external_groups": {"corp": ["finance"]}},
        "'finance' is not among the names",
        "external_groups",
    ),
    "too many namespaces": Attack(
        "further_namespaces",
        {"further_namespaces": {f"n{number}": {} for number in range(3)}},
        "4 namespaces are more than 3",
        "max_namespaces",
    ),
    "too many robots": Attack(
        "robots",
        {"robots": {f"n{number}": {} for number in range(3)}},
        "5 robots are more than 4",
        "max_robots",
    ),
    "too many sinks": Attack(
        "robots",
        {
            "robots": {
                "ci": {
                    "sinks": [
                        {"namespace": "team-mallory", "name": f"s{number}"} for number in range(3)
                    ]
                }
            }
        },
        "3 sinks are more than 2",
        "max_sinks",
    ),
}
LIMIT |= {
    f"traffic {name}": Attack("namespace.network", content, text, limit)
    for name, (content, text, limit) in NETWORK.items()
}

ALL = [
    *(pytest.param(PLATFORM, attack, id=name) for name, attack in ISOLATION.items()),
    *(pytest.param(LIMITED, attack, id=f"limited {name}") for name, attack in LIMIT.items()),
]
