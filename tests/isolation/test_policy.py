"""Attacks by what a team declares: each is refused, at its line, with the grant that would allow it.

Mallory owns one team. She can edit `teams/mallory.yaml` and call `onboard-team`; she cannot edit
`platform.yaml`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from tenantry import declared
from tenantry.declared import Declaration, read_form
from tenantry.declared.platform import Platform
from tenantry.errors import DeclarationError
from tests.support.harness import Data, granted, write

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
    """What Mallory declares, and the fault that it is."""

    field: str
    """The field that the fault names."""
    content: Data
    text: str
    """A part of the fault's text."""
    limit: str
    """The limit that the proposed grant holds."""


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
    # Groups of others, and names that only look different
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
    "projectAdmin for the team": Attack(
        "harbor.role",
        {"harbor": {"role": "projectAdmin"}},
        "may rewrite robots and members",
        "project_admin",
    ),
    "projectAdmin for a group": Attack(
        "harbor.groups.friends",
        {"harbor": {"groups": {"friends": "projectAdmin"}}},
        "may rewrite robots and members",
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
    # Addresses that logins return to
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
        "harbor.public", {"harbor": {"public": True}}, "pull the team's images", "public_projects"
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
        "runs every 1 minutes",
        "min_schedule_minutes",
    ),
    "a schedule twice at midnight": Attack(
        "harbor.retention.schedule",
        {"harbor": {"retention": {"rules": [{"latest_pushed": 1}], "schedule": "0,59 0,23 * * *"}}},
        "runs every 1 minutes",
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


def policies(**specs: Any) -> Data:
    return {"namespace": {"network": {"policies": specs}}}


ANYWHERE: dict[str, Any] = {"to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}]}
NETWORK: dict[str, tuple[Data, str, str]] = {
    "from everywhere": (
        policies(p={"ingress": [{}]}),
        "namespace.network.policies.p.ingress[0]: allows ingress from everywhere",
        "without_isolation",
    ),
    "from everywhere to a port": (
        policies(p={"ingress": [{"ports": [{"port": 80}]}]}),
        "namespace.network.policies.p.ingress[0]: allows ingress from everywhere",
        "without_isolation",
    ),
    "from all addresses": (
        policies(p={"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}),
        "allows ingress from all addresses, 0.0.0.0/0",
        "without_isolation",
    ),
    "from all addresses in halves": (
        policies(
            p={"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/1"}}]}]},
            q={"ingress": [{"from": [{"ipBlock": {"cidr": "128.0.0.0/1"}}]}]},
        ),
        "allows ingress from all addresses, 0.0.0.0/0",
        "without_isolation",
    ),
    "from all addresses of IPv6": (
        policies(p={"ingress": [{"from": [{"ipBlock": {"cidr": "::/0"}}]}]}),
        "allows ingress from all addresses, ::/0",
        "without_isolation",
    ),
    "from all namespaces": (
        policies(p={"ingress": [{"from": [{"namespaceSelector": {}}]}]}),
        "allows ingress from namespaces that it does not name",
        "without_isolation",
    ),
    "from namespaces of other teams": (
        policies(
            p={
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchExpressions": [
                                        {
                                            "key": "kubernetes.io/metadata.name",
                                            "operator": "NotIn",
                                            "values": ["x"],
                                        }
                                    ]
                                }
                            }
                        ]
                    }
                ]
            }
        ),
        "allows ingress from namespaces that it does not name",
        "without_isolation",
    ),
    "from all that Tenantry made": (
        policies(
            p={
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchLabels": {"app.kubernetes.io/managed-by": "tenantry"}
                                }
                            }
                        ]
                    }
                ]
            }
        ),
        "allows ingress from namespaces that it does not name",
        "without_isolation",
    ),
    "in place of the default": (
        policies(**{"tenantry-default-deny": {"podSelector": {"matchLabels": {"a": "b"}}}}),
        "takes the place of the policy 'tenantry-default-deny'",
        "without_isolation",
    ),
    "to other addresses": (
        policies(p={"egress": [{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]}]}),
        "allows traffic to 169.254.169.254/32",
        "egress",
    ),
    "to more addresses": (
        policies(p={"egress": [{"to": [{"ipBlock": {"cidr": "8.0.0.0/6"}}]}]}),
        "allows traffic to 8.0.0.0/6",
        "egress",
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


def mallory(attack: Attack) -> Data:
    return {"name": "mallory", **attack.content}


def read(folder: Path, *teams: Data, platform: Data) -> Declaration:
    """Return a declared state without the teams that are left out."""
    for path in (folder / "teams").glob("*.yaml"):
        path.unlink()
    return declared.read(write(folder, *teams, platform=platform))


def grant_in(fault: str) -> dict[str, Any]:
    """Return the grant that a fault proposes, as a user pastes it."""
    (item,) = YAML(typ="safe", pure=True).load(fault[fault.index("- {teams: ") :])
    return dict(item)


def with_grants(platform: Data, *grants: Mapping[str, Any]) -> Data:
    policy = platform.get("policy", {})
    return {**platform, "policy": {**policy, "grants": [*policy.get("grants", ()), *grants]}}


@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_an_attack_by_a_team_file_is_refused_and_the_others_are_served(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    state = read(tmp_path, mallory(attack), SHOP, platform=platform)

    assert list(state.teams) == ["shop"]
    (left_out,) = state.left_out
    assert left_out.names == ("mallory",)
    matching = [each for each in left_out.faults if attack.text in each]
    assert matching, left_out.faults
    for fault in left_out.faults:
        assert re.match(r"teams/mallory\.yaml:\d+: ", fault), fault
        assert re.search(r"platform\.yaml:\d+", fault), "it names the policy's line"
        assert fault.isprintable(), "what is invisible or acts on a terminal is escaped"
    assert f" {attack.field}" in matching[0]
    grant = grant_in(matching[0])
    assert grant["teams"] == ["mallory"]
    assert attack.limit in grant


@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_an_attack_by_the_api_is_refused(platform: Data, attack: Attack, tmp_path: Path) -> None:
    state = read(tmp_path, SHOP, platform=platform)
    team, form = read_form(json.loads(json.dumps(mallory(attack))))

    with pytest.raises(DeclarationError) as refused:
        declared.add_team(state, team, form)

    assert any(attack.text in fault for fault in refused.value.faults)
    assert all(fault.startswith("team mallory: ") for fault in refused.value.faults)


@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_the_proposed_grant_allows_it_to_that_team_only(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    eve = {**mallory(attack), "name": "eve"}
    faults = read(tmp_path, mallory(attack), platform=platform).faults
    grants = [grant_in(fault) for fault in faults]

    allowed = read(tmp_path, mallory(attack), platform=with_grants(platform, *grants))
    assert list(allowed.teams) == ["mallory"], allowed.faults

    others = read(tmp_path, eve, platform=with_grants(platform, *grants))
    assert list(others.teams) == []


@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_what_the_platform_gives_by_default_needs_no_grant(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    if not attack.content.keys() <= declared.TeamSettings.model_fields.keys():
        return  # a platform gives no group to its teams
    if "tenantry-default-deny" in json.dumps(attack.content):
        return
    given = {**platform, "defaults": attack.content}
    state = read(tmp_path, {"name": "mallory"}, {"name": "shop"}, platform=given)
    contested = {
        fault for each in state.left_out for fault in each.faults if "declared by" in fault
    }
    assert set(state.faults) <= contested


@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_a_profile_that_gives_more_is_for_the_teams_that_it_names(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    """Mallory chooses her profile herself."""
    if not attack.content.keys() <= declared.TeamSettings.model_fields.keys():
        return
    team = {"name": "mallory", "profile": "gold"}
    with_profile = {**platform, "profiles": {"gold": attack.content}}

    (fault,) = read(tmp_path, team, platform=with_profile).faults
    assert fault.startswith("teams/mallory.yaml:2: profile: 'gold' gives more than the policy")
    assert "add 'mallory' to policy.profiles.gold.teams in platform.yaml" in fault

    def named(*teams: str) -> Data:
        policy = {**platform.get("policy", {}), "profiles": {"gold": {"teams": [*teams]}}}
        return {**with_profile, "policy": policy}

    assert list(read(tmp_path, team, platform=named("mallory")).teams) == ["mallory"]
    (fault,) = read(tmp_path, team, platform=named("shop")).faults
    assert "policy.profiles.gold.teams names" in fault


def test_a_profile_with_looser_limits_must_name_its_teams() -> None:
    """Without names any team could choose it, so that the platform itself is faulty."""
    from tenantry.declared.policy_check import check_platform

    for limits in ({"max_storage": "200Gi"}, {"egress": None}, {"groups": ["x"]}):
        policy = {"limits": LIMITS, "profiles": {"gold": limits}}
        content = {**PLATFORM, "profiles": {"gold": {}}, "policy": policy}
        ((place, text),) = check_platform(Platform.model_validate(content))
        assert place == ("policy", "profiles", "gold")
        assert "name the teams that may use it in 'teams'" in text
    tighter = {"limits": LIMITS, "profiles": {"gold": {"max_storage": "1Gi"}}}
    content = {**PLATFORM, "profiles": {"gold": {}}, "policy": tighter}
    assert not list(check_platform(Platform.model_validate(content)))


def test_a_listed_group_reserves_nothing(tmp_path: Path) -> None:
    """Mallory lists the group of shop in her project: shop stays as it is."""
    listing = {"name": "mallory", "harbor": {"groups": {"team-shop": "guest"}}}
    assert list(read(tmp_path, listing, SHOP, platform=PLATFORM).teams) == ["mallory", "shop"]


def test_a_team_named_like_a_group_of_the_platform_is_refused(tmp_path: Path) -> None:
    platform = {**PLATFORM, "defaults": {"harbor": {"groups": {"team-ops": "projectAdmin"}}}}
    state = read(tmp_path, {"name": "ops"}, SHOP, platform=platform)
    assert list(state.teams) == ["shop"]
    assert any("'team-ops' is reserved: platform.yaml names this" in each for each in state.faults)


def test_the_group_of_all_projects_is_refused(tmp_path: Path) -> None:
    """It is in each project, and so in Mallory's, which no grant makes good."""
    state = read(tmp_path, {"name": "mallory", "group": "all-teams-admin"}, SHOP, platform=PLATFORM)
    assert list(state.teams) == ["shop"]
    assert any("'all-teams-admin' is reserved" in each for each in state.faults)


def test_a_prefix_of_groups_cannot_complete_a_reserved_name(tmp_path: Path) -> None:
    platform = {**PLATFORM, "kubernetes": {"group_prefix": "sys"}}
    state = read(tmp_path, {"name": "mallory", "group": "tem:masters"}, platform=platform)
    assert "is reserved: Kubernetes gives rights" in state.faults[0]


# What Mallory claims never leaves another team out


@pytest.mark.parametrize(
    "claim",
    [
        {"group": "shoppers"},
        {"robots": {"ci": {"replaces": ["robot$old"]}}},
        {"robots": {"ci": {"sinks": [{"namespace": "pipelines", "name": "shop"}]}}},
        {"external_groups": {"corp": ["Shop"]}},
        {"routes": {"x": {"host": "pay.example.com", "paths": [{"service": "a", "port": 1}]}}},
    ],
    ids=["group", "robot", "sink", "external name", "host"],
)
def test_a_refused_claim_keeps_no_other_team_out(claim: Data, tmp_path: Path) -> None:
    allows = {
        "groups": ["shoppers"],
        "replaces": ["robot$old"],
        "sinks": ["pipelines/shop"],
        "external_groups": ["Shop"],
        "further_hosts": ["pay.example.com"],
    }
    platform = with_grants(LIMITED, {"teams": ["shop"], "reason": "a test", **allows})
    state = read(
        tmp_path, {"name": "mallory", **claim}, {"name": "shop", **claim}, platform=platform
    )
    assert list(state.teams) == ["shop"], state.faults


def test_a_host_below_a_granted_wildcard_belongs_to_its_team(tmp_path: Path) -> None:
    paths = [{"service": "a", "port": 1}]
    shop = {"name": "shop", "routes": {"all": {"host": "*.shop.example.com", "paths": paths}}}
    thief = {"name": "mallory", "routes": {"x": {"host": "login.shop.example.com", "paths": paths}}}
    platform = granted("shop", platform=PLATFORM, further_hosts=["*.shop.example.com"])

    state = read(tmp_path, thief, shop, platform=platform)

    assert list(state.teams) == ["shop"]
    assert "belongs to team 'shop', which has '*.shop.example.com'" in state.faults[0]


def test_a_robot_of_a_longer_name_is_not_replaced(tmp_path: Path) -> None:
    """`otomi-team-{team}-*` for `shop` also fits the robots of `shop-web`."""
    platform = {**PLATFORM, "policy": {"limits": {"replaces": ["otomi-team-{team}-*"]}}}
    shop = {"name": "shop", "robots": {"ci": {"replaces": ["otomi-team-shop-web-pull"]}}}
    own = {"name": "shop", "robots": {"ci": {"replaces": ["otomi-team-shop-pull"]}}}

    state = read(tmp_path, shop, {"name": "shop-web"}, platform=platform)
    assert list(state.teams) == ["shop-web"]
    assert "is a robot of team 'shop-web' by policy.limits.replaces" in state.faults[0]
    assert read(tmp_path, own, {"name": "shop-web"}, platform=platform).faults == []


def test_a_grant_is_not_for_another_file_that_takes_the_teams_name(tmp_path: Path) -> None:
    """Mallory's file says `name: shop` once shop is gone; its grants stay in the policy."""
    platform = granted("shop", platform=PLATFORM, groups=["finance"])
    write(tmp_path, platform=platform)
    (tmp_path / "teams" / "mallory.yaml").write_text("name: shop\ngroup: finance\n")
    state = declared.read(tmp_path)
    assert list(state.teams) == []
    assert grant_in(state.faults[0])["files"] == ["mallory.yaml"]


TAKEN_NAMES: Mapping[str, tuple[Data, Data]] = {
    "a removed team": ({"name": "gone"}, {}),
    "a further namespace": (
        {"name": "shop-ci", "robots": {"pull": {"expiry_days": 30}}},
        {"further_namespaces": {"ci": {}}, "robots": {"pull": {"attach": True}}},
    ),
    "a host of logins": (
        {
            "name": "gone",
            "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
        },
        {"routes": SHOP["routes"]},
    ),
    "a host of a route": ({"name": "gone", "routes": SHOP["routes"]}, {"routes": SHOP["routes"]}),
    "a longer name": (
        {"name": "shop-web"},
        {"robots": {"ci": {"replaces": ["otomi-team-shop-web-pull"]}}},
    ),
    "an external name": (
        {"name": "gone", "external_groups": {"corp": ["Shop"]}},
        {"external_groups": {"corp": ["Shop"]}},
    ),
}
"""What Mallory's file declares under another name, and what team shop declares."""


@pytest.mark.parametrize("case", TAKEN_NAMES)
def test_a_file_declares_only_the_team_that_it_is_named_after(case: str, tmp_path: Path) -> None:
    content, of_shop = TAKEN_NAMES[case]
    platform = {**PLATFORM, "policy": {"limits": {"replaces": ["otomi-team-{team}-*"]}}}
    write(tmp_path, {"name": "shop", **of_shop}, platform=platform)
    (tmp_path / "teams" / "mallory.yaml").write_text(json.dumps(content))

    state = declared.read(tmp_path)

    assert list(state.teams) == ["shop"], state.faults
    assert all(fault.startswith("teams/mallory.yaml:1: ") for fault in state.faults)


def test_a_grant_lets_another_file_declare_a_team(tmp_path: Path) -> None:
    write(tmp_path, platform=PLATFORM)
    (tmp_path / "teams" / "mallory.yaml").write_text("name: shop\n")
    (fault,) = declared.read(tmp_path).faults
    assert fault.startswith(
        "teams/mallory.yaml:1: name: team 'shop' must be declared in teams/shop.yaml (a rule of the "
        "policy that always applies, platform.yaml:1). Rename the file, or add to policy.grants in platform.yaml: "
    )

    write(tmp_path, platform=with_grants(PLATFORM, grant_in(fault)))
    assert list(declared.read(tmp_path).teams) == ["shop"]
    (tmp_path / "teams" / "eve.yaml").write_text("name: data\n")
    state = declared.read(tmp_path)
    assert list(state.teams) == ["shop"], "the grant is for one file and one team"


def test_a_refused_address_does_not_dispute_a_host(tmp_path: Path) -> None:
    """Mallory's logins return to a host that her policy does not give her."""
    uris = {"redirect_uris": ["https://shop.example.com/cb"]}
    state = read(
        tmp_path,
        {"name": "mallory", "oidc_clients": {"web": uris}},
        {"name": "shop", "routes": SHOP["routes"]},
        platform=LIMITED,
    )
    assert list(state.teams) == ["shop"], state.faults


def test_harmless_values_stay_accepted(tmp_path: Path) -> None:
    team = {
        "name": "mallory",
        "harbor": {"role": "maintainer", "groups": {"auditors": "guest"}, "public": True},
        "namespace": {
            "pod_security": "restricted",
            "labels": {
                "app.kubernetes.io/part-of": "web",
                "pod-security.kubernetes.io/enforce": "restricted",
                "example.com/cost-centre": "7",
            },
            "mesh": True,
        },
        "further_namespaces": {"jobs": {"mesh": False}},
        "robots": {
            "ci": {
                "expiry_days": "never",
                "sinks": [{"namespace": "team-mallory-jobs", "name": "x"}],
            }
        },
        "routes": {
            "web": {
                "host": "mallory.example.com",
                "paths": [{"service": "a", "port": 1}],
                "gateway": "istio-ingress/public",
            }
        },
        "oidc_clients": {
            "web": {
                "redirect_uris": [
                    "https://mallory.example.com/*",
                    "http://localhost:8080/cb",
                    "com.example.app:/callback",
                    "/relative",
                ],
                "post_logout_redirect_uris": ["+"],
                "web_origins": ["+"],
            }
        },
        "external_groups": {"corp": ["Mallory"]},
    }
    state = read(tmp_path, team, SHOP, platform=PLATFORM)
    assert state.faults == []
    assert state.warnings == ()
