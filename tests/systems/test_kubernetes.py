"""Kubernetes: namespaces, isolation policies, and marks."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry.connections import Cluster
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.plan import Plan
from tenantry.systems.kubernetes.client import KubernetesClient
from tenantry.walk import observe_owners
from tests.support.harness import ADOPTING, SHOP, Bench, Data, Prepare, actions, found, ids

TEAM: Data = {
    "name": "shop",
    "namespace": {
        "labels": {"tier": "one"},
        "annotations": {"contact": "#shop"},
        "pod_security": "restricted",
        "quota": {"requests.cpu": "1000m", "pods": 50},
        "limits": {"default": {"cpu": "0.5"}, "max": {"memory": "1Gi"}},
        "network": {"policies": {"web": {"ingress": [{"ports": [{"port": 80}]}]}}},
    },
}
MARKS = {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": "shop"}
NAMESPACE = "kubernetes/Namespace/team-shop"
POLICIES = (
    "tenantry-default-deny",
    "tenantry-allow-dns",
    "tenantry-allow-same-namespace",
    "tenantry-allow-mesh",
    "tenantry-allow-gateway",
)


def onboard(bench: Bench) -> None:
    bench.declare(TEAM).onboard()


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench with the onboarded team."""
    return begin(onboard)


def get(bench: Bench, kind: str, name: str, namespace: str | None = "team-shop") -> dict[str, Any]:
    held = bench.sandbox.kubernetes.get(kind, name, namespace)
    assert held is not None, f"there is no {kind} {name}"
    return held


def namespace(bench: Bench, name: str = "team-shop") -> dict[str, Any]:
    return get(bench, "Namespace", name, None)


def foreign(bench: Bench, kind: str, name: str, namespace: str | None = None, **more: Any) -> None:
    """Create an object of another user."""
    versions = {
        "NetworkPolicy": "networking.k8s.io/v1",
        "RoleBinding": "rbac.authorization.k8s.io/v1",
    }
    metadata = {"name": name, "labels": {"app.kubernetes.io/managed-by": "helm"}}
    metadata |= {"namespace": namespace} if namespace else {}
    manifest = {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata}
    bench.sandbox.kubernetes.put({**manifest, **more})


def inside(bench: Bench, name: str = "team-shop") -> list[str]:
    """Return the objects in a namespace, except those that controllers create."""
    return sorted(
        f"{each['kind']}/{each['metadata']['name']}"
        for each in bench.sandbox.kubernetes.objects
        if each["metadata"].get("namespace") == name and each["kind"] != "ServiceAccount"
    )


# Created


def test_a_namespace_bears_our_marks_and_what_is_declared(shop: Bench) -> None:
    metadata = namespace(shop)["metadata"]
    assert metadata["labels"] == {
        **MARKS,
        "kubernetes.io/metadata.name": "team-shop",
        "pod-security.kubernetes.io/enforce": "restricted",
        "istio-injection": "enabled",
        "tier": "one",
    }
    assert metadata["annotations"]["contact"] == "#shop"
    assert metadata["annotations"]["tenantry.io/harbor-project"] == "team-shop"
    assert metadata["annotations"]["tenantry.io/applied"] == shop.state.fingerprint(shop.team())


@pytest.mark.parametrize(
    ("mesh", "label"),
    [
        (True, ("istio-injection", "enabled")),
        (False, ("istio-injection", "disabled")),
        ("canary", ("istio.io/rev", "canary")),
    ],
)
def test_mesh_injection_is_by_label_or_by_revision(
    mesh: bool | str, label: tuple[str, str], bench: Bench
) -> None:
    bench.declare({"name": "shop", "namespace": {"mesh": mesh}}).onboard()
    labels = namespace(bench)["metadata"]["labels"]
    assert {key: labels[key] for key in labels if "istio" in key} == dict([label])
    assert bench.plan() == Plan("shop")


def test_a_change_of_the_mesh_leaves_no_label_behind(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    bench.declare({"name": "shop", "namespace": {"mesh": "canary"}})
    assert found(bench.plan())[NAMESPACE] == {
        "metadata.labels.istio.io/rev": (None, "canary"),
        "metadata.labels.istio-injection": ("enabled", None),
    }
    bench.onboard()
    assert "istio-injection" not in namespace(bench)["metadata"]["labels"]
    assert bench.plan() == Plan("shop")


def test_quota_and_limits_are_made_as_declared(shop: Bench) -> None:
    assert get(shop, "ResourceQuota", "tenantry")["spec"]["hard"] == {
        "requests.cpu": "1",
        "pods": "50",
    }
    (limit,) = get(shop, "LimitRange", "tenantry")["spec"]["limits"]
    assert limit["default"] == {"cpu": "500m", "memory": "1Gi"}
    assert limit["max"] == {"memory": "1Gi"}
    assert shop.plan() == Plan("shop")


def test_without_quota_and_limits_there_are_none(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    assert inside(bench) == sorted(
        [
            *(f"NetworkPolicy/{name}" for name in POLICIES),
            "RoleBinding/tenantry-team",
            "Secret/harbor-ci",
            "Secret/harbor-pull",
        ]
    )


def test_the_policies_deny_all_but_what_is_allowed(shop: Bench) -> None:
    specs = {name: get(shop, "NetworkPolicy", name)["spec"] for name in (*POLICIES, "web")}
    assert specs["tenantry-default-deny"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [],
    }
    (dns,) = specs["tenantry-allow-dns"]["egress"]
    assert dns["ports"] == [
        {"protocol": "UDP", "port": 53},
        {"protocol": "TCP", "port": 53},
    ]
    assert specs["tenantry-allow-dns"]["policyTypes"] == ["Egress"]
    assert specs["tenantry-allow-same-namespace"]["policyTypes"] == ["Ingress", "Egress"]
    assert specs["tenantry-allow-mesh"]["policyTypes"] == ["Egress"]
    assert specs["tenantry-allow-gateway"]["policyTypes"] == ["Ingress"]
    assert specs["web"] == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": 80}]}],
        "egress": [],
    }


@pytest.mark.parametrize(
    ("network", "left_out"),
    [
        ({"allow_dns": False}, {"tenantry-allow-dns"}),
        ({"allow_same_namespace": False}, {"tenantry-allow-same-namespace"}),
        ({"allow_mesh": False}, {"tenantry-allow-mesh"}),
        ({"allow_gateway": False}, {"tenantry-allow-gateway"}),
        ({"deny_by_default": False}, set(POLICIES)),
    ],
)
def test_each_policy_can_be_left_out(
    network: dict[str, bool], left_out: set[str], bench: Bench
) -> None:
    bench.declare({"name": "shop", "namespace": {"network": network}}).onboard()
    made = {name.split("/")[1] for name in inside(bench) if name.startswith("NetworkPolicy/")}
    assert made == set(POLICIES) - left_out


def test_a_namespace_without_mesh_needs_no_way_to_it(bench: Bench) -> None:
    bench.declare({"name": "shop", "namespace": {"mesh": False}}).onboard()
    assert "NetworkPolicy/tenantry-allow-mesh" not in inside(bench)


def test_the_group_is_bound_to_a_role_that_cannot_change_isolation_policies(bench: Bench) -> None:
    bench.declare(SHOP, platform={"kubernetes": {"group_prefix": "oidc:"}}).onboard()
    binding = get(bench, "RoleBinding", "tenantry-team")
    assert binding["roleRef"]["name"] == "tenantry-team-member"
    (subject,) = binding["subjects"]
    assert (subject["kind"], subject["name"]) == ("Group", "oidc:team-shop")
    fences = {"networkpolicies", "resourcequotas", "limitranges", "rolebindings", "roles"}
    writing = {"create", "update", "patch", "delete", "deletecollection", "*"}
    for rule in get(bench, "ClusterRole", "tenantry-team-member", None)["rules"]:
        if writing & set(rule["verbs"]):
            assert not fences & set(rule["resources"])
            assert not ({"", "networking.k8s.io"} & set(rule["apiGroups"])) & {"*"}
            if {"", "networking.k8s.io", "rbac.authorization.k8s.io"} & set(rule["apiGroups"]):
                assert "*" not in rule["resources"]


def test_without_a_cluster_role_no_role_is_bound(bench: Bench) -> None:
    unbound = {**SHOP, "namespace": {"cluster_role": None}}
    bench.declare(unbound).onboard()
    assert "RoleBinding/tenantry-team" not in inside(bench)
    assert bench.sandbox.kubernetes.get("ClusterRole", "tenantry-team-member") is None
    assert not bench.plan().changes
    bench.declare(SHOP).onboard()
    assert "RoleBinding/tenantry-team" in inside(bench)
    bench.declare(unbound).onboard()
    assert "RoleBinding/tenantry-team" not in inside(bench)


def test_a_further_namespace_has_its_own_isolation_policies(bench: Bench) -> None:
    bench.declare({**TEAM, "further_namespaces": {"jobs": {"mesh": False, "quota": {"pods": 5}}}})
    bench.onboard()
    assert namespace(bench, "team-shop-jobs")["metadata"]["labels"].items() >= MARKS.items()
    quota = get(bench, "ResourceQuota", "tenantry", "team-shop-jobs")
    assert quota["spec"]["hard"] == {"requests.cpu": "1", "pods": "5"}
    assert "Secret/harbor-pull" in inside(bench, "team-shop-jobs")
    assert "Secret/harbor-ci" not in inside(bench, "team-shop-jobs")
    assert bench.can_log_in("harbor-pull", "team-shop-jobs")
    assert bench.login("harbor-pull", "team-shop-jobs") == bench.login("harbor-pull")
    assert bench.plan() == Plan("shop")


# Drift


def at(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(held: dict[str, Any]) -> None:
        *steps, last = path
        for step in steps:
            held = held[step]
        if to is None:
            del held[last]
        else:
            held[last] = to

    return change


ENFORCE = "pod-security.kubernetes.io/enforce"
DENY = "kubernetes/NetworkPolicy/team-shop/tenantry-default-deny"
LABELS = ("metadata", "labels")


@pytest.mark.parametrize(
    ("kind", "name", "drift", "differences"),
    [
        (
            "Namespace",
            "team-shop",
            at(*LABELS, ENFORCE, to="privileged"),
            {f"metadata.labels.{ENFORCE}": ("privileged", "restricted")},
        ),
        (
            "Namespace",
            "team-shop",
            at(*LABELS, "tier", to=None),
            {"metadata.labels.tier": (None, "one")},
        ),
        (
            "Namespace",
            "team-shop",
            at(*LABELS, "istio-injection", to="disabled"),
            {"metadata.labels.istio-injection": ("disabled", "enabled")},
        ),
        (
            "Namespace",
            "team-shop",
            at("metadata", "annotations", "contact", to="#other"),
            {"metadata.annotations.contact": ("#other", "#shop")},
        ),
        (
            "ResourceQuota",
            "tenantry",
            at("spec", "hard", "pods", to="500"),
            {"spec.hard.pods": ("500", "50")},
        ),
        (
            "ResourceQuota",
            "tenantry",
            at("spec", "hard", "requests.cpu", to=None),
            {"spec.hard.requests.cpu": (None, "1000m")},
        ),
        (
            "NetworkPolicy",
            "tenantry-default-deny",
            at("spec", "policyTypes", to=["Ingress"]),
            {"spec.policyTypes": (["Ingress"], ["Ingress", "Egress"])},
        ),
        (
            "NetworkPolicy",
            "tenantry-default-deny",
            at("spec", "egress", to=[{}]),
            {"spec.egress": ([{}], [])},
        ),
        (
            "NetworkPolicy",
            "tenantry-default-deny",
            at("spec", "podSelector", to={"matchLabels": {"a": "b"}}),
            {"spec.podSelector": ({"matchLabels": {"a": "b"}}, {})},
        ),
    ],
)
def test_drifted_fields_are_planned_exactly_and_repaired(
    kind: str, name: str, drift: Callable[[Any], None], differences: dict[str, Any], shop: Bench
) -> None:
    where = None if kind == "Namespace" else "team-shop"
    before = get(shop, kind, name, where)
    drifted = get(shop, kind, name, where)
    drift(drifted)
    shop.sandbox.kubernetes.put(drifted)
    key = name if where is None else f"{where}/{name}"
    assert found(shop.plan()) == {f"kubernetes/{kind}/{key}": differences}
    shop.onboard()
    after = get(shop, kind, name, where)
    assert after.get("spec") == before.get("spec")
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert after["metadata"].get("annotations") == before["metadata"].get("annotations")
    assert shop.plan() == Plan("shop")


def test_drifted_limits_subjects_and_rules_are_repaired(shop: Bench) -> None:
    kubernetes = shop.sandbox.kubernetes
    limits = get(shop, "LimitRange", "tenantry")
    limits["spec"]["limits"][0]["max"]["memory"] = "2Gi"
    kubernetes.put(limits)
    binding = get(shop, "RoleBinding", "tenantry-team")
    binding["subjects"].append({**binding["subjects"][0], "name": "intruders"})
    kubernetes.put(binding)
    role = get(shop, "ClusterRole", "tenantry-team-member", None)
    role["rules"].append({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    kubernetes.put(role)
    assert {key: set(fields) for key, fields in found(shop.plan()).items()} == {
        "kubernetes/ClusterRole/tenantry-team-member": {"rules"},
        "kubernetes/LimitRange/team-shop/tenantry": {"spec.limits"},
        "kubernetes/RoleBinding/team-shop/tenantry-team": {"subjects"},
    }
    shop.onboard()
    assert shop.plan() == Plan("shop")
    assert len(get(shop, "RoleBinding", "tenantry-team")["subjects"]) == 1


def test_a_binding_to_another_role_is_replaced(shop: Bench) -> None:
    """The API server refuses to change a binding's role."""
    shop.sandbox.kubernetes.delete("RoleBinding", "tenantry-team", "team-shop")
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "tenantry-team", "namespace": "team-shop", "labels": MARKS},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
    }
    shop.sandbox.kubernetes.put(body)
    assert actions(shop.plan()) == {"kubernetes/RoleBinding/team-shop/tenantry-team": "replace"}
    shop.onboard()
    binding = get(shop, "RoleBinding", "tenantry-team")
    assert binding["roleRef"]["name"] == "tenantry-team-member"
    assert shop.plan() == Plan("shop")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ResourceQuota", "tenantry"),
        ("LimitRange", "tenantry"),
        ("NetworkPolicy", "tenantry-allow-dns"),
        ("RoleBinding", "tenantry-team"),
    ],
)
def test_lost_resources_are_created_again(kind: str, name: str, shop: Bench) -> None:
    shop.sandbox.kubernetes.delete(kind, name, "team-shop")
    assert actions(shop.plan()) == {f"kubernetes/{kind}/team-shop/{name}": "create"}
    shop.onboard()
    assert shop.plan() == Plan("shop")


def test_fields_that_are_no_longer_declared_are_removed(shop: Bench) -> None:
    own = {**TEAM["namespace"], "quota": {"pods": 50}, "labels": {}, "annotations": {}}
    shop.declare({**TEAM, "namespace": own})
    assert found(shop.plan()) == {
        NAMESPACE: {
            "metadata.labels.tier": ("one", None),
            "metadata.annotations.contact": ("#shop", None),
        },
        "kubernetes/ResourceQuota/team-shop/tenantry": {"spec.hard.requests.cpu": ("1", None)},
        "kubernetes/Namespace mark/team-shop": {
            "metadata.annotations.tenantry.io/applied": (
                namespace(shop)["metadata"]["annotations"]["tenantry.io/applied"],
                shop.state.fingerprint(shop.team()),
            )
        },
    }
    shop.onboard()
    assert get(shop, "ResourceQuota", "tenantry")["spec"]["hard"] == {"pods": "50"}
    assert "tier" not in namespace(shop)["metadata"]["labels"]
    assert shop.plan() == Plan("shop")


def test_what_others_set_stays(shop: Bench) -> None:
    held = namespace(shop)
    held["metadata"]["labels"]["cost-centre"] = "7"
    held["metadata"]["annotations"]["seen"] = "yes"
    held["metadata"]["labels"]["tier"] = "two"
    shop.sandbox.kubernetes.put(held)
    shop.onboard()
    metadata = namespace(shop)["metadata"]
    assert metadata["labels"]["cost-centre"] == "7"
    assert metadata["annotations"]["seen"] == "yes"
    assert metadata["labels"]["tier"] == "one"


# Whose it is


def test_a_namespace_that_is_not_ours_is_refused_and_nothing_is_written_in_it(
    bench: Bench,
) -> None:
    """Nor is a project made: the mark that makes it ours would stand on the namespace."""
    foreign(bench, "Namespace", "team-shop")
    bench.declare({**TEAM, "oidc_clients": {"web": {"redirect_uris": ["https://x.example/"]}}})
    before = [each for each in bench.sandbox.kubernetes.objects if each["kind"] != "ClusterRole"]
    with pytest.raises(SystemRefused, match="kubernetes/Namespace/team-shop: it exists"):
        bench.onboard()
    after = [each for each in bench.sandbox.kubernetes.objects if each["kind"] != "ClusterRole"]
    assert after == before
    assert list(bench.sandbox.harbor.projects) == ["library"]
    assert ids(bench.plan().refusals) == [NAMESPACE]


def test_a_further_namespace_that_is_not_ours_is_left_alone_and_the_rest_is_done(
    bench: Bench,
) -> None:
    foreign(bench, "Namespace", "team-shop-jobs")
    bench.declare({**TEAM, "further_namespaces": {"jobs": {}}})
    with pytest.raises(SystemRefused, match="kubernetes/Namespace/team-shop-jobs: it exists"):
        bench.onboard()
    assert inside(bench, "team-shop-jobs") == []
    account = get(bench, "ServiceAccount", "default", "team-shop-jobs")
    assert "imagePullSecrets" not in account
    assert bench.can_log_in("harbor-pull")
    assert bench.systems.not_applied(bench.teams) == bench.teams


@pytest.mark.parametrize("kind", ["NetworkPolicy", "Secret", "RoleBinding"])
def test_an_object_that_is_not_ours_is_refused_and_stays_as_it_is(kind: str, bench: Bench) -> None:
    names = {
        "NetworkPolicy": "tenantry-default-deny",
        "Secret": "harbor-ci",
        "RoleBinding": "tenantry-team",
    }
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "view"}
    contents: dict[str, dict[str, Any]] = {
        "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": {"app": "theirs"}}}},
        "Secret": {"data": {"key": "dGhlaXJz"}},
        "RoleBinding": {"roleRef": role},
    }
    bench.declare({**TEAM, "robots": {"ci": None}}).onboard()
    if bench.sandbox.kubernetes.get(kind, names[kind], "team-shop"):
        bench.sandbox.kubernetes.delete(kind, names[kind], "team-shop")
    foreign(bench, kind, names[kind], "team-shop", **contents[kind])
    before = get(bench, kind, names[kind])
    bench.declare(TEAM)
    with pytest.raises(
        SystemRefused, match=f"kubernetes/{kind}/team-shop/{names[kind]}: it exists"
    ):
        bench.onboard()
    assert get(bench, kind, names[kind]) == before
    bench.declare({**TEAM, "adopt": "yes"}, platform=ADOPTING).onboard()
    metadata = get(bench, kind, names[kind])["metadata"]
    assert metadata["labels"] == MARKS
    assert metadata["annotations"]["tenantry.io/adopted"] == "true"
    assert bench.plan() == Plan("shop")
    assert bench.can_log_in("harbor-ci")


@pytest.mark.parametrize("adopt", ["if-identical", "yes"])
def test_a_namespace_is_adopted_and_the_mark_of_it_stays(adopt: str, bench: Bench) -> None:
    bench.declare({**SHOP, "adopt": adopt}, platform=ADOPTING)
    labels = {ENFORCE: "baseline", "istio-injection": "enabled", "theirs": "yes"}
    body = {"apiVersion": "v1", "kind": "Namespace"}
    bench.sandbox.kubernetes.put({**body, "metadata": {"name": "team-shop", "labels": labels}})
    uid = namespace(bench)["metadata"]["uid"]
    bench.onboard()
    assert namespace(bench)["metadata"]["uid"] == uid
    assert namespace(bench)["metadata"]["labels"].items() >= {**labels, **MARKS}.items()
    for tier in ("one", "two"):
        assert namespace(bench)["metadata"]["annotations"]["tenantry.io/adopted"] == "true"
        assert bench.plan() == Plan("shop")
        bench.declare({**SHOP, "namespace": {"labels": {"tier": tier}}}).onboard()


def test_a_namespace_that_differs_is_not_adopted_if_identical(bench: Bench) -> None:
    bench.declare({**SHOP, "adopt": "if-identical"}, platform=ADOPTING)
    foreign(bench, "Namespace", "team-shop")
    with pytest.raises(SystemRefused, match="it differs in"):
        bench.onboard()
    assert inside(bench) == []


# Terminating


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_namespace_that_is_going_is_waited_for(shop: Bench) -> None:
    kubernetes = shop.sandbox.kubernetes
    old = namespace(shop)["metadata"]["uid"]
    kubernetes.namespace_termination_seconds = 0.3
    kubernetes.delete("Namespace", "team-shop")
    assert namespace(shop)["status"]["phase"] == "Terminating"
    plan = shop.plan()
    assert plan.refusals == ()
    assert actions(plan)[NAMESPACE] == "create"
    assert "harbor/project/team-shop" not in actions(plan)
    shop.onboard()
    assert namespace(shop)["metadata"]["uid"] != old
    assert shop.can_log_in("harbor-pull")
    assert shop.can_log_in("harbor-ci")
    assert shop.plan() == Plan("shop")
    robots = sorted(robot.name for robot in shop.sandbox.harbor.robots.values())
    assert robots == ["ci-a", "pull-a"]


def test_a_namespace_that_is_kept_by_a_finalizer_is_waited_for_until_it_is_released(
    shop: Bench,
) -> None:
    kubernetes = shop.sandbox.kubernetes
    held = namespace(shop)
    kubernetes.put({**held, "metadata": {**held["metadata"], "finalizers": ["a.example/b"]}})
    kubernetes.delete("Namespace", "team-shop")

    def release() -> None:
        time.sleep(0.3)
        ending = namespace(shop)
        ending["metadata"]["finalizers"] = []
        kubernetes.put(ending)

    thread = threading.Thread(target=release)
    thread.start()
    shop.onboard()
    thread.join()
    assert shop.plan() == Plan("shop")


# Talking to the server


def test_more_than_a_page_of_objects_is_read(bench: Bench) -> None:
    bench.declare(*({"name": f"t{number}"} for number in range(5)))
    for number in range(520):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"aaa-{number:03}"}}
        bench.sandbox.kubernetes.put(body)
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    for team in bench.teams:
        bench.systems.apply(bench.systems.plan(team, seen), seen)
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    assert all(bench.systems.plan(team, seen) == Plan(team.name) for team in bench.teams)


def cluster(server: str, token: str) -> KubernetesClient:
    content = {
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    return KubernetesClient(Cluster(kubeconfig_content=content))


def test_a_wrong_token_is_named_and_not_shown(bench: Bench) -> None:
    content = json.loads(Path(bench.sandbox.addresses()["kubernetes"]["kubeconfig"]).read_text())
    content["users"][0]["user"]["token"] = "Wrong12345"
    wrong = KubernetesClient(Cluster(kubeconfig_content=content))
    with pytest.raises(SystemRefused) as refused:
        wrong.get("Namespace", "default")
    assert refused.value.status == 401
    assert "The credentials of the cluster connection are not accepted" in str(refused.value)
    assert "Wrong12345" not in f"{refused.value}{refused.value.__dict__}"


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_is_down_is_reported() -> None:
    with pytest.raises(SystemUnavailable, match=r"Kubernetes: GET /version: no answer"):
        cluster("http://127.0.0.1:9", "x").version()


@pytest.mark.parametrize("path", ["/nowhere/config", None])
def test_a_missing_kubeconfig_is_reported_without_a_traceback(
    path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SystemRefused, match="Kubernetes: "):
        KubernetesClient(Cluster(kubeconfig=path))
