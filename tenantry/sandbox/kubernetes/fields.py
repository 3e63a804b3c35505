"""The ownership of fields: managedFields, and server-side apply."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import Refused
from .kinds import JSON
from .shapes import Path, Shape, element

Owner = tuple[str, str]


@dataclass(frozen=True)
class Write:
    """The manager, operation and time of a write."""

    manager: str
    operation: str
    time: str


def read_owners(managed: Iterable[JSON]) -> dict[Owner, set[Path]]:
    """Return the fields by owner."""
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
            node["."] = {}  # the field itself is owned, and some of its content
    return tree


def managed_fields(
    before: list[JSON], owned: dict[Owner, set[Path]], write: Write, version: str
) -> list[JSON]:
    """Return the new managedFields. An unchanged entry keeps its time."""
    old = {(entry["manager"], entry["operation"]): entry for entry in before}
    entries = []
    for (manager, operation), paths in owned.items():
        if not paths:
            continue
        entry = _entry((manager, operation), paths, write, version)
        known = old.get((manager, operation))
        if known and known["fieldsV1"] == entry["fieldsV1"]:
            entry["time"] = known["time"]
        entries.append(entry)
    return sorted(entries, key=lambda entry: (entry["operation"], entry["time"], entry["manager"]))


def _entry(owner: Owner, paths: set[Path], write: Write, version: str) -> JSON:
    manager, operation = owner
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": version,
        "time": write.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields(paths),
    }


_UNTRACKED: Owner = ("before-first-apply", "Update")
"""The owner of the fields of an object whose ownership was not tracked until its first apply."""


def is_reset(metadata: JSON) -> bool:
    """Return whether a write makes the server forget the ownership of all fields."""
    return bool(metadata.get("managedFields") == [{}])


def record_update(
    shape: Shape, before: JSON | None, after: JSON, write: Write, version: str
) -> None:
    """Record in `after` that the writer is the only owner of the fields that it changed.

    This is for all writes but server-side apply.
    """
    managed = (before or {}).get("metadata", {}).get("managedFields", [])
    if before is not None and not managed:
        return  # ownership is not tracked for this object
    owned = read_owners(managed)
    old_fields, new_fields = dict(shape.leaves(before or {})), dict(shape.leaves(after))
    changed = {
        path
        for path, value in new_fields.items()
        if path not in old_fields or old_fields[path] != value
    }
    changed |= set(shape.containers(after)) - set(shape.containers(before or {}))
    removed = old_fields.keys() - new_fields.keys()
    mine = (write.manager, write.operation)
    for owner in owned:
        owned[owner] -= removed
        if owner != mine:
            owned[owner] -= changed
    owned[mine] = owned.get(mine, set()) | changed
    _set_managed_fields(after, managed_fields(managed, owned, write, version))


def apply(
    shape: Shape, live: JSON | None, config: JSON, write: Write, version: str, *, force: bool
) -> JSON:
    """Return the object after a server-side apply. It shares parts with the live object.

    Raises:
        Refused: other managers own fields that it sets, and `force` is not set.
    """
    managed = (live or {}).get("metadata", {}).get("managedFields", [])
    owned = read_owners(managed)
    mine = (write.manager, "Apply")
    wanted, present = dict(shape.leaves(config)), dict(shape.leaves(live or {}))
    if live is not None and not managed:
        owned[_UNTRACKED] = set(present) | set(shape.containers(live))
    different = {path for path, value in wanted.items() if present.get(path, _NOTHING) != value}
    conflicts = [
        (owner, path) for owner in owned if owner != mine for path in owned[owner] & different
    ]
    if conflicts and not force:
        times = {(entry["manager"], entry["operation"]): entry for entry in managed}
        times[_UNTRACKED] = times.get(_UNTRACKED) or _entry(_UNTRACKED, set(), write, version)
        raise _conflict([(_describe_manager(times[owner]), path) for owner, path in conflicts])
    for owner, path in conflicts:
        owned[owner].discard(path)
    merged: JSON = shape.merge(live or {}, config)
    others = set().union(*(paths for owner, paths in owned.items() if owner != mine))
    dropped = owned.get(mine, set()) - wanted.keys() - others
    for path in sorted(dropped, key=len):
        if not any(field[: len(path)] == path for field in others | wanted.keys()):
            _remove(shape, merged, path)
    owned[mine] = set(wanted)
    _set_managed_fields(merged, managed_fields(managed, owned, write, version))
    return merged


_NOTHING = object()


def _set_managed_fields(obj: JSON, managed: list[JSON]) -> None:
    metadata = dict(obj["metadata"])
    metadata.pop("managedFields", None)
    obj["metadata"] = metadata | ({"managedFields": managed} if managed else {})


def _remove(shape: Shape, obj: JSON, path: Path) -> None:
    """Remove a field, and the maps and lists that become empty by that, except `spec`."""
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
            places = [place for place, item in enumerate(node) if element(keys, item) == part]
            if not places:
                return
            key = places[0]
        trail.append((node, key))
        node = node[key]
    node, key = trail.pop()
    if len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in json.loads(path[-2][2:]):
        return  # an item that remains keeps its key
    del node[key]
    while trail:
        above, key = trail.pop()
        if above[key] or (not trail and key == "spec"):
            return
        del above[key]


def _describe_manager(entry: JSON) -> str:
    if entry["operation"] == "Update":
        return f'"{entry["manager"]}" using {entry["apiVersion"]}'
    return f'"{entry["manager"]}"'


def _conflict(conflicts: list[tuple[str, Path]]) -> Refused:
    found = sorted((manager, _describe_path(path)) for manager, path in conflicts)
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
            lines += [f"- {path}" for owner, path in found if owner == manager]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return Refused(409, "Conflict", message, {"causes": causes})


def _describe_path(path: Path) -> str:
    """Return a field as messages show it: .spec.ports[port=80,protocol="TCP"].name."""
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
