"""Merge patches, strategic merge patches and JSON patches."""

from typing import Any

from .errors import Refused, bad_request
from .kinds import JSON

# The lists that a strategic merge patch merges, each with the key of its items. Lists that a real
# server replaces as a whole (imagePullSecrets of a service account, rules, subjects) are not here.
_KEYS = {
    "containers": "name",
    "conditions": "type",
    "env": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "port",
    "secrets": "name",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


def merge(target: Any, patch: Any, *, strategic: bool = False) -> Any:
    """Return the target after a merge patch (RFC 7386).

    A strategic merge patch merges lists with keys item by item.
    """
    if not isinstance(patch, dict):
        return patch
    if strategic and patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged: JSON = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            merged.pop(key, None)
        elif strategic and isinstance(value, list) and isinstance(merged.get(key), list):
            merged[key] = _merged_list(key, merged[key], value)
        else:
            merged[key] = merge(merged.get(key), value, strategic=strategic)
    return merged


def _merged_list(name: str, target: list[Any], patch: list[Any]) -> list[Any]:
    if name == "finalizers":
        return list(dict.fromkeys([*target, *patch]))
    key = _KEYS.get(name)
    if key is None or not all(isinstance(item, dict) and key in item for item in [*target, *patch]):
        return patch
    items = {item[key]: item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            items.pop(item[key], None)
        else:
            items[item[key]] = merge(items.get(item[key]), item, strategic=True)
    return list(items.values())


def json_patch(target: JSON, operations: Any) -> JSON:
    """Apply a JSON patch (RFC 6902) to the target in place, and return it."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal into Go value of jsonpatch")
    for operation in operations:
        try:
            _run_operation(target, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = "the server rejected our request due to an error in our request"
            raise Refused(422, "Invalid", message, {}) from error
    return target


def _run_operation(target: JSON, operation: JSON) -> None:
    kind, path = operation["op"], _parts(operation["path"])
    if kind in ("move", "copy"):
        source = _parts(operation["from"])
        value = _get(target, source)
        if kind == "move":
            _change(target, source, "remove", None)
        _change(target, path, "add", value)
    elif kind == "test":
        if _get(target, path) != operation.get("value"):
            raise ValueError(path)
    else:
        _change(target, path, kind, operation.get("value"))


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _get(node: Any, path: list[str]) -> Any:
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def _change(target: JSON, path: list[str], kind: str, value: Any) -> None:
    node, last = _get(target, path[:-1]), path[-1]
    if isinstance(node, list):
        place = len(node) if last == "-" else int(last)
        if kind == "add":
            node.insert(place, value)
        elif kind == "replace":
            node[place] = value
        else:
            del node[place]
    elif kind == "remove":
        del node[last]
    elif kind == "replace" and last not in node:
        raise KeyError(last)
    else:
        node[last] = value
