"""Rules that make an object invalid: those for its metadata, and those of its kind."""

import json
import math
import re
from base64 import b64decode
from collections.abc import Callable, Iterator

from . import quantities
from .errors import Cause, forbidden_value, missing_value, wrong_value
from .kinds import GATEWAYS, JSON, RBAC, SECURITY, Kind
from .metadata import key_faults, metadata_causes
from .policies import policy_causes, route_causes

Rule = Callable[[JSON, JSON | None], Iterator[Cause]]


_CONFIG_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', "
    " or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_IMMUTABLE = "field is immutable"
_BINDINGS = (RBAC, "RoleBinding"), (RBAC, "ClusterRoleBinding")
_BYTES_IN_SECRET = 1024 * 1024


def find_causes(kind: Kind, new: JSON, old: JSON | None) -> list[Cause]:
    """Return the causes for which an object is invalid.

    `old` is the object that it replaces, or None if it is new.
    """
    causes = [*metadata_causes(kind, new["metadata"])]
    rule = _RULES.get((kind.group, kind.name))
    if rule:
        causes += rule(new, old)
    return causes


_REQUIRED_KEYS = {
    "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
    "kubernetes.io/dockercfg": [".dockercfg"],
    "kubernetes.io/ssh-auth": ["ssh-privatekey"],
    "kubernetes.io/tls": ["tls.crt", "tls.key"],
}


def _secret(new: JSON, old: JSON | None) -> Iterator[Cause]:
    data = new.get("data", {})
    yield from _keys(data)
    if sum(len(value) * 3 // 4 for value in data.values()) > _BYTES_IN_SECRET:
        why = f"Too long: may not be more than {_BYTES_IN_SECRET} bytes"
        yield Cause("data", "FieldValueTooLong", why)
    for key in _REQUIRED_KEYS.get(new["type"], ()):
        if key not in data:
            yield missing_value(f"data[{key}]")
        elif key.startswith(".docker"):
            try:
                json.loads(b64decode(data[key]))
            except RecursionError:
                pass  # the parser of a real server accepts 10,000 levels
            except ValueError as error:
                yield wrong_value(f"data[{key}]", "<secret contents redacted>", str(error))
    if old is None:
        return
    if new["type"] != old["type"]:
        yield wrong_value("type", new["type"], _IMMUTABLE)
    yield from _immutable(new, old)


def _keys(data: JSON) -> Iterator[Cause]:
    for key in data:
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
            yield wrong_value(f"data[{key}]", key, _CONFIG_KEY_RULE)


def _config_map(new: JSON, old: JSON | None) -> Iterator[Cause]:
    yield from _keys(new.get("data", {}))
    yield from _immutable(new, old)


def _immutable(new: JSON, old: JSON | None) -> Iterator[Cause]:
    if old and old.get("immutable"):
        why = "field is immutable when `immutable` is set"
        for key in ("immutable", "data", "binaryData"):
            if new.get(key) != old.get(key):
                yield forbidden_value(key, why)


def _quota(new: JSON, old: JSON | None) -> Iterator[Cause]:
    for key, amount in new["spec"].get("hard", {}).items():
        field = f"spec.hard[{key}]"
        standard = key in _STANDARD or _is_huge_pages(key.removeprefix("requests."))
        yield from _resource(field, key, standard or key == "storage")
        if "/" not in key and not standard:
            yield wrong_value(field, key, "must be a standard resource for quota")
        if quantities.value(amount) < 0:
            yield wrong_value(field, amount, "must be greater than or equal to 0")
        if (key in _COUNTED or _is_extended(key)) and _thousandths(amount) % 1000:
            yield wrong_value(field, amount, "must be an integer")


def _resource(field: str, key: str, is_standard: bool) -> Iterator[Cause]:
    faults = key_faults(key)
    if not faults and "/" not in key and not is_standard:
        faults = ["must be a standard resource type or fully qualified"]
    yield from (wrong_value(field, key, why) for why in faults)


def _thousandths(amount: str) -> int:
    return math.ceil(quantities.value(amount) * 1000)


def _is_huge_pages(key: str) -> bool:
    return key.startswith("hugepages-")


def _is_extended(key: str) -> bool:
    return "/" in key and "kubernetes.io/" not in key and not key.startswith("requests.")


_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = {
    *("pods", "services", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas"),
    *("replicationcontrollers", "services.nodeports", "services.loadbalancers"),
}
_STANDARD = {
    *_COMPUTE,
    *(f"{part}.{name}" for part in ("requests", "limits") for name in _COMPUTE),
    "requests.storage",
    *_COUNTED,
}


_NAMES_IN_MESSAGES = {
    "min": "min",
    "defaultRequest": "default request",
    "default": "default limit",
    "max": "max",
}


def _limits(new: JSON, old: JSON | None) -> Iterator[Cause]:
    order = ("min", "defaultRequest", "default", "max")
    for place, limit in enumerate((new.get("spec") or {}).get("limits") or ()):
        path = f"spec.limits[{place}]"
        for part in order:
            for key in limit.get(part, {}):
                yield from _container_resource(f"{path}.{part}[{key}]", key)
        for index, lower in enumerate(order):
            for upper in order[index + 1 :]:
                for key in limit.get(lower, {}).keys() & limit.get(upper, {}).keys():
                    least, most = limit[lower][key], limit[upper][key]
                    if quantities.value(least) > quantities.value(most):
                        field = f"{path}.{lower}[{key}]"
                        what = f"{_NAMES_IN_MESSAGES[lower]} value {least}"
                        why = f"{what} is greater than {_NAMES_IN_MESSAGES[upper]} value {most}"
                        yield wrong_value(field, least, why)
        default, request = limit.get("default", {}), limit.get("defaultRequest", {})
        for key in default.keys() & request.keys():
            most, asked = default[key], request[key]
            fixed = _is_huge_pages(key) or ("/" in key and "kubernetes.io/" not in key)
            if fixed and quantities.value(most) != quantities.value(asked):
                why = f"default value {most} must equal to defaultRequest value {asked} in {key}"
                yield wrong_value(f"{path}.defaultRequest[{key}]", asked, why)


def _container_resource(field: str, key: str) -> Iterator[Cause]:
    standard = key in _COMPUTE or _is_huge_pages(key)
    yield from _resource(field, key, standard or key in _STANDARD or key == "storage")
    if "/" not in key and not standard:
        yield wrong_value(field, key, "must be a standard resource for containers")
    elif "/" in key and "kubernetes.io/" not in key and not _is_extended(key):
        yield wrong_value(field, key, "doesn't follow extended resource name standard")


def _binding(new: JSON, old: JSON | None) -> Iterator[Cause]:
    role = new.get("roleRef") or {}
    if not role.get("name"):
        yield missing_value("roleRef.name")
    if role.get("kind") not in ("Role", "ClusterRole"):
        supported = 'supported values: "ClusterRole", "Role"'
        why = f'Unsupported value: "{role.get("kind", "")}": {supported}'
        yield Cause("roleRef.kind", "FieldValueNotSupported", why)
    if old is not None and role != old.get("roleRef"):
        shown_role = {"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]}
        shown = json.dumps(shown_role, separators=(",", ":"))
        yield Cause("roleRef", "FieldValueInvalid", f"Invalid value: {shown}: {_IMMUTABLE}")
    for place, subject in enumerate(new.get("subjects") or ()):
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            allowed = 'supported values: "ServiceAccount", "User", "Group"'
            why = f'Unsupported value: "{subject.get("kind", "")}": {allowed}'
            yield Cause(f"subjects[{place}].kind", "FieldValueNotSupported", why)
        if not subject.get("name"):
            yield missing_value(f"subjects[{place}].name")
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            yield missing_value(f"subjects[{place}].namespace")


def _service(new: JSON, old: JSON | None) -> Iterator[Cause]:
    ports = new["spec"].get("ports") or []
    if not ports and new["spec"]["type"] != "ExternalName":
        yield missing_value("spec.ports")
    for place, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            yield missing_value(f"spec.ports[{place}].name")
        if not 1 <= (port.get("port") or 0) <= 65535:
            why = "must be between 1 and 65535, inclusive"
            yield wrong_value(f"spec.ports[{place}].port", port.get("port"), why)


def _policy(new: JSON, old: JSON | None) -> Iterator[Cause]:
    yield from policy_causes(new["spec"])


def _pod(new: JSON, old: JSON | None) -> Iterator[Cause]:
    if not new["spec"].get("containers"):
        yield missing_value("spec.containers")


def _targeted(new: JSON, old: JSON | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    if sum(key in spec for key in ("selector", "targetRef", "targetRefs")) > 1:
        why = "only one of targetRefs or selector can be set"
        yield wrong_value("spec", "object", why)
    action = spec.get("action", "ALLOW")
    if action not in ("ALLOW", "DENY", "AUDIT", "CUSTOM"):
        supported = 'supported values: "ALLOW", "DENY", "AUDIT", "CUSTOM"'
        why = f'Unsupported value: "{action}": {supported}'
        yield Cause("spec.action", "FieldValueNotSupported", why)


_RULES: dict[tuple[str, str], Rule] = {
    ("", "Secret"): _secret,
    ("", "ConfigMap"): _config_map,
    ("", "ResourceQuota"): _quota,
    ("", "LimitRange"): _limits,
    ("", "Service"): _service,
    ("", "Pod"): _pod,
    ("networking.k8s.io", "NetworkPolicy"): _policy,
    (GATEWAYS, "HTTPRoute"): route_causes,
    **dict.fromkeys(_BINDINGS, _binding),
    (SECURITY, "AuthorizationPolicy"): _targeted,
    (SECURITY, "RequestAuthentication"): _targeted,
}
