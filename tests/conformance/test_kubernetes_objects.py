"""Objects of a Kubernetes API server: what is kept, refused, defaulted, listed and ended."""

import base64
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from kubernetes import client
from kubernetes.dynamic import DynamicClient

from tests.conformance.conftest import unique
from tests.support.narrowing import as_body, present, status_of

confirmed = pytest.mark.confirmed("kubernetes 1.37.2")


def namespace(name: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    """What a server's controllers do takes them a moment."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.05)


def gone(read: Callable[[], object]) -> bool:
    try:
        read()
    except client.ApiException as error:
        return int(error.status or 0) == 404
    return False


def with_account(core: Any, team: str) -> Any:
    return core.create_namespaced_service_account(team, {"metadata": {"name": "builder"}})


def refusal(raised: pytest.ExceptionInfo[client.ApiException]) -> tuple[int, str, str]:
    body = status_of(raised.value)
    assert body["kind"] == "Status"
    assert body["code"] == raised.value.status
    return body["code"], body["reason"], body["message"]


def details(raised: pytest.ExceptionInfo[client.ApiException]) -> dict[str, Any]:
    return dict(status_of(raised.value)["details"])


# Access and discovery


@confirmed
def test_the_token_is_needed(api: client.ApiClient) -> None:
    host, trusted = api.configuration.host, api.configuration.ssl_ca_cert
    verify = ssl.create_default_context(cafile=trusted) if trusted else True
    answer = httpx.get(f"{host}/api/v1/namespaces", verify=verify)
    assert answer.status_code in (401, 403)
    assert answer.json()["kind"] == "Status"


@confirmed
def test_the_version_is_for_everybody(api: client.ApiClient) -> None:
    assert client.VersionApi(api).get_code().git_version.startswith("v1.")


@pytest.mark.demand("real", "Kubernetes: the kinds used")
@confirmed
def test_the_meshs_kinds_and_the_usual_roles_are_there(api: client.ApiClient) -> None:
    definitions = client.ApiextensionsV1Api(api).list_custom_resource_definition()
    names = {present(each.metadata).name for each in definitions.items}
    assert {"virtualservices.networking.istio.io", "httproutes.gateway.networking.k8s.io"} <= names
    edit = client.RbacAuthorizationV1Api(api).read_cluster_role("edit")
    assert present(edit.metadata).name == "edit"


@pytest.mark.demand("real", "Kubernetes: the kinds used")
@confirmed
def test_discovery_serves_the_dynamic_client(api: client.ApiClient, team: str) -> None:
    dynamic = DynamicClient(api)
    routes = dynamic.resources.get(api_version="networking.istio.io/v1", kind="VirtualService")
    rep = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "harbor"},
        "spec": {"hosts": ["harbor.example.org"]},
    }
    made = routes.server_side_apply(body=rep, namespace=team, field_manager="tenantry")
    assert (made.metadata.generation, made.spec.hosts) == (1, ["harbor.example.org"])
    both = {each.group for each in dynamic.resources.search(kind="Gateway")}
    assert both == {"networking.istio.io", "gateway.networking.k8s.io"}


@confirmed
def test_unknown_kinds_are_no_page(api: client.ApiClient) -> None:
    custom = client.CustomObjectsApi(api)
    with pytest.raises(client.ApiException) as raised:
        custom.list_cluster_custom_object("nonsense.io", "v1", "things")
    assert (raised.value.status, raised.value.body) == (404, "404 page not found\n")


# Writing


@confirmed
def test_a_namespace_comes_complete(core: Any, team: str) -> None:
    name = unique("team")
    made = core.create_namespace(namespace(name, team="b"))
    assert made.metadata.labels == {"team": "b", "kubernetes.io/metadata.name": name}
    assert (made.status.phase, made.spec.finalizers) == ("Active", ["kubernetes"])
    eventually(lambda: core.list_namespaced_service_account(name).items)
    accounts = core.list_namespaced_service_account(name).items
    assert [account.metadata.name for account in accounts] == ["default"]
    core.delete_namespace(name)


@confirmed
def test_a_name_is_taken_once(core: Any, team: str) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.create_namespace(namespace(team))
    said = f'namespaces "{team}" already exists'
    assert refusal(raised) == (409, "AlreadyExists", said)
    assert details(raised) == {"name": team, "kind": "namespaces"}


@confirmed
def test_what_is_not_there_is_named(core: Any, team: str, api: client.ApiClient) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.read_namespace("nobody")
    assert refusal(raised) == (404, "NotFound", 'namespaces "nobody" not found')
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_secret("nobody", {"metadata": {"name": "s"}})
    assert refusal(raised) == (404, "NotFound", 'namespaces "nobody" not found')
    with pytest.raises(client.ApiException) as raised:
        client.NetworkingV1Api(api).read_namespaced_network_policy("x", team)
    assert refusal(raised)[2] == 'networkpolicies.networking.k8s.io "x" not found'
    expected = {"name": "x", "group": "networking.k8s.io", "kind": "networkpolicies"}
    assert details(raised) == expected


@pytest.mark.demand("real", "Kubernetes: resourceVersion conflicts")
@confirmed
def test_a_stale_version_is_a_conflict(core: Any, team: str) -> None:
    account = with_account(core, team)
    account.image_pull_secrets = [client.V1LocalObjectReference(name="pull")]
    changed = core.replace_namespaced_service_account("builder", team, account)
    assert changed.metadata.resource_version != account.metadata.resource_version
    with pytest.raises(client.ApiException) as raised:
        core.replace_namespaced_service_account("builder", team, account)
    code, reason, message = refusal(raised)
    assert (code, reason) == (409, "Conflict")
    assert message.startswith('Operation cannot be fulfilled on serviceaccounts "builder": the obj')
    again = core.replace_namespaced_service_account("builder", team, changed)
    assert again.metadata.resource_version == changed.metadata.resource_version


@pytest.mark.demand("real", "Kubernetes: dry run")
@confirmed
def test_a_dry_run_keeps_nothing(core: Any, team: str) -> None:
    made = core.create_namespaced_secret(team, {"metadata": {"name": "s"}}, dry_run="All")
    assert made.type == "Opaque"
    assert core.list_namespaced_secret(team).items == []
    core.delete_namespace(team, dry_run="All")
    assert core.read_namespace(team).status.phase == "Active"


@confirmed
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
def test_patches(core: Any, team: str, content_type: str, patch: Any, data: dict) -> None:
    core.create_namespaced_config_map(team, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    patched = core.patch_namespaced_config_map("c", team, patch, _content_type=content_type)
    assert patched.data == data


@confirmed
def test_a_strategic_merge_replaces_the_pull_secrets(core: Any, team: str) -> None:
    with_account(core, team)
    for name in ("one", "two"):
        patch = {"imagePullSecrets": [{"name": name}]}
        account = core.patch_namespaced_service_account("builder", team, patch)
    assert [each.name for each in account.image_pull_secrets] == ["two"]


# Defaults and canonical forms


@confirmed
def test_quantities_are_kept_in_one_form(core: Any, team: str) -> None:
    given = {"requests.cpu": "1000m", "limits.cpu": "0.5", "memory": "1024Mi", "pods": "1000"}
    rep = {"metadata": {"name": "q"}, "spec": {"hard": given}}
    made = core.create_namespaced_resource_quota(team, rep)
    expected = {"requests.cpu": "1", "limits.cpu": "500m", "memory": "1Gi", "pods": "1k"}
    assert made.spec.hard == expected


@confirmed
def test_a_limit_range_completes_itself(core: Any, team: str) -> None:
    limit = {"type": "Container", "max": {"cpu": "2"}, "default": {"memory": "512Mi"}}
    rep = {"metadata": {"name": "l"}, "spec": {"limits": [limit]}}
    [made] = core.create_namespaced_limit_range(team, rep).spec.limits
    assert made.default == {"cpu": "2", "memory": "512Mi"}
    assert made.default_request == {"cpu": "2", "memory": "512Mi"}


@confirmed
def test_a_network_policy_completes_itself(api: client.ApiClient, team: str) -> None:
    rep = {"metadata": {"name": "p"}, "spec": {"egress": [{"ports": [{"port": 53}]}]}}
    made: Any = client.NetworkingV1Api(api).create_namespaced_network_policy(team, as_body(rep))
    assert made.spec.policy_types == ["Ingress", "Egress"]
    assert made.spec.egress[0].ports[0].protocol == "TCP"


@confirmed
def test_a_route_completes_itself(api: client.ApiClient, team: str) -> None:
    rep = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {
            "parentRefs": [{"name": "g"}],
            "rules": [{"backendRefs": [{"name": "b", "port": 80}]}],
        },
    }
    custom: Any = client.CustomObjectsApi(api)
    where = ("gateway.networking.k8s.io", "v1", team, "httproutes")
    made = custom.create_namespaced_custom_object(*where, rep)
    [rule] = made["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    backend = {"name": "b", "port": 80, "group": "", "kind": "Service", "weight": 1}
    assert rule["backendRefs"] == [backend]


@confirmed
def test_a_secrets_strings_become_data(core: Any, team: str) -> None:
    rep = {"metadata": {"name": "s"}, "stringData": {"a": "word"}}
    made = core.create_namespaced_secret(team, rep)
    assert (made.string_data, made.data) == (None, {"a": base64.b64encode(b"word").decode()})


# Refusals


@confirmed
def test_a_bad_name_is_invalid(core: Any) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.create_namespace(namespace("Team_A"))
    code, reason, message = refusal(raised)
    assert (code, reason) == (422, "Invalid")
    said = 'Namespace "Team_A" is invalid: metadata.name: Invalid value: "Team_A": a lowercase'
    assert message.startswith(said)
    [cause] = details(raised)["causes"]
    assert (cause["field"], cause["reason"]) == ("metadata.name", "FieldValueInvalid")


@confirmed
@pytest.mark.parametrize(
    ("hard", "code"), [({"cpu": "much"}, 400), ({"cpu": "-1"}, 422), ({"nonsense": "1"}, 422)]
)
def test_a_bad_quantity_is_refused(core: Any, team: str, hard: dict, code: int) -> None:
    """What can't be read is a bad request; what can be read may still be invalid."""
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_resource_quota(
            team, {"metadata": {"name": "q"}, "spec": {"hard": hard}}
        )
    assert refusal(raised)[0] == code


@confirmed
def test_a_role_binding_keeps_its_role(api: client.ApiClient, team: str) -> None:
    rbac = client.RbacAuthorizationV1Api(api)
    rep = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "Group", "name": team}],
    }
    made: Any = rbac.create_namespaced_role_binding(team, as_body(rep))
    assert made.subjects[0].api_group == made.role_ref.api_group == "rbac.authorization.k8s.io"
    with pytest.raises(client.ApiException) as raised:
        rbac.patch_namespaced_role_binding("b", team, {"roleRef": {"name": "admin"}})
    code, _, message = refusal(raised)
    assert code == 422
    assert message.endswith("field is immutable")
    assert message.startswith('RoleBinding.rbac.authorization.k8s.io "b" is invalid: roleRef')


@confirmed
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "kubernetes.io/tls"}, "type: Invalid value"),
        ({"data": {"a": "not base64!"}}, "illegal base64"),
        ({"data": {"a": "Yg=="}}, "field is immutable when `immutable` is set"),
    ],
)
def test_what_a_secret_refuses(core: Any, team: str, change: dict, said: str) -> None:
    rep = {"metadata": {"name": "s"}, "immutable": True, "data": {"a": "YQ=="}}
    core.create_namespaced_secret(team, rep)
    with pytest.raises(client.ApiException) as raised:
        core.patch_namespaced_secret("s", team, change)
    assert said in refusal(raised)[2]


@confirmed
def test_a_pull_secret_has_to_hold_a_configuration(core: Any, team: str) -> None:
    rep = {"metadata": {"name": "s"}, "type": "kubernetes.io/dockerconfigjson"}
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_secret(team, rep)
    assert details(raised)["causes"][0]["field"] == "data[.dockerconfigjson]"


# Lists


@pytest.mark.demand("real", "Kubernetes: label selectors")
@confirmed
def test_lists_come_by_labels_and_names(core: Any, team: str) -> None:
    for name, labels in (("one", {"a": "1"}), ("two", {"a": "2", "b": ""}), ("three", {})):
        core.create_namespaced_config_map(team, {"metadata": {"name": name, "labels": labels}})
    found = {
        selector: [
            each.metadata.name
            for each in core.list_namespaced_config_map(team, label_selector=selector).items
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
    one = core.list_config_map_for_all_namespaces(
        field_selector=f"metadata.name=one,metadata.namespace={team}"
    )
    assert [each.metadata.namespace for each in one.items] == [team]
    with pytest.raises(client.ApiException, match=r"field label not supported: spec\.x"):
        core.list_namespace(field_selector="spec.x=1")


@pytest.mark.demand("real", "Kubernetes: chunked lists")
@confirmed
def test_a_list_comes_in_chunks(core: Any, team: str) -> None:
    for number in range(5):
        core.create_namespaced_config_map(team, {"metadata": {"name": f"c-{number}"}})
    first = core.list_namespaced_config_map(team, limit=3)
    assert (len(first.items), first.metadata.remaining_item_count) == (3, 2)
    rest = core.list_namespaced_config_map(team, limit=3, _continue=first.metadata._continue)
    assert [each.metadata.name for each in rest.items] == ["c-3", "c-4"]
    assert rest.metadata._continue is None


# Ends


@pytest.mark.demand("real", "Kubernetes: namespace termination")
@confirmed
def test_a_namespace_takes_a_while_to_go(core: Any, team: str) -> None:
    core.create_namespaced_config_map(team, {"metadata": {"name": "c"}})
    core.delete_namespace(team)
    assert core.read_namespace(team).status.phase == "Terminating"
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_config_map(team, {"metadata": {"name": "d"}})
    assert refusal(raised)[:2] == (403, "Forbidden")
    [cause] = details(raised)["causes"]
    assert cause["reason"] == "NamespaceTerminating"
    eventually(lambda: gone(lambda: core.read_namespace(team)))
    assert core.list_namespaced_config_map(team).items == []


@pytest.mark.demand("real", "Kubernetes: namespace termination")
@confirmed
def test_a_finalizer_holds_a_namespace(core: Any, team: str) -> None:
    rep = {"metadata": {"name": "c", "finalizers": ["example.org/wait"]}}
    core.create_namespaced_config_map(team, rep)
    core.delete_namespace(team)

    def conditions() -> dict[str, tuple[str, str, str]]:
        found = core.read_namespace(team).status.conditions or ()
        return {each.type: (each.status, each.reason, each.message) for each in found}

    eventually(lambda: "NamespaceFinalizersRemaining" in conditions())
    assert core.read_namespace(team).status.phase == "Terminating"
    assert conditions() == {
        "NamespaceDeletionDiscoveryFailure": (
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: configmaps. has 1 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: "
            + "example.org/wait in 1 resource instances",
        ),
    }
    core.delete_namespace(team)  # a second deletion is no error
    core.patch_namespaced_config_map("c", team, {"metadata": {"finalizers": None}})
    eventually(lambda: gone(lambda: core.read_namespace(team)))


@confirmed
def test_a_delete_answers_as_its_kind_does(core: Any, team: str) -> None:
    secret = core.create_namespaced_secret(team, {"metadata": {"name": "s"}})
    options = {"preconditions": {"uid": "another"}}
    with pytest.raises(client.ApiException, match="UID in the precondition"):
        core.delete_namespaced_secret("s", team, body=options)
    gone = core.delete_namespaced_secret("s", team)
    assert (gone["status"], gone["details"]["uid"]) == ("Success", secret.metadata.uid)
    with_account(core, team)
    account = core.delete_namespaced_service_account("builder", team)
    assert account.metadata.name == "builder"
    with pytest.raises(client.ApiException, match="may not be deleted"):
        core.delete_namespace("kube-system")
