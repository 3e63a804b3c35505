"""Declares live routes: VirtualServices and HTTPRoutes of the form that Tenantry writes."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.team import Route
from tenantry.declared.types import ShortName
from tenantry.importing.namespaces import is_valid
from tenantry.importing.notes import Note, quoted
from tenantry.importing.snapshot import Snapshot
from tenantry.systems.istio.routes import Backend, Rule, spec
from tenantry.systems.kubernetes.client import Object

Data = dict[str, Any]

_ROUTE, _SHORT = TypeAdapter(Route), TypeAdapter(ShortName)


def routes(snapshot: Snapshot, namespace: str) -> Iterator[tuple[str, Data | None, Note | None]]:
    """Yield the routes in a team's first namespace: the name, and the declaration."""
    for kind, read in (("VirtualService", _virtual_service), ("HTTPRoute", _http_route)):
        for found in snapshot.of(kind, namespace):
            name = found["metadata"]["name"]
            data = _read(kind, read, found, namespace)
            if data is not None and is_valid(_SHORT, name):
                yield name, data, None
            else:
                shown = quoted(found.get("spec"))
                text = f"{kind} {namespace}/{name} stays as it is: {shown}"
                yield name, None, Note("not expressed", ("routes",), text)


def _read(kind: str, read: Any, found: Object, namespace: str) -> Data | None:
    """Return the declaration, if exactly this spec follows from it."""
    live = found.get("spec") or {}
    try:
        data: Data = read(live, namespace)
        route = _ROUTE.validate_python({**data, "kind": kind})
    except (LookupError, TypeError, ValueError, AttributeError, ValidationError):
        return None
    backends = [(path.prefix, Backend(path.service, namespace, path.port)) for path in route.paths]
    wanted = spec(kind, route.host, route.gateway or "", [Rule((p,), b) for p, b in backends])
    return {**data, "kind": kind} if wanted == _plain(live) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(below) for key, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list) else value


def _virtual_service(live: Mapping[str, Any], namespace: str) -> Data:
    [host], [gateway] = live["hosts"], live["gateways"]
    paths = []
    for rule in live["http"]:
        [match], [target] = rule["match"], rule["route"]
        destination = target["destination"]
        paths.append(
            {
                "prefix": match["uri"]["prefix"],
                "service": destination["host"].removesuffix(f".{namespace}.svc.cluster.local"),
                "port": destination["port"]["number"],
            }
        )
    return {"host": host, "gateway": gateway, "paths": paths}


def _http_route(live: Mapping[str, Any], namespace: str) -> Data:
    [host], [parent] = live["hostnames"], live["parentRefs"]
    paths = []
    for rule in live["rules"]:
        [match], [target] = rule["matches"], rule["backendRefs"]
        paths.append(
            {"prefix": match["path"]["value"], "service": target["name"], "port": target["port"]}
        )
    return {"host": host, "gateway": f"{parent['namespace']}/{parent['name']}", "paths": paths}
