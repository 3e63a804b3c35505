"""Checks of the mesh's Service ports, and of pods without a sidecar."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tenantry.checks.mesh import Mesh
from tenantry.drift.findings import Finding
from tenantry.resources import Id
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.kinds import POD, SERVICE

_HTTP = ("http", "http2", "https", "grpc", "grpc-web")
_PROTOCOLS = (*_HTTP, "tcp", "tls", "udp", "mongo", "mysql", "redis")
_PLAIN_HTTP = ("http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws")
_SIDECAR = "istio-proxy"
_PORT_NAME = re.compile(rf"({'|'.join(sorted(_PROTOCOLS, key=len, reverse=True))})(-.+)?")


def port_names(mesh: Mesh) -> Iterator[Finding]:
    """Check that each port of the mesh's Services declares its protocol."""
    for service in mesh.services:
        namespace = service["metadata"]["namespace"]
        if namespace not in mesh.members:
            continue
        for port in (service.get("spec") or {}).get("ports") or ():
            if _protocol(port) is None:
                yield _port_name(mesh, service, port)


def _port_name(mesh: Mesh, service: Object, port: dict[str, Any]) -> Finding:
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    label = f"is named '{port['name']}'" if port.get("name") else "has no name"
    remedy = "Name it <protocol>[-suffix], such as http-web, or set its appProtocol."
    if namespace == mesh.harbor:
        remedy = (
            "Harbor's Helm chart sets the port names. Update the chart, or declare the port in "
            "mesh.harbor.app_protocols (tcp for redis and the database, http for the others) and "
            "run configure-platform. Do not rename the port by hand: the chart would reset it."
        )
    return mesh.finding(
        "port names",
        "warning",
        Id(SERVICE, f"{namespace}/{name}"),
        f"port {port['port']} {label}: the mesh treats it as plain TCP at the gateway, where rules "
        "for paths and tokens never match",
        remedy,
        mesh.team(namespace),
    )


def _protocol(port: dict[str, Any]) -> str | None:
    """Return the protocol that the mesh uses for a port; None if it must detect it."""
    if port.get("appProtocol"):
        return str(port["appProtocol"]).lower()
    if port.get("protocol") == "UDP":
        return "udp"
    found = _PORT_NAME.fullmatch(str(port.get("name", "")).lower())
    return found[1] if found else None


def port_protocols(mesh: Mesh) -> Iterator[Finding]:
    """Check that no port number is HTTP in one Service of a namespace and TCP in another."""
    uses: dict[tuple[str, int], dict[bool, str]] = defaultdict(dict)
    for service in mesh.services:
        metadata = service["metadata"]
        if metadata["namespace"] not in mesh.members:
            continue
        for port in (service.get("spec") or {}).get("ports") or ():
            protocol = _protocol(port)
            if protocol is None or protocol == "udp":
                continue
            is_http = protocol in _PLAIN_HTTP
            uses[metadata["namespace"], port["port"]].setdefault(is_http, metadata["name"])
    for (namespace, number), names in uses.items():
        if len(names) > 1:
            yield mesh.finding(
                "port protocols",
                "warning",
                Id(SERVICE, f"{namespace}/{names[False]}"),
                f"port {number} is TCP here, and HTTP in Service '{names[True]}'",
                "Use another port number for one of the two.",
                mesh.team(namespace),
            )


def sidecars(mesh: Mesh) -> Iterator[Finding]:
    """Check that Harbor's pods have sidecars if their namespace is in the mesh."""
    if mesh.harbor not in mesh.members:
        return
    for pod in mesh.pods():
        spec = pod.get("spec") or {}
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if not ended and _SIDECAR not in [container["name"] for container in containers]:
            yield mesh.finding(
                "sidecars",
                "warning",
                Id(POD, f"{mesh.harbor}/{pod['metadata']['name']}"),
                "it has no sidecar, though its namespace is labelled for injection",
                "Restart the pod: the label applies to new pods only.",
            )
