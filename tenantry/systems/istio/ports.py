"""The protocol of a Service's port for the mesh: `appProtocol`, in a Service that Tenantry does not
own.

Server-side apply sets and owns only this field. All other fields belong to Harbor's chart.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tenantry.plan import Change
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource
from tenantry.systems.istio.kinds import APP_PROTOCOL
from tenantry.systems.kubernetes.client import MANAGER, KubernetesClient, Object
from tenantry.systems.kubernetes.kinds import NAMESPACE


def desired(namespace: str, declared: Mapping[str, Mapping[int, str]]) -> Iterator[Resource]:
    """Yield a resource for each Service."""
    for service, ports in declared.items():
        fields = {str(port): protocol for port, protocol in ports.items()}
        depends_on = (Id(NAMESPACE, namespace),)
        yield Resource(id_of(namespace, service), fields, body=namespace, depends_on=depends_on)


def observe(
    client: KubernetesClient, namespace: str, declared: Mapping[str, Mapping[int, str]]
) -> Observed:
    """Return the protocols of the declared Services, and those that are no longer declared."""
    seen = Observed()
    services = {found["metadata"]["name"]: found for found in client.list("Service", namespace)}
    for name, found in services.items():
        if name in declared or any(_ours(found)):
            seen.live[id_of(namespace, name)] = _live(found, declared.get(name, {}))
    for name in declared.keys() - services.keys():
        seen.waiting[id_of(namespace, name)] = f"there is no Service '{name}'"
    return seen


def _live(found: Object, declared: Mapping[int, str]) -> Live:
    there = {str(port["port"]): port.get("appProtocol") for port in found["spec"]["ports"]}
    ours = frozenset((number,) for number in _ours(found))
    locked = {
        str(port): "the Service has no such port" for port in declared if str(port) not in there
    }
    locked |= {
        number: "the owner of the Service has set it: change it there"
        for number, protocol in there.items()
        if protocol is not None and (number,) not in ours
    }
    team = PLATFORM if ours else None
    return Live(there, marked=bool(ours), team=team, handle=found, read_only=locked, owned=ours)


def _ours(found: Object) -> Iterator[str]:
    """Yield the numbers of the ports whose appProtocol is Tenantry's."""
    for entry in found["metadata"].get("managedFields") or ():
        if (entry.get("manager"), entry.get("operation")) == (MANAGER, "Apply"):
            ports = (entry.get("fieldsV1") or {}).get("f:spec", {}).get("f:ports", {})
            for key, fields in ports.items():
                if "f:appProtocol" in fields:
                    yield _number(key)


def _number(key: str) -> str:
    """Return the port of an item's key, such as `k:{"port":80,"protocol":"TCP"}`."""
    return key.partition('"port":')[2].partition(",")[0].rstrip("}")


def apply(client: KubernetesClient, change: Change) -> None:
    """Set the declared protocols, and remove those that are no longer declared."""
    assert change.live is not None
    found: Object = change.live.handle
    metadata = found["metadata"]
    ports: list[dict[str, Any]] = [
        {
            "port": port["port"],
            "protocol": port.get("protocol", "TCP"),
            "appProtocol": change.resource.fields[str(port["port"])],
        }
        for port in found["spec"]["ports"]
        if str(port["port"]) in change.resource.fields
    ]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        # With its UID: a Service that was deleted meanwhile is not created again.
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
    }
    if ports:
        body["spec"] = {"ports": ports}
    client.apply(body, force=False)


def id_of(namespace: str, service: str) -> Id:
    """Return the id of the protocols of a Service."""
    return Id(APP_PROTOCOL, f"{namespace}/{service}")
