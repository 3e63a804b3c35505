"""Routes as manifests of two kinds: Istio's VirtualService, and HTTPRoute.

An HTTPRoute contains the defaults of the API server, since lists are compared as a whole. In an
HTTPRoute the rule with the longest prefix takes precedence, in a VirtualService the first one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

_GATEWAY_GROUP = "gateway.networking.k8s.io"


class Backend(NamedTuple):
    """A Service in a namespace, and its port."""

    service: str
    namespace: str
    port: int


class Rule(NamedTuple):
    """Prefixes of paths, and their backend. Without a backend, the paths are closed."""

    prefixes: tuple[str, ...]
    backend: Backend | None


def spec(kind: str, host: str, gateway: str, rules: Sequence[Rule]) -> dict[str, Any]:
    """Return the spec of a route, with its rules in the order of precedence.

    Args:
        kind: VirtualService or HTTPRoute.
        host: the host name.
        gateway: the Gateway, as `namespace/name`.
        rules: the rules, longer prefixes before shorter ones.
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
