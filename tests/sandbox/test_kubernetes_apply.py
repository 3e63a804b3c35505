"""Server-side apply in the simulated Kubernetes: who owns which field."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from kubernetes import client

from tenantry.sandbox import Sandbox
from tenantry.sandbox.kubernetes import SimulatedKubernetes

APPLY = "application/apply-patch+yaml"
ISTIO = ("security.istio.io", "v1", "team-a", "authorizationpolicies")


@pytest.fixture
def kubernetes(sandbox: Sandbox) -> Iterator[SimulatedKubernetes]:
    """The simulated Kubernetes with a namespace `team-a`."""
    pristine = sandbox.kubernetes.dump()
    team = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}
    sandbox.kubernetes.put(team)
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


def apply(core: client.CoreV1Api, data: dict, manager: str = "tenantry", **more: Any) -> Any:
    """Apply a ConfigMap of these data and labels."""
    labels = more.pop("labels", {})
    rep = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "labels": labels},
        "data": data,
    }
    return core.patch_namespaced_config_map(
        "c", "team-a", rep, field_manager=manager, _content_type=APPLY, **more
    )


def owners(obj: Any) -> dict[tuple[str, str], dict]:
    return {(each.manager, each.operation): each.fields_v1 for each in obj.metadata.managed_fields}


def test_an_apply_creates_and_notes_its_fields(core: client.CoreV1Api) -> None:
    made = apply(core, {"a": "1"}, labels={"x": "y"})
    fields = {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}
    assert owners(made) == {("tenantry", "Apply"): fields}
    assert apply(core, {"a": "1"}, labels={"x": "y"}) == made


def test_an_apply_that_creates_says_so(kubernetes: SimulatedKubernetes) -> None:
    rep = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-b"}}
    url = f"{kubernetes.url}/api/v1/namespaces/team-b?fieldManager=tenantry"
    headers = {"authorization": f"Bearer {kubernetes.token}", "content-type": APPLY}
    codes = [httpx.patch(url, headers=headers, json=rep).status_code for _ in range(2)]
    assert codes == [201, 200]


def test_what_is_no_longer_applied_goes(core: client.CoreV1Api) -> None:
    apply(core, {"a": "1", "b": "2"}, labels={"x": "y"})
    core.patch_namespaced_config_map("c", "team-a", {"data": {"c": "3"}})
    after = apply(core, {"a": "1"})
    assert (after.data, after.metadata.labels) == ({"a": "1", "c": "3"}, None)


def test_what_others_own_is_a_conflict(core: client.CoreV1Api) -> None:
    apply(core, {"a": "1", "b": "2"}, "first")
    with pytest.raises(client.ApiException) as raised:
        apply(core, {"a": "other"}, "second")
    body = json.loads(raised.value.body)
    assert (body["code"], body["reason"]) == (409, "Conflict")
    assert body["message"] == 'Apply failed with 1 conflict: conflict with "first": .data.a'
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "first"',
        "field": ".data.a",
    }
    assert body["details"] == {"causes": [cause]}
    with pytest.raises(client.ApiException) as raised:
        apply(core, {"a": "other", "b": "other"}, "second")
    expected = 'Apply failed with 2 conflicts: conflicts with "first":\n- .data.a\n- .data.b'
    assert json.loads(raised.value.body)["message"] == expected


def test_force_takes_over(core: client.CoreV1Api) -> None:
    apply(core, {"a": "1", "b": "2"}, "first")
    taken = apply(core, {"a": "other"}, "second", force=True)
    assert taken.data == {"a": "other", "b": "2"}
    assert owners(taken) == {
        ("first", "Apply"): {"f:data": {"f:b": {}}},
        ("second", "Apply"): {"f:data": {"f:a": {}}},
    }


def test_equal_values_are_shared(core: client.CoreV1Api) -> None:
    apply(core, {"a": "1"}, "first")
    apply(core, {"a": "1"}, "second")
    assert apply(core, {}, "first").data == {"a": "1"}
    assert apply(core, {}, "second").data is None


def test_a_plain_write_never_conflicts_and_owns_what_it_sets(core: client.CoreV1Api) -> None:
    apply(core, {"a": "1", "b": "2"})
    patch = {"data": {"a": "drifted"}}
    drifted = core.patch_namespaced_config_map("c", "team-a", patch, field_manager="someone")
    assert owners(drifted)["someone", "Update"] == {"f:data": {"f:a": {}}}
    assert owners(drifted)["tenantry", "Apply"] == {"f:data": {"f:b": {}}}
    with pytest.raises(client.ApiException, match=r'"someone.*" using v1 at 20'):
        apply(core, {"a": "1", "b": "2"})
    assert apply(core, {"a": "1", "b": "2"}, force=True).data == {"a": "1", "b": "2"}


def test_a_dry_run_shows_the_drift_and_keeps_nothing(core: client.CoreV1Api) -> None:
    apply(core, {"a": "1"})
    live = core.patch_namespaced_config_map("c", "team-a", {"data": {"a": "drifted"}})
    shown = apply(core, {"a": "1"}, force=True, dry_run="All")
    assert shown.data == {"a": "1"}
    kept = core.read_namespaced_config_map("c", "team-a")
    assert kept.data == {"a": "drifted"}
    assert kept.metadata.resource_version == live.metadata.resource_version


def test_a_manager_has_to_be_named(core: client.CoreV1Api) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.patch_namespace(
            "team-a", {"apiVersion": "v1", "kind": "Namespace"}, _content_type=APPLY
        )
    said = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for'
    assert json.loads(raised.value.body)["message"].startswith(said)
    assert raised.value.status == 422


def test_pull_secrets_are_one_value(core: client.CoreV1Api) -> None:
    def attach(manager: str, *names: str, **more: Any) -> Any:
        rep = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default"},
            "imagePullSecrets": [{"name": name} for name in names],
        }
        return core.patch_namespaced_service_account(
            "default", "team-a", rep, field_manager=manager, _content_type=APPLY, **more
        )

    attach("first", "one")
    with pytest.raises(client.ApiException, match="imagePullSecrets"):
        attach("second", "two")
    account = attach("second", "two", force=True)
    assert [each.name for each in account.image_pull_secrets] == ["two"]


def test_ports_of_a_service_are_owned_one_by_one(core: client.CoreV1Api) -> None:
    def expose(manager: str, **ports: int) -> Any:
        rep = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"ports": [{"name": name, "port": port} for name, port in ports.items()]},
        }
        return core.patch_namespaced_service(
            "web", "team-a", rep, field_manager=manager, _content_type=APPLY
        )

    expose("first", http=80)
    both = expose("second", grpc=81)
    assert [(port.name, port.protocol) for port in both.spec.ports] == [
        ("http", "TCP"),
        ("grpc", "TCP"),
    ]
    with pytest.raises(client.ApiException) as raised:
        expose("second", renamed=80)
    field = json.loads(raised.value.body)["details"]["causes"][0]["field"]
    assert field == '.spec.ports[port=80,protocol="TCP"].name'
    assert [port.name for port in expose("second", http=80).spec.ports] == ["http"]


def test_strings_of_a_secret_do_not_take_dropped_keys_along(core: client.CoreV1Api) -> None:
    def keep(key: str, **values: str) -> Any:
        rep = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": key}, key: values}
        rep["metadata"]["name"] = key.lower()
        return core.patch_namespaced_secret(
            key.lower(), "team-a", rep, field_manager="tenantry", _content_type=APPLY
        )

    keep("stringData", a="1", b="2")
    assert set(keep("stringData", a="1").data) == {"a", "b"}
    keep("data", a="MQ==", b="Mg==")
    assert set(keep("data", a="MQ==").data) == {"a"}


def policy(spec: dict) -> dict:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p"},
        "spec": spec,
    }


def apply_policy(api: client.ApiClient, spec: dict, manager: str = "tenantry") -> Any:
    return client.CustomObjectsApi(api).patch_namespaced_custom_object(
        *ISTIO, "p", policy(spec), field_manager=manager, _content_type=APPLY
    )


def test_a_custom_resource_counts_its_generations(api: client.ApiClient) -> None:
    apply_policy(api, {"action": "ALLOW", "rules": [{}]})
    same = apply_policy(api, {"action": "ALLOW", "rules": [{}]})
    changed = apply_policy(api, {"rules": [{}, {}]})
    assert (same["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)
    assert changed["spec"] == {"rules": [{}, {}]}


@pytest.mark.parametrize("spec", [{"nonsense": 1}, {"rules": "all"}])
def test_what_a_schema_does_not_know_is_the_servers_error(
    api: client.ApiClient, spec: dict
) -> None:
    with pytest.raises(client.ApiException) as raised:
        apply_policy(api, spec)
    assert raised.value.status == 500
    assert "failed to create typed patch object" in json.loads(raised.value.body)["message"]


def test_a_plain_create_drops_what_the_schema_does_not_know(api: client.ApiClient) -> None:
    custom = client.CustomObjectsApi(api)
    made = custom.create_namespaced_custom_object(*ISTIO, policy({"nonsense": 1, "rules": []}))
    assert made["spec"] == {"rules": []}
    with pytest.raises(client.ApiException) as raised:
        custom.replace_namespaced_custom_object(*ISTIO, "p", policy({"rules": "all"}))
    assert raised.value.status == 422
