"""Server-side apply : who owns which field."""

from typing import Any

import pytest
from kubernetes import client

from tests.support.narrowing import status_of

pytestmark = pytest.mark.demand("real", "Kubernetes: server-side apply")

APPLY = "application/apply-patch+yaml"
POLICIES = ("security.istio.io", "v1")

confirmed = pytest.mark.confirmed("kubernetes 1.37.2")


def apply(core: Any, team: str, data: dict, manager: str = "tenantry", **more: Any) -> Any:
    """Apply a ConfigMap of these data and labels."""
    labels = more.pop("labels", None)
    rep = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"} | ({} if labels is None else {"labels": labels}),
        "data": data,
    }
    return core.patch_namespaced_config_map(
        "c", team, rep, field_manager=manager, _content_type=APPLY, **more
    )


def owners(obj: Any) -> dict[tuple[str, str], dict]:
    return {(each.manager, each.operation): each.fields_v1 for each in obj.metadata.managed_fields}


@confirmed
def test_an_apply_creates_and_notes_its_fields(core: Any, team: str) -> None:
    made = apply(core, team, {"a": "1"}, labels={"x": "y"})
    fields = {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}
    assert owners(made) == {("tenantry", "Apply"): fields}
    assert apply(core, team, {"a": "1"}, labels={"x": "y"}) == made


@confirmed
def test_an_apply_that_creates_says_so(api: client.ApiClient, team: str) -> None:
    rep = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    call: Any = client.CoreV1Api(api).patch_namespaced_config_map_with_http_info
    codes = [
        call("c", team, rep, field_manager="tenantry", _content_type=APPLY)[1] for _ in range(2)
    ]
    assert codes == [201, 200]


@confirmed
def test_what_is_no_longer_applied_goes(core: Any, team: str) -> None:
    apply(core, team, {"a": "1", "b": "2"}, labels={"x": "y"})
    core.patch_namespaced_config_map("c", team, {"data": {"c": "3"}})
    after = apply(core, team, {"a": "1"})
    assert (after.data, after.metadata.labels) == ({"a": "1", "c": "3"}, None)


@pytest.mark.demand("real", "Kubernetes: ownership of fields and 409")
@confirmed
def test_what_others_own_is_a_conflict(core: Any, team: str) -> None:
    apply(core, team, {"a": "1", "b": "2"}, "first")
    with pytest.raises(client.ApiException) as raised:
        apply(core, team, {"a": "other"}, "second")
    body = status_of(raised.value)
    assert (body["code"], body["reason"]) == (409, "Conflict")
    assert body["message"] == 'Apply failed with 1 conflict: conflict with "first": .data.a'
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "first"',
        "field": ".data.a",
    }
    assert body["details"] == {"causes": [cause]}
    with pytest.raises(client.ApiException) as raised:
        apply(core, team, {"a": "other", "b": "other"}, "second")
    expected = 'Apply failed with 2 conflicts: conflicts with "first":\n- .data.a\n- .data.b'
    assert status_of(raised.value)["message"] == expected


@pytest.mark.demand("real", "Kubernetes: ownership of fields and 409")
@confirmed
def test_force_takes_over(core: Any, team: str) -> None:
    apply(core, team, {"a": "1", "b": "2"}, "first")
    taken = apply(core, team, {"a": "other"}, "second", force=True)
    assert taken.data == {"a": "other", "b": "2"}
    assert owners(taken) == {
        ("first", "Apply"): {"f:data": {"f:b": {}}},
        ("second", "Apply"): {"f:data": {"f:a": {}}},
    }


@confirmed
def test_an_empty_entry_makes_the_server_forget_all_owners(core: Any, team: str) -> None:
    apply(core, team, {"a": "1", "b": "2"}, "first")
    forgotten = {"metadata": {"managedFields": [{}]}, "data": {"c": "3"}}
    after = core.patch_namespaced_config_map("c", team, forgotten, field_manager="third")
    assert (after.metadata.managed_fields, after.data) == (None, {"a": "1", "b": "2", "c": "3"})
    with pytest.raises(client.ApiException) as raised:
        apply(core, team, {"a": "other"}, "second")
    message = status_of(raised.value)["message"]
    expected = 'Apply failed with 1 conflict: conflict with "before-first-apply"'
    assert message.partition(" using ")[0].partition(": .")[0] == expected
    assert owners(apply(core, team, {"a": "1"}, "second")) == {
        ("before-first-apply", "Update"): {"f:data": {".": {}, "f:a": {}, "f:b": {}, "f:c": {}}},
        ("second", "Apply"): {"f:data": {"f:a": {}}},
    }


@confirmed
def test_equal_values_are_shared(core: Any, team: str) -> None:
    apply(core, team, {"a": "1"}, "first")
    apply(core, team, {"a": "1"}, "second")
    assert apply(core, team, {}, "first").data == {"a": "1"}
    assert apply(core, team, {}, "second", force=True).data is None


@confirmed
def test_an_empty_map_is_owned_though_nothing_is_kept(core: Any, team: str) -> None:
    made = apply(core, team, {}, "first", labels={})
    assert (made.data, made.metadata.labels) == (None, None)
    fields: dict[str, dict] = {"f:data": {}, "f:metadata": {"f:labels": {}}}
    assert owners(made) == {("first", "Apply"): fields}
    with pytest.raises(client.ApiException) as raised:
        apply(core, team, {}, "second")
    expected = 'Apply failed with 1 conflict: conflict with "first": .data'
    assert status_of(raised.value)["message"] == expected
    filled = apply(core, team, {"a": "1"}, "first")
    assert (filled.data, owners(filled)) == (
        {"a": "1"},
        {("first", "Apply"): {"f:data": {"f:a": {}}}},
    )


@confirmed
def test_who_owns_an_empty_map_leaves_what_others_put_in(core: Any, team: str) -> None:
    apply(core, team, {}, "first", labels={})
    core.patch_namespaced_config_map("c", team, {"metadata": {"labels": {"x": "y"}}})
    assert apply(core, team, {}, "first").metadata.labels == {"x": "y"}


@pytest.mark.demand("real", "Kubernetes: resourceVersion conflicts")
@confirmed
def test_an_apply_of_another_version_is_a_conflict(core: Any, team: str) -> None:
    apply(core, team, {"a": "1"})
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"b": "2"}}
    for kind in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
        with pytest.raises(client.ApiException, match="the object has been modified") as raised:
            core.patch_namespaced_config_map("c", team, stale, _content_type=kind)
        assert raised.value.status == 409
    applied = {"apiVersion": "v1", "kind": "ConfigMap", **stale}
    applied["metadata"] = {"name": "c", "resourceVersion": "1"}
    with pytest.raises(client.ApiException, match="the object has been modified") as raised:
        core.patch_namespaced_config_map(
            "c", team, applied, field_manager="tenantry", _content_type=APPLY
        )
    assert raised.value.status == 409


@confirmed
def test_an_apply_for_an_object_that_is_gone_makes_none(core: Any, team: str) -> None:
    uid = "0b1e4c1a-6a0f-4f2e-9d5e-1f4f0a3c7b11"
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": uid}}
    with pytest.raises(client.ApiException, match="uid mismatch: the provided object") as raised:
        core.patch_namespaced_config_map(
            "c", team, applied, field_manager="tenantry", _content_type=APPLY
        )
    assert raised.value.status == 409
    told = status_of(raised.value)["message"]
    assert told == (
        f'Operation cannot be fulfilled on configmaps "c": uid mismatch: the provided object '
        f"specified uid {uid}, and no existing object was found"
    )


@confirmed
def test_an_apply_sets_a_field_of_an_item_and_leaves_the_rest(core: Any, team: str) -> None:
    ports = [{"name": "x", "port": 6379}, {"name": "http", "port": 80}]
    core.create_namespaced_service(team, {"metadata": {"name": "s"}, "spec": {"ports": ports}})
    head = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    wanted = [{"port": 6379, "protocol": "TCP", "appProtocol": "tcp"}]
    for body, expected in (({"spec": {"ports": wanted}}, "tcp"), ({}, None)):
        found = core.patch_namespaced_service(
            "s", team, {**head, **body}, field_manager="tenantry", _content_type=APPLY
        )
        shown = [(port.name, port.port, port.app_protocol) for port in found.spec.ports]
        assert shown == [("x", 6379, expected), ("http", 80, None)]


@confirmed
def test_a_plain_write_never_conflicts_and_owns_what_it_sets(core: Any, team: str) -> None:
    apply(core, team, {"a": "1", "b": "2"})
    patch = {"data": {"a": "drifted"}}
    drifted = core.patch_namespaced_config_map("c", team, patch, field_manager="someone")
    assert owners(drifted)["someone", "Update"] == {"f:data": {"f:a": {}}}
    assert owners(drifted)["tenantry", "Apply"] == {"f:data": {"f:b": {}}}
    with pytest.raises(client.ApiException, match=r'"someone.*" using v1: \.data\.a'):
        apply(core, team, {"a": "1", "b": "2"})
    assert apply(core, team, {"a": "1", "b": "2"}, force=True).data == {"a": "1", "b": "2"}


@pytest.mark.demand("real", "Kubernetes: dry run")
@confirmed
def test_a_dry_run_shows_the_drift_and_keeps_nothing(core: Any, team: str) -> None:
    apply(core, team, {"a": "1"})
    live = core.patch_namespaced_config_map("c", team, {"data": {"a": "drifted"}})
    shown = apply(core, team, {"a": "1"}, force=True, dry_run="All")
    assert shown.data == {"a": "1"}
    kept = core.read_namespaced_config_map("c", team)
    assert kept.data == {"a": "drifted"}
    assert kept.metadata.resource_version == live.metadata.resource_version


@confirmed
def test_a_manager_has_to_be_named(core: Any, team: str) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.patch_namespace(team, {"apiVersion": "v1", "kind": "Namespace"}, _content_type=APPLY)
    said = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for'
    assert status_of(raised.value)["message"].startswith(said)
    assert raised.value.status == 422


@confirmed
def test_pull_secrets_are_one_value(core: Any, team: str) -> None:
    def attach(manager: str, *names: str, **more: Any) -> Any:
        rep = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "builder"},
            "imagePullSecrets": [{"name": name} for name in names],
        }
        return core.patch_namespaced_service_account(
            "builder", team, rep, field_manager=manager, _content_type=APPLY, **more
        )

    attach("first", "one")
    with pytest.raises(client.ApiException, match="imagePullSecrets"):
        attach("second", "two")
    account = attach("second", "two", force=True)
    assert [each.name for each in account.image_pull_secrets] == ["two"]


@pytest.mark.demand("real", "Kubernetes: ownership of fields and 409")
@confirmed
def test_ports_of_a_service_are_owned_one_by_one(core: Any, team: str) -> None:
    def expose(manager: str, **ports: int) -> Any:
        rep = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"ports": [{"name": name, "port": port} for name, port in ports.items()]},
        }
        return core.patch_namespaced_service(
            "web", team, rep, field_manager=manager, _content_type=APPLY
        )

    expose("first", http=80)
    both = expose("second", grpc=81)
    assert [(port.name, port.protocol) for port in both.spec.ports] == [
        ("http", "TCP"),
        ("grpc", "TCP"),
    ]
    with pytest.raises(client.ApiException) as raised:
        expose("second", renamed=80)
    field = status_of(raised.value)["details"]["causes"][0]["field"]
    assert field == '.spec.ports[port=80,protocol="TCP"].name'
    assert [port.name for port in expose("second", http=80).spec.ports] == ["http"]


@confirmed
def test_strings_of_a_secret_do_not_take_dropped_keys_along(core: Any, team: str) -> None:
    def keep(key: str, **values: str) -> Any:
        metadata = {"name": key.lower()}
        rep = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, key: values}
        return core.patch_namespaced_secret(
            key.lower(), team, rep, field_manager="tenantry", _content_type=APPLY
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


def apply_policy(api: client.ApiClient, team: str, spec: dict, manager: str = "tenantry") -> Any:
    return client.CustomObjectsApi(api).patch_namespaced_custom_object(
        *POLICIES,
        team,
        "authorizationpolicies",
        "p",
        policy(spec),
        field_manager=manager,
        _content_type=APPLY,
    )


@confirmed
def test_a_custom_resource_counts_its_generations(api: client.ApiClient, team: str) -> None:
    apply_policy(api, team, {"action": "ALLOW", "rules": [{}]})
    same = apply_policy(api, team, {"action": "ALLOW", "rules": [{}]})
    changed = apply_policy(api, team, {"rules": [{}, {}]})
    assert (same["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)
    assert changed["spec"] == {"rules": [{}, {}]}


@confirmed
@pytest.mark.parametrize("spec", [{"nonsense": 1}, {"rules": "all"}])
def test_what_a_schema_does_not_know_is_the_servers_error(
    api: client.ApiClient, team: str, spec: dict
) -> None:
    with pytest.raises(client.ApiException) as raised:
        apply_policy(api, team, spec)
    assert raised.value.status == 500
    assert "failed to create typed patch object" in status_of(raised.value)["message"]


@confirmed
def test_a_plain_create_drops_what_the_schema_does_not_know(
    api: client.ApiClient, team: str
) -> None:
    custom: Any = client.CustomObjectsApi(api)
    where = (*POLICIES, team, "authorizationpolicies")
    made = custom.create_namespaced_custom_object(*where, policy({"nonsense": 1, "rules": []}))
    assert made["spec"] == {"rules": []}
    with pytest.raises(client.ApiException) as raised:
        custom.replace_namespaced_custom_object(*where, "p", policy({"rules": "all"}))
    assert raised.value.status == 422
