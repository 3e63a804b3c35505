"""The shapes of kinds: which fields of an object can be owned, and how lists and maps are merged.

A field is a tuple of path elements as in fieldsV1: `f:name` is a field, `k:{"name":"x"}` an item of
a list with keys, `v:"x"` an item of a set.
"""

import json
from collections.abc import Iterator
from typing import Any

from .kinds import Kind

Path = tuple[str, ...]

_SET = ("",)

# The lists that are not atomic, each with the keys of its items, or _SET for a set of values.
_LISTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("*", "metadata.finalizers"): _SET,
    ("*", "metadata.ownerReferences"): ("uid",),
    ("Service", "spec.ports"): ("port", "protocol"),
    ("ServiceAccount", "secrets"): ("name",),
    ("Pod", "spec.containers"): ("name",),
    ("Pod", "spec.containers.env"): ("name",),
    ("Pod", "spec.containers.ports"): ("containerPort", "protocol"),
    ("Pod", "spec.containers.volumeMounts"): ("mountPath",),
    ("Pod", "spec.imagePullSecrets"): ("name",),
    ("Pod", "spec.volumes"): ("name",),
    ("Gateway.gateway.networking.k8s.io", "spec.listeners"): ("name",),
}

# Maps that are owned as a whole; other maps are owned key by key.
_ATOMIC = {
    ("NetworkPolicy", "spec.podSelector"),
    ("Service", "spec.selector"),
    ("RoleBinding", "roleRef"),
    ("ClusterRoleBinding", "roleRef"),
    ("ResourceQuota", "spec.scopeSelector"),
}

_UNOWNED = {
    ("f:apiVersion",),
    ("f:kind",),
    # Only the server sets these.
    ("f:status",),
    ("f:spec", "f:finalizers"),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "deletionTimestamp",
            "generation",
            "managedFields",
        )
    ),
}


# Fields that every object of a built-in kind has, even if they are empty.
_ALWAYS_THERE = {("f:spec",), ("f:status",)}


class Shape:
    """The ownership rules for the lists and maps of one kind."""

    def __init__(self, kind: Kind) -> None:
        names = (kind.name, kind.full_name, "*")
        self._lists = {path: keys for (name, path), keys in _LISTS.items() if name in names}
        self._atomic = {path for name, path in _ATOMIC if name in names}
        self._custom = kind.custom

    def keys(self, names: Path) -> tuple[str, ...] | None:
        """Return the keys of a list's items, or None if the list is atomic."""
        return self._lists.get(".".join(names))

    def leaves(self, value: Any, path: Path = (), names: Path = ()) -> Iterator[tuple[Path, Any]]:
        """Yield every field that can be owned, with its value. List items have no value."""
        if isinstance(value, dict) and (not path or value):
            if ".".join(names) in self._atomic:
                yield path, value
                return
            for key, content in value.items():
                below = (*path, f"f:{key}")
                if below not in _UNOWNED:
                    yield from self.leaves(content, below, (*names, key))
            return
        keys = self.keys(names) if isinstance(value, list) else None
        if keys is None:
            yield path, value
            return
        for item in value:
            item_path = (*path, element(keys, item))
            yield item_path, None
            if keys != _SET:
                yield from self.leaves(item, item_path, names)

    def containers(self, value: Any, path: Path = (), names: Path = ()) -> Iterator[Path]:
        """Yield every map and keyed list that is not empty and can itself be owned."""
        if not isinstance(value, (dict, list)) or not value or ".".join(names) in self._atomic:
            return
        if isinstance(value, dict):
            if path and (self._custom or path not in _ALWAYS_THERE) and path != ("f:metadata",):
                yield path
            for key, content in value.items():
                below = (*path, f"f:{key}")
                if below not in _UNOWNED:
                    yield from self.containers(content, below, (*names, key))
        elif (keys := self.keys(names)) is not None:
            yield path
            for item in value if keys != _SET else ():
                yield from self.containers(item, (*path, element(keys, item)), names)

    def merge(self, live: Any, applied: Any, names: Path = ()) -> Any:
        """Return the live value with the applied value merged into it."""
        if isinstance(live, dict) and isinstance(applied, dict):
            if ".".join(names) in self._atomic:
                return applied
            merged = dict(live)
            for key, value in applied.items():
                merged[key] = self.merge(live[key], value, (*names, key)) if key in live else value
            return merged
        keys = self.keys(names)
        if keys is None or not isinstance(live, list) or not isinstance(applied, list):
            return applied
        items = {element(keys, item): item for item in live}
        for item in applied:
            key = element(keys, item)
            items[key] = self.merge(items[key], item, names) if key in items else item
        return list(items.values())


def element(keys: tuple[str, ...], item: Any) -> str:
    """Return the path element of a list item."""
    if keys == _SET:
        return "v:" + json.dumps(item)
    defaults = {"protocol": "TCP"}
    values = {key: item.get(key, defaults.get(key)) for key in sorted(keys)}
    return "k:" + json.dumps(values, separators=(",", ":"))
