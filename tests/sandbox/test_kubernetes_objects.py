"""Objects of the simulated Kubernetes: what is kept, refused, defaulted, listed and ended."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from kubernetes import client
from kubernetes.dynamic import DynamicClient

from tenantry.sandbox import Sandbox
from tenantry.sandbox.kubernetes import SimulatedKubernetes


@pytest.fixture
def kubernetes(sandbox: Sandbox) -> Iterator[SimulatedKubernetes]:
    """The simulated Kubernetes with a namespace `team-a`."""
    pristine = sandbox.kubernetes.dump()
    sandbox.kubernetes.put(namespace("team-a"))
    yield sandbox.kubernetes
    sandbox.kubernetes.load(pristine)


@pytest.fixture
def api(kubernetes: SimulatedKubernetes) -> client.ApiClient:
    configuration = client.Configuration(host=kubernetes.url)
    configuration.api_key = {"authorization": f"Bearer {kubernetes.token}"}
    return client.ApiClient(configuration)


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def namespace(name: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def refusal(raised: pytest.ExceptionInfo[client.ApiException]) -> tuple[int, str, str]:
    body = json.loads(raised.value.body)
    assert body["kind"] == "Status"
    assert body["code"] == raised.value.status
    return body["code"], body["reason"], body["message"]


def details(raised: pytest.ExceptionInfo[client.ApiException]) -> dict[str, Any]:
    return json.loads(raised.value.body)["details"]


# Access and discovery


def test_the_token_is_needed(kubernetes: SimulatedKubernetes) -> None:
    answer = httpx.get(f"{kubernetes.url}/api/v1/namespaces")
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")
    assert httpx.get(f"{kubernetes.url}/version").json()["gitVersion"] == "v1.37.2"


def test_discovery_serves_the_dynamic_client(api: client.ApiClient) -> None:
    dynamic = DynamicClient(api)
    routes = dynamic.resources.get(api_version="networking.istio.io/v1", kind="VirtualService")
    rep = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "harbor"},
        "spec": {"hosts": ["harbor.example.org"]},
    }
    made = routes.server_side_apply(body=rep, namespace="team-a", field_manager="tenantry")
    assert (made.metadata.generation, made.spec.hosts) == (1, ["harbor.example.org"])
    both = {each.group for each in dynamic.resources.search(kind="Gateway")}
    assert both == {"networking.istio.io", "gateway.networking.k8s.io"}


def test_unknown_kinds_are_no_page(api: client.ApiClient) -> None:
    custom = client.CustomObjectsApi(api)
    with pytest.raises(client.ApiException) as raised:
        custom.list_cluster_custom_object("nonsense.io", "v1", "things")
    assert (raised.value.status, raised.value.body) == (404, "404 page not found\n")


def test_a_watch_says_that_it_is_not_simulated(core: client.CoreV1Api) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.list_namespace(watch=True)
    code, _, message = refusal(raised)
    assert code == 501
    assert "does not simulate watching namespaces" in message


def test_istio_is_installed(api: client.ApiClient, kubernetes: SimulatedKubernetes) -> None:
    definitions = client.ApiextensionsV1Api(api).list_custom_resource_definition()
    names = {each.metadata.name for each in definitions.items}
    assert {"virtualservices.networking.istio.io", "httproutes.gateway.networking.k8s.io"} <= names
    assert kubernetes.get("ClusterRole", "edit") is not None


# Writing


def test_a_namespace_comes_complete(core: client.CoreV1Api) -> None:
    made = core.create_namespace(namespace("team-b", team="b"))
    assert made.metadata.labels == {"team": "b", "kubernetes.io/metadata.name": "team-b"}
    assert (made.status.phase, made.spec.finalizers) == ("Active", ["kubernetes"])
    accounts = core.list_namespaced_service_account("team-b").items
    assert [account.metadata.name for account in accounts] == ["default"]


def test_a_name_is_taken_once(core: client.CoreV1Api) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.create_namespace(namespace("team-a"))
    said = 'namespaces "team-a" already exists'
    assert refusal(raised) == (409, "AlreadyExists", said)
    assert details(raised) == {"name": "team-a", "kind": "namespaces"}


def test_what_is_not_there_is_named(core: client.CoreV1Api, api: client.ApiClient) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.read_namespace("nobody")
    assert refusal(raised) == (404, "NotFound", 'namespaces "nobody" not found')
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_secret("nobody", {"metadata": {"name": "s"}})
    assert refusal(raised) == (404, "NotFound", 'namespaces "nobody" not found')
    with pytest.raises(client.ApiException) as raised:
        client.NetworkingV1Api(api).read_namespaced_network_policy("x", "team-a")
    assert refusal(raised)[2] == 'networkpolicies.networking.k8s.io "x" not found'
    expected = {"name": "x", "group": "networking.k8s.io", "kind": "networkpolicies"}
    assert details(raised) == expected


def test_a_stale_version_is_a_conflict(core: client.CoreV1Api) -> None:
    account = core.read_namespaced_service_account("default", "team-a")
    account.image_pull_secrets = [client.V1LocalObjectReference(name="pull")]
    changed = core.replace_namespaced_service_account("default", "team-a", account)
    assert changed.metadata.resource_version != account.metadata.resource_version
    with pytest.raises(client.ApiException) as raised:
        core.replace_namespaced_service_account("default", "team-a", account)
    code, reason, message = refusal(raised)
    assert (code, reason) == (409, "Conflict")
    assert message.startswith('Operation cannot be fulfilled on serviceaccounts "default": the obj')
    again = core.replace_namespaced_service_account("default", "team-a", changed)
    assert again.metadata.resource_version == changed.metadata.resource_version


def test_a_dry_run_keeps_nothing(core: client.CoreV1Api) -> None:
    made = core.create_namespaced_secret("team-a", {"metadata": {"name": "s"}}, dry_run="All")
    assert made.type == "Opaque"
    assert core.list_namespaced_secret("team-a").items == []
    core.delete_namespace("team-a", dry_run="All")
    assert core.read_namespace("team-a").status.phase == "Active"


@pytest.mark.parametrize(
    ("content_type", "patch", "data"),
    [
        ("application/merge-patch+json", {"data": {"a": None, "b": "2"}}, {"b": "2"}),
        ("application/strategic-merge-patch+json", {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
        (
            "application/json-patch+json",
            [{"op": "replace", "path": "/data/a", "value": "3"}],
            {"a": "3"},
        ),
    ],
)
def test_patches(core: client.CoreV1Api, content_type: str, patch: Any, data: dict) -> None:
    core.create_namespaced_config_map("team-a", {"metadata": {"name": "c"}, "data": {"a": "1"}})
    patched = core.patch_namespaced_config_map("c", "team-a", patch, _content_type=content_type)
    assert patched.data == data


def test_a_strategic_merge_replaces_the_pull_secrets(core: client.CoreV1Api) -> None:
    for name in ("one", "two"):
        patch = {"imagePullSecrets": [{"name": name}]}
        account = core.patch_namespaced_service_account("default", "team-a", patch)
    assert [each.name for each in account.image_pull_secrets] == ["two"]


# Defaults and canonical forms


def test_quantities_are_kept_in_one_form(core: client.CoreV1Api) -> None:
    given = {"requests.cpu": "1000m", "limits.cpu": "0.5", "memory": "1024Mi", "pods": "1000"}
    rep = {"metadata": {"name": "q"}, "spec": {"hard": given}}
    made = core.create_namespaced_resource_quota("team-a", rep)
    expected = {"requests.cpu": "1", "limits.cpu": "500m", "memory": "1Gi", "pods": "1k"}
    assert made.spec.hard == expected


def test_a_limit_range_completes_itself(core: client.CoreV1Api) -> None:
    limit = {"type": "Container", "max": {"cpu": "2"}, "default": {"memory": "512Mi"}}
    rep = {"metadata": {"name": "l"}, "spec": {"limits": [limit]}}
    [made] = core.create_namespaced_limit_range("team-a", rep).spec.limits
    assert made.default == {"cpu": "2", "memory": "512Mi"}
    assert made.default_request == {"cpu": "2", "memory": "512Mi"}


def test_a_network_policy_completes_itself(api: client.ApiClient) -> None:
    rep = {"metadata": {"name": "p"}, "spec": {"egress": [{"ports": [{"port": 53}]}]}}
    made = client.NetworkingV1Api(api).create_namespaced_network_policy("team-a", rep)
    assert made.spec.policy_types == ["Ingress", "Egress"]
    assert made.spec.egress[0].ports[0].protocol == "TCP"


def test_a_route_completes_itself(api: client.ApiClient) -> None:
    rep = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {
            "parentRefs": [{"name": "g"}],
            "rules": [{"backendRefs": [{"name": "b", "port": 80}]}],
        },
    }
    custom = client.CustomObjectsApi(api)
    where = ("gateway.networking.k8s.io", "v1", "team-a", "httproutes")
    made = custom.create_namespaced_custom_object(*where, rep)
    [rule] = made["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    backend = {"name": "b", "port": 80, "group": "", "kind": "Service", "weight": 1}
    assert rule["backendRefs"] == [backend]


def test_a_secrets_strings_become_data(core: client.CoreV1Api) -> None:
    rep = {"metadata": {"name": "s"}, "stringData": {"a": "word"}}
    made = core.create_namespaced_secret("team-a", rep)
    assert (made.string_data, made.data) == (None, {"a": base64.b64encode(b"word").decode()})


# Refusals


def test_a_bad_name_is_invalid(core: client.CoreV1Api) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.create_namespace(namespace("Team_A"))
    code, reason, message = refusal(raised)
    assert (code, reason) == (422, "Invalid")
    said = 'Namespace "Team_A" is invalid: metadata.name: Invalid value: "Team_A": a lowercase'
    assert message.startswith(said)
    [cause] = details(raised)["causes"]
    assert (cause["field"], cause["reason"]) == ("metadata.name", "FieldValueInvalid")


@pytest.mark.parametrize(
    ("hard", "code"), [({"cpu": "much"}, 400), ({"cpu": "-1"}, 422), ({"nonsense": "1"}, 422)]
)
def test_a_bad_quantity_is_refused(core: client.CoreV1Api, hard: dict, code: int) -> None:
    """What can't be read is a bad request; what can be read may still be invalid."""
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_resource_quota(
            "team-a", {"metadata": {"name": "q"}, "spec": {"hard": hard}}
        )
    assert refusal(raised)[0] == code


def test_a_role_binding_keeps_its_role(api: client.ApiClient) -> None:
    rbac = client.RbacAuthorizationV1Api(api)
    rep = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "Group", "name": "team-a"}],
    }
    made = rbac.create_namespaced_role_binding("team-a", rep)
    assert made.subjects[0].api_group == made.role_ref.api_group == "rbac.authorization.k8s.io"
    with pytest.raises(client.ApiException) as raised:
        rbac.patch_namespaced_role_binding("b", "team-a", {"roleRef": {"name": "admin"}})
    code, _, message = refusal(raised)
    assert code == 422
    assert message.endswith("cannot change roleRef")
    assert message.startswith('RoleBinding.rbac.authorization.k8s.io "b" is invalid: roleRef')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "kubernetes.io/tls"}, "type: Invalid value"),
        ({"data": {"a": "not base64!"}}, "illegal base64"),
        ({"data": {"a": "Yg=="}}, "field is immutable when `immutable` is set"),
    ],
)
def test_what_a_secret_refuses(core: client.CoreV1Api, change: dict, said: str) -> None:
    rep = {"metadata": {"name": "s"}, "immutable": True, "data": {"a": "YQ=="}}
    core.create_namespaced_secret("team-a", rep)
    with pytest.raises(client.ApiException) as raised:
        core.patch_namespaced_secret("s", "team-a", change)
    assert said in refusal(raised)[2]


def test_a_pull_secret_has_to_hold_a_configuration(core: client.CoreV1Api) -> None:
    rep = {"metadata": {"name": "s"}, "type": "kubernetes.io/dockerconfigjson"}
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_secret("team-a", rep)
    assert details(raised)["causes"][0]["field"] == "data[.dockerconfigjson]"


# Lists


def test_lists_come_by_labels_and_names(core: client.CoreV1Api) -> None:
    for name, labels in (("one", {"a": "1"}), ("two", {"a": "2", "b": ""}), ("three", {})):
        core.create_namespaced_config_map("team-a", {"metadata": {"name": name, "labels": labels}})
    found = {
        selector: [
            each.metadata.name
            for each in core.list_namespaced_config_map("team-a", label_selector=selector).items
        ]
        for selector in ("a=1", "a!=1", "a in (1, 2),!b", "a notin (1)", "b", "!a")
    }
    assert found == {
        "a=1": ["one"],
        "a!=1": ["three", "two"],
        "a in (1, 2),!b": ["one"],
        "a notin (1)": ["three", "two"],
        "b": ["two"],
        "!a": ["three"],
    }
    one = core.list_config_map_for_all_namespaces(field_selector="metadata.name=one")
    assert [each.metadata.namespace for each in one.items] == ["team-a"]
    with pytest.raises(client.ApiException, match=r"field label not supported: spec\.x"):
        core.list_namespace(field_selector="spec.x=1")


def test_a_list_comes_in_chunks(core: client.CoreV1Api) -> None:
    for number in range(5):
        core.create_namespaced_config_map("team-a", {"metadata": {"name": f"c-{number}"}})
    first = core.list_namespaced_config_map("team-a", limit=3)
    assert (len(first.items), first.metadata.remaining_item_count) == (3, 2)
    rest = core.list_namespaced_config_map("team-a", limit=3, _continue=first.metadata._continue)
    assert [each.metadata.name for each in rest.items] == ["c-3", "c-4"]
    assert rest.metadata._continue is None


# Ends


def test_a_namespace_takes_a_while_to_go(sandbox: Sandbox, core: client.CoreV1Api) -> None:
    core.create_namespaced_config_map("team-a", {"metadata": {"name": "c"}})
    core.delete_namespace("team-a")
    assert core.read_namespace("team-a").status.phase == "Terminating"
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_config_map("team-a", {"metadata": {"name": "d"}})
    assert refusal(raised)[:2] == (403, "Forbidden")
    [cause] = details(raised)["causes"]
    assert cause["reason"] == "NamespaceTerminating"
    sandbox.clock.move(1)
    with pytest.raises(client.ApiException, match="404"):
        core.read_namespace("team-a")
    assert core.list_config_map_for_all_namespaces().items == []
    sandbox.clock.move(-1)


def test_a_finalizer_holds_a_namespace(
    sandbox: Sandbox, core: client.CoreV1Api, kubernetes: SimulatedKubernetes
) -> None:
    rep = {"metadata": {"name": "c", "finalizers": ["example.org/wait"]}}
    core.create_namespaced_config_map("team-a", rep)
    core.delete_namespace("team-a")
    sandbox.clock.move(1)
    stuck = core.read_namespace("team-a").status
    assert stuck.phase == "Terminating"
    assert "NamespaceFinalizersRemaining" in {each.type for each in stuck.conditions}
    core.patch_namespaced_config_map("c", "team-a", {"metadata": {"finalizers": None}})
    with pytest.raises(client.ApiException, match="404"):
        core.read_namespace("team-a")
    sandbox.clock.move(-1)


def test_a_delete_answers_as_its_kind_does(core: client.CoreV1Api) -> None:
    secret = core.create_namespaced_secret("team-a", {"metadata": {"name": "s"}})
    options = {"preconditions": {"uid": "another"}}
    with pytest.raises(client.ApiException, match="Precondition failed"):
        core.delete_namespaced_secret("s", "team-a", body=options)
    gone = core.delete_namespaced_secret("s", "team-a")
    assert (gone["status"], gone["details"]["uid"]) == ("Success", secret.metadata.uid)
    account = core.delete_namespaced_service_account("default", "team-a")
    assert account.metadata.name == "default"
    with pytest.raises(client.ApiException, match="may not be deleted"):
        core.delete_namespace("kube-system")


# Without a request


def test_somebody_else_may_change_things(
    core: client.CoreV1Api, kubernetes: SimulatedKubernetes
) -> None:
    rep = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "team-a"},
        "data": {"a": "1"},
    }
    kubernetes.put(rep)
    kubernetes.put(rep | {"data": {"a": "2"}})
    read = core.read_namespaced_config_map("c", "team-a")
    assert read.data == {"a": "2"}
    assert read.metadata.managed_fields[0].manager == "somebody-else"
    held = kubernetes.get("ConfigMap", "c", "team-a")
    assert held is not None
    assert held in kubernetes.objects
    kubernetes.delete("ConfigMap", "c", "team-a")
    assert kubernetes.get("ConfigMap", "c", "team-a") is None


def test_state_survives_a_dump(kubernetes: SimulatedKubernetes) -> None:
    before = json.loads(json.dumps(kubernetes.dump()))
    kubernetes.load(before)
    assert kubernetes.dump() == before
