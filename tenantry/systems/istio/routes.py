"""Routes as manifests, of both kinds that there are: Istio's VirtualService and the HTTPRoute.

An HTTPRoute says in full what the API server would fill in: lists are compared as
wholes. Among its rules the longest prefix wins; in a VirtualService the first.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

_GATEWAY_GROUP = "gateway.networking.k8s.io"


class Backend(NamedTuple):
    """A Service in a namespace, and the port that answers."""

    service: str
    namespace: str
    port: int


class Rule(NamedTuple):
    """Paths by what they begin with, and who answers them; nobody: they are closed."""

    prefixes: tuple[str, ...]
    backend: Backend | None


def spec(kind: str, host: str, gateway: str, rules: Sequence[Rule]) -> dict[str, Any]:
    """The spec of a route, its rules in the order in which they win.

    Args:
        kind: VirtualService or HTTPRoute.
        host: the host name.
        gateway: the Gateway, as `namespace/name`.
        rules: the longer prefix before the shorter one.
    """
    if kind == "VirtualService":
        # Without `gateways` a VirtualService serves the mesh only.
        http = [_http_rule(rule) for rule in rules]
        return {"hosts": [host], "gateways": [gateway], "http": http}
    namespace, name = gateway.split("/", 1)
    parent = {"group": _GATEWAY_GROUP, "kind": "Gateway", "namespace": namespace, "name": name}
    return {
        "hostnames": [host],
        "parentRefs": [parent],
        "rules": [_route_rule(rule) for rule in rules],
    }


def _http_rule(rule: Rule) -> dict[str, Any]:
    match = [{"uri": {"prefix": prefix}} for prefix in rule.prefixes]
    if rule.backend is None:
        return {"match": match, "directResponse": {"status": 404}}
    service, namespace, port = rule.backend
    destination = {"host": f"{service}.{namespace}.svc.cluster.local", "port": {"number": port}}
    return {"match": match, "route": [{"destination": destination}]}


def _route_rule(rule: Rule) -> dict[str, Any]:
    matches = [{"path": {"type": "PathPrefix", "value": prefix}} for prefix in rule.prefixes]
    if rule.backend is None:  # a rule that leads nowhere answers with an error
        return {"matches": matches}
    service, _, port = rule.backend
    backend = {"group": "", "kind": "Service", "name": service, "port": port, "weight": 1}
    return {"matches": matches, "backendRefs": [backend]}
