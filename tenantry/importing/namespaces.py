"""Declares a live namespace: its labels, and the objects in it that isolate a team."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.faults import Place
from tenantry.declared.kubernetes_values import Key, Label
from tenantry.declared.labels import INJECTION, POD_SECURITY, REVISION
from tenantry.declared.labels import NAME as METADATA_NAME
from tenantry.declared.types import ShortName
from tenantry.importing.notes import Note, quoted
from tenantry.importing.snapshot import Snapshot, annotations, labels, owned
from tenantry.resources import MARK_PREFIXES, Amount
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.namespaces import BINDING, NAME

Data = dict[str, Any]

_KEY, _LABEL, _SHORT = TypeAdapter(Key), TypeAdapter(Label), TypeAdapter(ShortName)
_POD_SECURITY = ("privileged", "baseline", "restricted")
_FLAGS = {
    "tenantry-allow-dns": "allow_dns",
    "tenantry-allow-same-namespace": "allow_same_namespace",
    "tenantry-allow-mesh": "allow_mesh",
    "tenantry-allow-gateway": "allow_gateway",
}
DEFAULT_DENY = "tenantry-default-deny"


def is_valid(adapter: TypeAdapter[Any], value: Any) -> bool:
    """Return whether a value fits a type of the declared state."""
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def namespace(snapshot: Snapshot, name: str, section: Place) -> tuple[Data, list[Note]]:
    """Return the declaration of a namespace, and notes.

    Args:
        snapshot: what was read.
        name: the namespace.
        section: the place of the declaration in the team file.
    """
    return _Namespace(snapshot, name, section).result()


class _Namespace:
    def __init__(self, snapshot: Snapshot, name: str, section: Place) -> None:
        self._snapshot = snapshot
        self._name = name
        self._section = section
        self._live: Object = snapshot.namespaces[name]
        self._notes: list[Note] = []

    def result(self) -> tuple[Data, list[Note]]:
        mesh = self._mesh()
        data: Data = {
            "labels": self._labels(),
            "annotations": self._annotations(),
            "pod_security": self._pod_security(),
            "mesh": mesh,
            "quota": self._quota(),
            "limits": self._limits(),
            "network": self._network(),
            "cluster_role": self._cluster_role(),
        }
        return data, self._notes

    def _note(self, sort: Any, field: str, text: str) -> None:
        self._notes.append(Note(sort, (*self._section, field), text))

    def _labels(self) -> dict[str, str]:
        special = (POD_SECURITY, INJECTION, METADATA_NAME)
        kept = {}
        for key, value in labels(self._live).items():
            if key in special or key.startswith(MARK_PREFIXES):
                continue
            if key == REVISION and INJECTION not in labels(self._live):
                continue
            if is_valid(_KEY, key) and is_valid(_LABEL, value):
                kept[key] = value
            else:
                text = (
                    f"label {quoted(key)} of namespace {self._name} stays as it is: {quoted(value)}"
                )
                self._note("not expressed", "labels", text)
        return kept

    def _annotations(self) -> dict[str, str]:
        """Return the annotations that Tenantry has set. Others may be a tenant's text."""
        own = owned(self._live)
        kept = {}
        for key, value in annotations(self._live).items():
            if key.startswith(MARK_PREFIXES):
                continue
            if key in own and is_valid(_KEY, key):
                kept[key] = value
            else:
                text = f"annotation {quoted(key)} of namespace {self._name} stays as it is: {quoted(value)}"
                self._note("suggestion", "annotations", text)
        return kept

    def _pod_security(self) -> str | None:
        level = labels(self._live).get(POD_SECURITY)
        return level if level in _POD_SECURITY else None

    def _mesh(self) -> bool | str:
        found = labels(self._live)
        if INJECTION in found:
            return found[INJECTION] == "enabled"
        if REVISION in found:
            return found[REVISION]
        text = f"namespace {self._name} has no label {INJECTION}; the adoption writes 'disabled'"
        self._note("decided", "mesh", text)
        return False

    def _single(self, kind: str, field: str) -> Object | None:
        """Return the object that Tenantry writes, and note the others."""
        own = None
        for found in self._snapshot.of(kind, self._name):
            name = found["metadata"]["name"]
            if name == NAME:
                own = found
            else:
                text = f"{kind} {self._name}/{name} stays as it is: {quoted(found.get('spec'))}"
                self._note("not expressed", field, text)
        return own

    def _quota(self) -> dict[str, str]:
        found = self._single("ResourceQuota", "quota")
        spec = (found or {}).get("spec") or {}
        return {str(key): str(value) for key, value in (spec.get("hard") or {}).items()}

    def _limits(self) -> Data:
        found = self._single("LimitRange", "limits")
        items = ((found or {}).get("spec") or {}).get("limits") or []
        if len(items) != 1 or items[0].get("type") != "Container":
            if items:
                self._note(
                    "not expressed", "limits", f"the LimitRange stays as it is: {quoted(items)}"
                )
            return {}
        item = items[0]
        most, least = item.get("max") or {}, item.get("min") or {}
        default = _beyond(item.get("default") or {}, most)
        implied = {**least, **most, **default}
        request = _beyond(item.get("defaultRequest") or {}, implied)
        parts = {"default": default, "default_request": request, "max": most, "min": least}
        return {key: amounts for key, amounts in parts.items() if amounts}

    def _network(self) -> Data:
        policies = {
            each["metadata"]["name"]: each.get("spec") or {}
            for each in self._snapshot.of("NetworkPolicy", self._name)
        }
        if DEFAULT_DENY not in policies:
            for name, spec in policies.items():
                text = f"NetworkPolicy {self._name}/{name} stays as it is: {quoted(spec)}"
                self._note("not expressed", "network", text)
            return {"deny_by_default": False}
        network: Data = {flag: name in policies for name, flag in _FLAGS.items()}
        if self._mesh() is False:
            network["allow_mesh"] = True  # has no effect without sidecars
        own = {}
        for name, spec in policies.items():
            if name == DEFAULT_DENY or name in _FLAGS:
                continue
            if is_valid(_SHORT, name):
                own[name] = {key: part for key, part in spec.items() if part}
            else:
                text = f"NetworkPolicy {self._name}/{name} stays as it is: {quoted(spec)}"
                self._note("not expressed", "network", text)
        return {"deny_by_default": True, **network, "policies": own}

    def _cluster_role(self) -> str | None:
        for found in self._snapshot.of("RoleBinding", self._name):
            if found["metadata"]["name"] == BINDING:
                role = found.get("roleRef") or {}
                return str(role["name"]) if role.get("kind") == "ClusterRole" else None
        return None


def _beyond(amounts: dict[str, str], implied: dict[str, str]) -> dict[str, str]:
    """Return the amounts that differ from the implied ones."""
    return {
        key: str(value)
        for key, value in amounts.items()
        if key not in implied or Amount(str(value)) != str(implied[key])
    }
