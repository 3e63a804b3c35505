"""Who owns which field: managedFields, and server-side apply on top of them.

A field is a tuple of the path elements that fieldsV1 is written in: `f:name` for a field,
`k:{"name":"x"}` for an item of a list that has keys, `v:"x"` for one of a set.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import Refused
from .kinds import JSON, Kind

Path = tuple[str, ...]
Owner = tuple[str, str]

_SET = ("",)

# Lists are atomic, unless they are here: the keys of their items, or a set of values.
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

# Maps that change hands only as a whole; other maps are owned key by key.
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
    # The server's own: a write sets neither.
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


# What an object of a built-in kind has even before anything is in it.
_ALWAYS_THERE = {("f:spec",), ("f:status",)}


@dataclass(frozen=True)
class Write:
    """Who writes, how and when."""

    manager: str
    operation: str
    time: str


class Shape:
    """How the lists and maps of one kind are owned."""

    def __init__(self, kind: Kind) -> None:
        names = (kind.name, kind.full_name, "*")
        self._lists = {path: keys for (name, path), keys in _LISTS.items() if name in names}
        self._atomic = {path for name, path in _ATOMIC if name in names}
        self._custom = kind.custom

    def keys(self, names: Path) -> tuple[str, ...] | None:
        """The keys of a list's items; None where the list is atomic."""
        return self._lists.get(".".join(names))

    def leaves(self, value: Any, path: Path = (), names: Path = ()) -> Iterator[tuple[Path, Any]]:
        """Every field that can be owned, with its value; an item itself has none."""
        if isinstance(value, dict) and (not path or value):
            if ".".join(names) in self._atomic:
                yield path, value
                return
            for key, each in value.items():
                below = (*path, f"f:{key}")
                if below not in _UNOWNED:
                    yield from self.leaves(each, below, (*names, key))
            return
        keys = self.keys(names) if isinstance(value, list) else None
        if keys is None:
            yield path, value
            return
        for each in value:
            item = (*path, element(keys, each))
            yield item, None
            if keys != _SET:
                yield from self.leaves(each, item, names)

    def holders(self, value: Any, path: Path = (), names: Path = ()) -> Iterator[Path]:
        """Every map and keyed list that has something in it, and can be owned besides that."""
        if not isinstance(value, (dict, list)) or not value or ".".join(names) in self._atomic:
            return
        if isinstance(value, dict):
            if path and (self._custom or path not in _ALWAYS_THERE) and path != ("f:metadata",):
                yield path
            for key, each in value.items():
                below = (*path, f"f:{key}")
                if below not in _UNOWNED:
                    yield from self.holders(each, below, (*names, key))
        elif (keys := self.keys(names)) is not None:
            yield path
            for each in value if keys != _SET else ():
                yield from self.holders(each, (*path, element(keys, each)), names)

    def merge(self, live: Any, applied: Any, names: Path = ()) -> Any:
        """The live value with what is applied on top."""
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
        items = {element(keys, each): each for each in live}
        for each in applied:
            key = element(keys, each)
            items[key] = self.merge(items[key], each, names) if key in items else each
        return list(items.values())


def element(keys: tuple[str, ...], item: Any) -> str:
    """The path element of a list's item."""
    if keys == _SET:
        return "v:" + json.dumps(item)
    defaults = {"protocol": "TCP"}
    values = {key: item.get(key, defaults.get(key)) for key in sorted(keys)}
    return "k:" + json.dumps(values, separators=(",", ":"))


def read(managed: Iterable[JSON]) -> dict[Owner, set[Path]]:
    """The fields by their owners."""
    return {
        (entry["manager"], entry["operation"]): set(_paths(entry["fieldsV1"], ()))
        for entry in managed
    }


def _paths(node: JSON, path: Path) -> Iterator[Path]:
    for key, below in node.items():
        if key == ".":
            yield path
        elif below:
            yield from _paths(below, (*path, key))
        else:
            yield (*path, key)


def _fields(paths: Iterable[Path]) -> JSON:
    tree: JSON = {}
    nodes = []
    for path in sorted(paths):
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        nodes.append(node)
    for node in nodes:
        if node:
            node["."] = {}  # owned itself, as well as something in it
    return tree


def written(
    before: list[JSON], owned: dict[Owner, set[Path]], write: Write, version: str
) -> list[JSON]:
    """managedFields for what is owned now; an entry that didn't change keeps its time."""
    old = {(entry["manager"], entry["operation"]): entry for entry in before}
    entries = []
    for (manager, operation), paths in owned.items():
        if not paths:
            continue
        entry = {
            "manager": manager,
            "operation": operation,
            "apiVersion": version,
            "time": write.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": _fields(paths),
        }
        known = old.get((manager, operation))
        if known and known["fieldsV1"] == entry["fieldsV1"]:
            entry["time"] = known["time"]
        entries.append(entry)
    return sorted(entries, key=lambda each: (each["operation"], each["time"], each["manager"]))


def updated(shape: Shape, before: JSON | None, after: JSON, write: Write, version: str) -> None:
    """Note in `after` what a plain write changed: what it set is the writer's alone."""
    managed = (before or {}).get("metadata", {}).get("managedFields", [])
    if before is not None and not managed:
        return  # nobody keeps account of this object
    owned = read(managed)
    old, new = dict(shape.leaves(before or {})), dict(shape.leaves(after))
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    changed |= set(shape.holders(after)) - set(shape.holders(before or {}))
    gone = old.keys() - new.keys()
    mine = (write.manager, write.operation)
    for owner in owned:
        owned[owner] -= gone
        if owner != mine:
            owned[owner] -= changed
    owned[mine] = owned.get(mine, set()) | changed
    _note(after, written(managed, owned, write, version))


def applied(
    shape: Shape, live: JSON | None, config: JSON, write: Write, version: str, *, force: bool
) -> JSON:
    """What a server-side apply makes of the live object; Refused when others own what it sets.

    The live object is used up: what comes back shares parts with it.
    """
    managed = (live or {}).get("metadata", {}).get("managedFields", [])
    owned = read(managed)
    mine = (write.manager, "Apply")
    wanted, there = dict(shape.leaves(config)), dict(shape.leaves(live or {}))
    different = {path for path, value in wanted.items() if there.get(path, _NOTHING) != value}
    conflicts = [
        (owner, path) for owner in owned if owner != mine for path in owned[owner] & different
    ]
    if conflicts and not force:
        times = {(entry["manager"], entry["operation"]): entry for entry in managed}
        raise _conflict([(_named(times[owner]), path) for owner, path in conflicts])
    for owner, path in conflicts:
        owned[owner].discard(path)
    merged: JSON = shape.merge(live or {}, config)
    others = set().union(*(paths for owner, paths in owned.items() if owner != mine))
    dropped = owned.get(mine, set()) - wanted.keys() - others
    for path in sorted(dropped, key=len):
        if not any(each[: len(path)] == path for each in others | wanted.keys()):
            _remove(shape, merged, path)
    owned[mine] = set(wanted)
    _note(merged, written(managed, owned, write, version))
    return merged


_NOTHING = object()


def _note(obj: JSON, managed: list[JSON]) -> None:
    metadata = dict(obj["metadata"])
    metadata.pop("managedFields", None)
    obj["metadata"] = metadata | ({"managedFields": managed} if managed else {})


def _remove(shape: Shape, obj: JSON, path: Path) -> None:
    """Take one field out, and the maps and lists that it leaves empty, but never `spec`."""
    trail: list[tuple[Any, Any]] = []
    node: Any = obj
    names: Path = ()
    for part in path:
        if part.startswith("f:"):
            key: Any = part[2:]
            names = (*names, key)
            if not isinstance(node, dict) or key not in node:
                return
        else:
            keys = shape.keys(names)
            if keys is None or not isinstance(node, list):
                return
            places = [place for place, each in enumerate(node) if element(keys, each) == part]
            if not places:
                return
            key = places[0]
        trail.append((node, key))
        node = node[key]
    node, key = trail.pop()
    if len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in json.loads(path[-2][2:]):
        return  # an item that stays keeps its key
    del node[key]
    while trail:
        above, key = trail.pop()
        if above[key] or (not trail and key == "spec"):
            return
        del above[key]


def _named(entry: JSON) -> str:
    if entry["operation"] == "Update":
        return f'"{entry["manager"]}" using {entry["apiVersion"]}'
    return f'"{entry["manager"]}"'


def _conflict(conflicts: list[tuple[str, Path]]) -> Refused:
    found = sorted((manager, _spoken(path)) for manager, path in conflicts)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in found
    ]
    if len(found) == 1:
        manager, path = found[0]
        message = f"Apply failed with 1 conflict: conflict with {manager}: {path}"
    else:
        lines = []
        for manager in dict.fromkeys(manager for manager, _ in found):
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {path}" for each, path in found if each == manager]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return Refused(409, "Conflict", message, {"causes": causes})


def _spoken(path: Path) -> str:
    """A field as messages name it: .spec.ports[port=80,protocol="TCP"].name."""
    said = ""
    for part in path:
        if part.startswith("f:"):
            said += "." + part[2:]
        elif part.startswith("v:"):
            said += f"[={part[2:]}]"
        else:
            pairs = json.loads(part[2:]).items()
            said += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs) + "]"
    return said
