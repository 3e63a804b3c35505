"""The verbs of the API: each takes the store and a call, and returns the response."""

import json
from collections.abc import Callable
from uuid import uuid4

from starlette.responses import Response

from . import continuation, kinds
from .defaults import check_types, replace_nulls
from .errors import (
    Cause,
    Refused,
    Undecodable,
    already_exists,
    bad_option,
    bad_request,
    forbidden,
    inconvertible,
    invalid,
    missing_value,
    modified,
    no_such_uid,
    not_allowed,
    not_simulated,
    precondition,
    untypable,
)
from .fields import apply
from .kinds import JSON, Kind, copy_json
from .patches import json_patch, merge
from .requests import (
    APPLY,
    Call,
    decode,
    deeper_schema_faults,
    prune,
    refuse_nulls,
    schema_faults,
    set_place,
    string_map_faults,
    without_empty_maps,
    without_nulls,
)
from .responses import json_response, object_response, opening
from .selectors import by_fields, by_labels
from .store import SHAPES, Store, Stored

_PROTECTED_NAMESPACES = ("default", "kube-public", "kube-system")

Handler = Callable[[Store, Call], Response]


def answer(store: Store, call: Call) -> Response:
    """Return the response to a call; raise Refused if the server rejects it."""
    store.run_controllers()
    handler = _HANDLERS.get((call.method, call.name is not None))
    needs_namespace = call.kind.namespaced and call.namespace is None and handler is not _list
    if handler is None or needs_namespace:
        raise not_allowed()
    return handler(store, call)


def _get(store: Store, call: Call) -> Response:
    return object_response(call.kind, store.get(call.kind, call.namespace or "", call.name or ""))


def _list(store: Store, call: Call) -> Response:
    query, kind = call.query, call.kind
    if query.get("watch") in ("1", "true"):
        raise not_simulated(f"watching {kind.resource}")
    selected = _select(store, call)
    limit = max(_parse_number(query.get("limit") or "0"), 0)
    version = _requested_version(query)
    if query.get("continue"):
        if version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        after = continuation.read(query["continue"])
        selected = [each for each in selected if each[0] > after]
    meta: JSON = {"resourceVersion": str(store.version)}
    if kind.custom:
        meta["continue"] = ""
    if limit and len(selected) > limit:
        meta["continue"] = continuation.token(store.version, selected[limit - 1][0])
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            meta["remainingItemCount"] = len(selected) - limit
        selected = selected[:limit]
    # As on a real server, items of built-in kinds have no apiVersion and kind.
    head = opening(kind) if kind.custom else b"{"
    items = b",".join(head + stored.encoded[1:] for _, stored in selected)
    start = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": meta}
    body = json.dumps(start)[:-1].encode() + b',"items":[' + items + b"]}\n"
    return Response(body, media_type="application/json")


def _select(store: Store, call: Call) -> list[tuple[tuple[str, str], Stored]]:
    tests = []
    if call.query.get("labelSelector"):
        tests.append(by_labels(call.query["labelSelector"]))
    if call.query.get("fieldSelector"):
        tests.append(by_fields(call.kind, call.query["fieldSelector"]))
    return store.select(call.kind, call.namespace, tests)


def _create(store: Store, call: Call) -> Response:
    obj = decode(call, call.body)
    metadata = obj["metadata"]
    if metadata.get("generateName") and not metadata.get("name"):
        metadata["name"] = metadata["generateName"] + uuid4().hex[:5]
    if not metadata.get("name"):
        why = missing_value("metadata.name", "name or generateName is required")
        raise invalid(call.kind, "", [why])
    if metadata.get("resourceVersion"):
        raise Refused(500, "", "resourceVersion should not be set on objects to be created")
    set_place(call, metadata)
    store.check_namespace(call.kind, obj)
    if store.find(call.kind, call.namespace or "", metadata["name"]):
        raise already_exists(call.kind, metadata["name"])
    warnings = prune(call, obj)
    write = store.write_by(call.manager)
    stored = store.create(call.kind, obj, write, dry=call.dry)
    return object_response(call.kind, stored, 201, warnings)


def _update(store: Store, call: Call) -> Response:
    obj = decode(call, call.body)
    set_place(call, obj["metadata"])
    dry = call.dry
    old = store.get(call.kind, call.namespace or "", call.name or "")
    version = obj["metadata"].get("resourceVersion") or "0"
    if not version.isdigit():
        raise Refused(500, "", f'strconv.ParseUint: parsing "{version}": invalid syntax')
    warnings = prune(call, obj)
    write = store.write_by(call.manager)
    stored = store.update(call.kind, obj, old, write, dry=dry)
    return object_response(call.kind, stored, 200, warnings)


def _patch(store: Store, call: Call) -> Response:
    if call.content_type in APPLY:
        return _apply(store, call)
    if "force" in call.query:
        why = "may not be specified for non-apply patch"
        cause = Cause("force", "FieldValueForbidden", f"Forbidden: {why}")
        raise bad_option("PatchOptions", cause)
    old = store.get(call.kind, call.namespace or "", call.name or "")
    live = copy_json(old.obj)
    match call.content_type:
        case "application/merge-patch+json":
            obj = merge(live, call.body)
            _check_string_maps(call.kind, obj)
        case "application/strategic-merge-patch+json" if not call.kind.custom:
            obj = merge(live, call.body, strategic=True)
        case "application/json-patch+json":
            obj = json_patch(live, call.body)
        case _:
            message = "the body of the request was in an unknown format"
            raise Refused(415, "UnsupportedMediaType", message, {})
    obj = decode(call, obj)
    set_place(call, obj["metadata"])
    warnings = prune(call, obj)
    write = store.write_by(call.manager)
    stored = store.update(call.kind, obj, old, write, dry=call.dry)
    return object_response(call.kind, stored, 200, warnings)


def _apply(store: Store, call: Call) -> Response:
    kind, name = call.kind, call.name or ""
    manager = call.query.get("fieldManager")
    if not manager:
        cause = missing_value("fieldManager", "is required for apply patch")
        raise bad_option("PatchOptions", cause)
    manager = call.manager
    config = decode(call, call.body)
    replace_nulls(kind, config)
    metadata = config["metadata"]
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    set_place(call, metadata)
    found = [
        *schema_faults(kind, config),
        *deeper_schema_faults(kind, config),
        *string_map_faults(kind, config),
    ]
    for field, why in found:
        raise untypable(kind, name, f".{field}: {why}")
    refuse_nulls(kind, config)
    config.pop("status", None)
    old = store.find(kind, call.namespace or "", name)
    if old is None:
        store.check_namespace(kind, config)
        if metadata.get("resourceVersion"):
            raise modified(kind, name)
        if metadata.get("uid"):
            raise no_such_uid(kind, name, metadata["uid"])
    elif metadata.get("resourceVersion") not in (None, old.obj["metadata"]["resourceVersion"]):
        raise modified(kind, name)
    write = store.write_by(manager, "Apply")
    force = call.query.get("force") in ("1", "true", "True")
    live = copy_json(old.obj) if old else None
    merged = apply(SHAPES[kind], live, config, write, kind.api_version, force=force)
    managed = merged["metadata"].get("managedFields")
    merged = without_empty_maps(without_nulls(merged))
    try:
        new = store.prepare(kind, merged, old.obj if old else None)
    except Undecodable as error:
        raise inconvertible(kind, name, error.why) from None
    if managed:
        new["metadata"]["managedFields"] = managed
    stored = store.put(kind, new, old, dry=call.dry)
    return object_response(kind, stored, 200 if old else 201)


def _delete(store: Store, call: Call) -> Response:
    kind, name = call.kind, call.name or ""
    stored = store.get(kind, call.namespace or "", name)
    metadata = stored.obj["metadata"]
    wanted = (call.body if call.raw.strip() else None) or {}
    for key, what in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        expected = (wanted.get("preconditions") or {}).get(key)
        if expected and expected != metadata[key]:
            raise precondition(kind, name, what, expected, metadata[key])
    if kind is kinds.NAMESPACE and name in _PROTECTED_NAMESPACES:
        raise forbidden(kind, name, "this namespace may not be deleted")
    dry = call.dry or "All" in (wanted.get("dryRun") or ())
    deleted = store.delete(kind, stored, dry=dry)
    held = "deletionTimestamp" in deleted.obj["metadata"]
    if kind.shown_when_deleted or held:
        return object_response(kind, deleted)
    group = {"group": kind.group} if kind.group else {}
    about = {"name": name, **group, "kind": kind.plural, "uid": metadata["uid"]}
    done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return json_response({**done, "details": about})


def _delete_all(store: Store, call: Call) -> Response:
    for _, stored in _select(store, call):
        store.delete(call.kind, stored, dry=call.dry)
    return json_response(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    )


def _parse_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _requested_version(query: dict[str, str]) -> str:
    version = query.get("resourceVersion", "")
    if version and not version.isdigit():
        why = f'strconv.ParseUint: parsing "{version}": invalid syntax'
        about = f'resourceVersion: Invalid value: "{version}": {why}'
        raise bad_request(f"invalid resource version: {about}")
    return version


def _check_string_maps(kind: Kind, obj: JSON) -> None:
    """Refuse a merge patch that leaves a value of another type in a map of strings."""
    try:
        check_types(kind, obj)
    except Undecodable as error:
        whole = json.dumps(json.dumps(obj, separators=(",", ":"), sort_keys=True))
        message = f"Invalid value: {whole}: {error.why}"
        cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
        said = f' "" is invalid: patch: {message}'
        raise Refused(422, "Invalid", said, {"causes": [cause]}) from None


_HANDLERS: dict[tuple[str, bool], Handler] = {
    ("GET", True): _get,
    ("GET", False): _list,
    ("POST", False): _create,
    ("PUT", True): _update,
    ("PATCH", True): _patch,
    ("DELETE", True): _delete,
    ("DELETE", False): _delete_all,
}
