"""Objects of the simulated Kubernetes: what is kept, refused, defaulted, listed and ended."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from tenantry.sandbox import Sandbox
from tenantry.sandbox.kubernetes import SimulatedKubernetes
from tests.support.narrowing import as_body, present, status_of


@pytest.fixture
def kubernetes(sandbox: Sandbox) -> Iterator[SimulatedKubernetes]:
    """The simulated Kubernetes with a namespace `team-a`."""
    pristine = sandbox.kubernetes.dump()
    sandbox.kubernetes.put(namespace("team-a"))
    yield sandbox.kubernetes
    sandbox.kubernetes.load(pristine)


@pytest.fixture
def api(kubernetes: SimulatedKubernetes, sandbox: Sandbox) -> client.ApiClient:
    configuration = client.Configuration(host=kubernetes.url)
    configuration.ssl_ca_cert = sandbox.addresses()["kubernetes"]["ca"]
    configuration.api_key = {"authorization": f"Bearer {kubernetes.token}"}
    return client.ApiClient(configuration)


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def namespace(name: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def refusal(raised: pytest.ExceptionInfo[client.ApiException]) -> tuple[int, str, str]:
    body = status_of(raised.value)
    assert body["kind"] == "Status"
    assert body["code"] == raised.value.status
    return body["code"], body["reason"], body["message"]


def details(raised: pytest.ExceptionInfo[client.ApiException]) -> dict[str, Any]:
    return dict(status_of(raised.value)["details"])


def test_a_watch_says_that_it_is_not_simulated(core: client.CoreV1Api) -> None:
    with pytest.raises(client.ApiException) as raised:
        core.list_namespace(watch=True)
    code, _, message = refusal(raised)
    assert code == 501
    assert "does not simulate watching namespaces" in message


def test_a_namespace_takes_a_while_to_go(
    sandbox: Sandbox, core: client.CoreV1Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the calls before it is gone take on a busy machine.
    monkeypatch.setattr(sandbox.kubernetes, "namespace_termination_seconds", 60.0)
    core.create_namespaced_config_map("team-a", as_body({"metadata": {"name": "c"}}))
    core.delete_namespace("team-a")
    assert present(core.read_namespace("team-a").status).phase == "Terminating"
    with pytest.raises(client.ApiException) as raised:
        core.create_namespaced_config_map("team-a", as_body({"metadata": {"name": "d"}}))
    assert refusal(raised)[:2] == (403, "Forbidden")
    [cause] = details(raised)["causes"]
    assert cause["reason"] == "NamespaceTerminating"
    sandbox.clock.move(60)
    with pytest.raises(client.ApiException, match="404"):
        core.read_namespace("team-a")
    assert core.list_config_map_for_all_namespaces().items == []
    sandbox.clock.move(-60)


def test_changes_by_hand_are_possible(
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
    read: Any = core.read_namespaced_config_map("c", "team-a")
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
