"""Defaults and normal forms that the server gives objects before it stores them."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import Any

from . import quantities
from .errors import undecodable
from .kinds import GATEWAYS, JSON, RBAC, Kind, kind_named

Default = Callable[[JSON], None]


def complete_object(kind: Kind, obj: JSON) -> None:
    """Set the defaults of the kind, and normalize the values as the server does."""
    replace_nulls(kind, obj)
    check_types(kind, obj)
    default = _DEFAULTS.get((kind.group, kind.name))
    if default:
        default(obj)


def check_types(kind: Kind, obj: JSON) -> None:
    """Raise Refused if labels, annotations or other maps of strings have another value."""
    for where, strings in string_maps(kind, obj):
        for value in strings.values():
            if not isinstance(value, str):
                found = _JSON_TYPES.get(type(value), "number")
                why = f"json: cannot unmarshal {found} into Go struct field {where} of type string"
                raise undecodable(kind, why)


_JSON_TYPES = {bool: "bool", dict: "object", list: "array"}


def string_maps(kind: Kind, obj: JSON) -> Iterator[tuple[str, JSON]]:
    """Yield the maps of strings of an object, each with the name that the server uses for it."""
    metadata = obj.get("metadata") or {}
    for name in ("labels", "annotations"):
        if isinstance(metadata.get(name), dict):
            yield f"ObjectMeta.metadata.{name}", metadata[name]
    for name in ("data", "binaryData", "stringData"):
        if name in kind.fields and isinstance(obj.get(name), dict):
            yield f"{kind.name}.{name}", obj[name]


def replace_nulls(kind: Kind, obj: JSON) -> None:
    """Replace null by an empty string in maps of strings, and by zero in quantities."""
    quantities_of = (obj.get("spec") or {}).get("hard") if kind.name == "ResourceQuota" else None
    maps = [(strings, "") for _, strings in string_maps(kind, obj)]
    if isinstance(quantities_of, dict):
        maps.append((quantities_of, "0"))
    for values, nothing in maps:
        values |= {key: nothing for key, value in values.items() if value is None}


def _namespace(obj: JSON) -> None:
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    metadata["labels"] = {**labels, "kubernetes.io/metadata.name": metadata["name"]}
    if "deletionTimestamp" not in metadata:
        spec = obj.get("spec") or {}
        obj["spec"] = {**spec, "finalizers": spec.get("finalizers") or ["kubernetes"]}
    obj.setdefault("status", {"phase": "Active"})


def _secret(obj: JSON) -> None:
    kind = kind_named("Secret")
    given = obj.pop("stringData", None) or {}
    data = dict(obj.get("data") or {})
    for key, value in data.items():
        try:
            data[key] = b64encode(b64decode(value or "", validate=True)).decode()
        except (ValueError, TypeError):
            raise undecodable(kind, "illegal base64 data at input byte 0") from None
    data |= {key: b64encode(str(value).encode()).decode() for key, value in given.items()}
    obj.pop("data", None)
    if data:
        obj["data"] = data
    if not obj.get("type"):
        obj["type"] = "Opaque"


def _quota(obj: JSON) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("hard"):
        spec["hard"] = _canonical("ResourceQuota", spec["hard"])
    obj.setdefault("status", {})


def _limits(obj: JSON) -> None:
    for limit in (obj.get("spec") or {}).get("limits") or ():
        for name in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
            if limit.get(name):
                limit[name] = _canonical("LimitRange", limit[name])
        if limit.get("type") == "Container":
            maximum, minimum = limit.get("max", {}), limit.get("min", {})
            default = {**maximum, **limit.get("default", {})}
            request = {**minimum, **default, **limit.get("defaultRequest", {})}
            added = {"default": default, "defaultRequest": request}
            limit |= {key: amounts for key, amounts in added.items() if amounts}


def _canonical(kind: str, amounts: JSON) -> JSON:
    try:
        return {key: quantities.canonical(str(amount)) for key, amount in amounts.items()}
    except ValueError:
        why = f"quantities must match the regular expression '{quantities.REGEX}'"
        raise undecodable(kind_named(kind), why) from None


def _policy(obj: JSON) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _binding(obj: JSON) -> None:
    role = obj.get("roleRef")
    if isinstance(role, dict) and not role.get("apiGroup"):
        role["apiGroup"] = RBAC
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = RBAC


def _service(obj: JSON) -> None:
    spec = obj.setdefault("spec", {})
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    added: JSON = {"sessionAffinity": "None", "type": "ClusterIP"}
    if spec.get("type", "ClusterIP") != "ExternalName":
        address = spec.get("clusterIP") or _address(obj)
        added |= {
            "clusterIP": address,
            "clusterIPs": [address],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
        }
    for key, value in added.items():
        spec.setdefault(key, value)
    obj.setdefault("status", {"loadBalancer": {}})


def _address(obj: JSON) -> str:
    metadata = obj["metadata"]
    number = sum(f"{metadata.get('namespace')}/{metadata['name']}".encode())
    return f"10.96.{number // 250 % 250}.{number % 250 + 1}"


def _pod(obj: JSON) -> None:
    spec = obj.setdefault("spec", {})
    for key, value in (
        ("restartPolicy", "Always"),
        ("serviceAccountName", "default"),
        ("terminationGracePeriodSeconds", 30),
    ):
        spec.setdefault(key, value)
    for container in spec.get("containers") or ():
        resources = container.setdefault("resources", {})
        for name in ("limits", "requests"):
            if resources.get(name):
                resources[name] = _canonical("Pod", resources[name])
    obj.setdefault("status", {"phase": "Pending"})


def _route(obj: JSON) -> None:
    spec = obj.setdefault("spec", {})
    for parent in spec.get("parentRefs") or ():
        _add(parent, group=GATEWAYS, kind="Gateway")
    path = {"type": "PathPrefix", "value": "/"}
    for rule in spec.setdefault("rules", [{}]):
        for match in rule.setdefault("matches", [{}]):
            _add(match.setdefault("path", {}), **path)
            for condition in [*(match.get("headers") or ()), *(match.get("queryParams") or ())]:
                _add(condition, type="Exact")
        for backend in rule.get("backendRefs") or ():
            _add(backend, group="", kind="Service", weight=1)
        for route_filter in rule.get("filters") or ():
            if route_filter.get("type") == "RequestRedirect":
                _add(route_filter.setdefault("requestRedirect", {}), statusCode=302)


def _gateway(obj: JSON) -> None:
    for listener in (obj.get("spec") or {}).get("listeners") or ():
        routes = listener.setdefault("allowedRoutes", {})
        _add(routes.setdefault("namespaces", {}), **{"from": "Same"})


def _add(obj: JSON, **defaults: Any) -> None:
    for key, value in defaults.items():
        obj.setdefault(key, value)


_DEFAULTS: dict[tuple[str, str], Default] = {
    ("", "Namespace"): _namespace,
    ("", "Secret"): _secret,
    ("", "ResourceQuota"): _quota,
    ("", "LimitRange"): _limits,
    ("", "Service"): _service,
    ("", "Pod"): _pod,
    ("networking.k8s.io", "NetworkPolicy"): _policy,
    (RBAC, "RoleBinding"): _binding,
    (RBAC, "ClusterRoleBinding"): _binding,
    (GATEWAYS, "HTTPRoute"): _route,
    (GATEWAYS, "Gateway"): _gateway,
}
