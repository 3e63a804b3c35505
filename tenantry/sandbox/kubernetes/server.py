"""The ASGI application: paths and verbs of the API, on top of the store."""

import json
import threading
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from . import continuation, discovery, kinds
from .defaults import check_types, fill
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
    no_resource,
    no_such_uid,
    not_allowed,
    not_simulated,
    precondition,
    unauthorized,
    untypable,
)
from .fields import applied
from .kinds import JSON, Kind, kind_named, kind_of
from .patches import json_patch, merge
from .requests import (
    APPLY,
    Call,
    decoded,
    place,
    prune,
    refuse_nulls,
    unfit,
    unfit_inside,
    untyped_texts,
    without_nothing,
    without_nulls,
)
from .selectors import by_fields, by_labels
from .store import SHAPES, Now, Store, Stored

VERSION = "v1.37.2"
_VERSION: JSON = {
    "major": "1",
    "minor": "37",
    "emulationMajor": "1",
    "emulationMinor": "37",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36",
    "gitVersion": VERSION,
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "gc",
    "platform": "linux/amd64",
}

_IMMORTAL = ("default", "kube-public", "kube-system")


class SimulatedKubernetes:
    """An API server with the namespaces and cluster roles of a new cluster.

    `token` is what clients have to send; who has it may do everything. `get`, `put`, `delete` and
    `objects` look at and change what it holds without a request, as somebody else would behind
    our back. `namespace_termination_seconds` is how long a deleted namespace takes to go.
    """

    def __init__(self, clock: Now) -> None:
        self.url = "http://127.0.0.1:6443"
        self.token = "sandbox"
        self._store = Store(clock)
        self._lock = threading.RLock()
        self.app = Starlette(routes=[Mount("/", app=self._serve)])

    @property
    def namespace_termination_seconds(self) -> float:
        """How long a deleted namespace takes to go."""
        return self._store.namespace_termination_seconds

    @namespace_termination_seconds.setter
    def namespace_termination_seconds(self, seconds: float) -> None:
        self._store.namespace_termination_seconds = seconds

    # Without a request

    @property
    def objects(self) -> list[JSON]:
        """Copies of all objects."""
        with self._lock:
            self._store.tick()
            return [_copy(obj) for obj in self._store]

    def get(
        self, kind: str, name: str, namespace: str | None = None, *, group: str | None = None
    ) -> JSON | None:
        """A copy of an object; `group` where two groups have a kind of that name."""
        with self._lock:
            self._store.tick()
            found = self._store.find(kind_named(kind, group), namespace or "", name)
            return _copy(found.obj) if found else None

    def put(self, manifest: JSON, manager: str = "somebody-else") -> JSON:
        """Create or replace an object, as somebody else would."""
        with self._lock:
            self._store.tick()
            kind, obj = kind_of(manifest), _copy(manifest)
            metadata = obj["metadata"]
            old = self._store.find(kind, metadata.get("namespace", ""), metadata["name"])
            write = self._store.by(manager)
            if old is None:
                return _copy(self._store.create(kind, obj, write).obj)
            obj["metadata"].pop("resourceVersion", None)
            return _copy(self._store.update(kind, obj, old, write).obj)

    def delete(
        self, kind: str, name: str, namespace: str | None = None, *, group: str | None = None
    ) -> None:
        """Delete an object, as somebody else would."""
        with self._lock:
            known = kind_named(kind, group)
            self._store.delete(known, self._store.get(known, namespace or "", name))

    def dump(self) -> JSON:
        """Everything it holds, as JSON."""
        with self._lock:
            return self._store.dump()

    def load(self, held: JSON) -> None:
        """Hold what was dumped, and nothing else."""
        with self._lock:
            self._store.load(held)

    # Requests

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = await request.body()
        with self._lock:
            try:
                response = self._answer(request, raw)
            except Refused as refused:
                response = _json(refused.status, refused.code)
        await response(scope, receive, send)

    def _answer(self, request: Request, raw: bytes) -> Response:
        path = (request.scope.get("raw_path") or request.scope["path"].encode()).decode()
        parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
        match parts:
            case ["healthz" | "livez" | "readyz"]:
                return Response("ok", media_type="text/plain")
            case ["version"]:
                return _json(_VERSION)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise unauthorized()
        match parts:
            case ["api"]:
                return _json(discovery.core_versions(self.url))
            case ["apis"]:
                return _json(discovery.group_list())
            case ["api", version]:
                return _found_or_404(discovery.resource_list("", version))
            case ["apis", group]:
                groups = discovery.group_list()["groups"]
                return _found_or_404(next((each for each in groups if each["name"] == group), None))
            case ["apis", group, version]:
                return _found_or_404(discovery.resource_list(group, version))
            case ["openapi", "v3"]:
                return _json(discovery.openapi_index())
            case ["openapi", "v3", *rest]:
                return _found_or_404(discovery.openapi("/".join(rest)))
            case ["api", version, *rest]:
                return self._object(request, raw, "", version, rest)
            case ["apis", group, version, *rest]:
                return self._object(request, raw, group, version, rest)
        return _page_not_found()

    def _object(
        self, request: Request, raw: bytes, group: str, version: str, rest: list[str]
    ) -> Response:
        namespace: str | None = None
        if (
            len(rest) > 2
            and rest[0] == "namespaces"
            and (group or rest[2] not in _ABOUT_NAMESPACES)
        ):
            namespace, rest = rest[1], rest[2:]
        kind = kinds.BY_RESOURCE.get((group, version, rest[0]))
        if kind is None or (namespace is not None and not kind.namespaced):
            if group in kinds.BUILT_IN:
                raise no_resource()
            return _page_not_found()
        if len(rest) > 2:
            raise not_simulated(f"{request.method} of {kind.resource}/{rest[2]}")
        name = rest[1] if len(rest) == 2 else None
        query = dict(parse_qsl(request.url.query, keep_blank_values=True))
        headers = request.headers
        content_type = headers.get("content-type", "").partition(";")[0].strip()
        agent = headers.get("user-agent", "")
        if content_type == _PROTOBUF:
            raise not_simulated("protobuf; kubectl apply -f FILE sends JSON")
        call = Call(request.method, kind, namespace, name, query, content_type, agent, raw)
        self._store.tick()
        handler = _HANDLERS.get((call.method, name is not None))
        if handler is None or (kind.namespaced and namespace is None and handler is not _LIST):
            raise not_allowed()
        return handler(self, call)

    def _get(self, call: Call) -> Response:
        return _sent(call.kind, self._store.get(call.kind, call.namespace or "", call.name or ""))

    def _list(self, call: Call) -> Response:
        query, kind = call.query, call.kind
        if query.get("watch") in ("1", "true"):
            raise not_simulated(f"watching {kind.resource}")
        selected = self._select(call)
        limit = max(_number(query.get("limit") or "0"), 0)
        version = _version_asked(query)
        if query.get("continue"):
            if version not in ("", "0"):
                raise bad_request("specifying resource version is not allowed when using continue")
            after = continuation.read(query["continue"])
            selected = [each for each in selected if each[0] > after]
        meta: JSON = {"resourceVersion": str(self._store.version)}
        if kind.custom:
            meta["continue"] = ""
        if limit and len(selected) > limit:
            meta["continue"] = continuation.token(self._store.version, selected[limit - 1][0])
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                meta["remainingItemCount"] = len(selected) - limit
            selected = selected[:limit]
        # As from the real server, items of built-in kinds don't say what they are.
        head = _head(kind) if kind.custom else b"{"
        items = b",".join(head + stored.encoded[1:] for _, stored in selected)
        opening = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": meta}
        body = json.dumps(opening)[:-1].encode() + b',"items":[' + items + b"]}\n"
        return Response(body, media_type="application/json")

    def _select(self, call: Call) -> list[tuple[tuple[str, str], Stored]]:
        tests = []
        if call.query.get("labelSelector"):
            tests.append(by_labels(call.query["labelSelector"]))
        if call.query.get("fieldSelector"):
            tests.append(by_fields(call.kind, call.query["fieldSelector"]))
        return self._store.select(call.kind, call.namespace, tests)

    def _create(self, call: Call) -> Response:
        obj = decoded(call, call.body)
        metadata = obj["metadata"]
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + uuid4().hex[:5]
        if not metadata.get("name"):
            why = missing_value("metadata.name", "name or generateName is required")
            raise invalid(call.kind, "", [why])
        if metadata.get("resourceVersion"):
            raise Refused(500, "", "resourceVersion should not be set on objects to be created")
        place(call, metadata)
        self._store.check_namespace(call.kind, obj)
        if self._store.find(call.kind, call.namespace or "", metadata["name"]):
            raise already_exists(call.kind, metadata["name"])
        warnings = prune(call, obj)
        write = self._store.by(call.manager)
        stored = self._store.create(call.kind, obj, write, dry=call.dry)
        return _sent(call.kind, stored, 201, warnings)

    def _update(self, call: Call) -> Response:
        obj = decoded(call, call.body)
        place(call, obj["metadata"])
        dry = call.dry
        old = self._store.get(call.kind, call.namespace or "", call.name or "")
        version = obj["metadata"].get("resourceVersion") or "0"
        if not version.isdigit():
            raise Refused(500, "", f'strconv.ParseUint: parsing "{version}": invalid syntax')
        warnings = prune(call, obj)
        write = self._store.by(call.manager)
        stored = self._store.update(call.kind, obj, old, write, dry=dry)
        return _sent(call.kind, stored, 200, warnings)

    def _patch(self, call: Call) -> Response:
        if call.content_type in APPLY:
            return self._apply(call)
        if "force" in call.query:
            why = "may not be specified for non-apply patch"
            cause = Cause("force", "FieldValueForbidden", f"Forbidden: {why}")
            raise bad_option("PatchOptions", cause)
        old = self._store.get(call.kind, call.namespace or "", call.name or "")
        live = _copy(old.obj)
        match call.content_type:
            case "application/merge-patch+json":
                obj = merge(live, call.body)
                _check_texts(call.kind, obj)
            case "application/strategic-merge-patch+json" if not call.kind.custom:
                obj = merge(live, call.body, strategic=True)
            case "application/json-patch+json":
                obj = json_patch(live, call.body)
            case _:
                message = "the body of the request was in an unknown format"
                raise Refused(415, "UnsupportedMediaType", message, {})
        obj = decoded(call, obj)
        place(call, obj["metadata"])
        warnings = prune(call, obj)
        write = self._store.by(call.manager)
        stored = self._store.update(call.kind, obj, old, write, dry=call.dry)
        return _sent(call.kind, stored, 200, warnings)

    def _apply(self, call: Call) -> Response:
        kind, name = call.kind, call.name or ""
        manager = call.query.get("fieldManager")
        if not manager:
            cause = missing_value("fieldManager", "is required for apply patch")
            raise bad_option("PatchOptions", cause)
        manager = call.manager
        config = decoded(call, call.body)
        fill(kind, config)
        metadata = config["metadata"]
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        place(call, metadata)
        found = [*unfit(kind, config), *unfit_inside(kind, config), *untyped_texts(kind, config)]
        for field, why in found:
            raise untypable(kind, name, f".{field}: {why}")
        refuse_nulls(kind, config)
        config.pop("status", None)
        old = self._store.find(kind, call.namespace or "", name)
        if old is None:
            self._store.check_namespace(kind, config)
            if metadata.get("resourceVersion"):
                raise modified(kind, name)
            if metadata.get("uid"):
                raise no_such_uid(kind, name, metadata["uid"])
        elif metadata.get("resourceVersion") not in (None, old.obj["metadata"]["resourceVersion"]):
            raise modified(kind, name)
        write = self._store.by(manager, "Apply")
        force = call.query.get("force") in ("1", "true", "True")
        live = _copy(old.obj) if old else None
        merged = applied(SHAPES[kind], live, config, write, kind.api_version, force=force)
        managed = merged["metadata"].get("managedFields")
        merged = without_nothing(without_nulls(merged))
        try:
            made = self._store.prepared(kind, merged, old.obj if old else None)
        except Undecodable as error:
            raise inconvertible(kind, name, error.why) from None
        if managed:
            made["metadata"]["managedFields"] = managed
        stored = self._store.put(kind, made, old, dry=call.dry)
        return _sent(kind, stored, 200 if old else 201)

    def _delete(self, call: Call) -> Response:
        kind, name = call.kind, call.name or ""
        stored = self._store.get(kind, call.namespace or "", name)
        metadata = stored.obj["metadata"]
        wanted = (call.body if call.raw.strip() else None) or {}
        for key, what in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            expected = (wanted.get("preconditions") or {}).get(key)
            if expected and expected != metadata[key]:
                raise precondition(kind, name, what, expected, metadata[key])
        if kind is kinds.NAMESPACE and name in _IMMORTAL:
            raise forbidden(kind, name, "this namespace may not be deleted")
        dry = call.dry or "All" in (wanted.get("dryRun") or ())
        gone = self._store.delete(kind, stored, dry=dry)
        held = "deletionTimestamp" in gone.obj["metadata"]
        if kind.shown_when_deleted or held:
            return _sent(kind, gone)
        group = {"group": kind.group} if kind.group else {}
        about = {"name": name, **group, "kind": kind.plural, "uid": metadata["uid"]}
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return _json({**done, "details": about})

    def _delete_all(self, call: Call) -> Response:
        for _, stored in self._select(call):
            self._store.delete(call.kind, stored, dry=call.dry)
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})


_PROTOBUF = "application/vnd.kubernetes.protobuf"
_ABOUT_NAMESPACES = ("status", "finalize")
_LIST = SimulatedKubernetes._list
_HANDLERS: dict[tuple[str, bool], Callable[[SimulatedKubernetes, Call], Response]] = {
    ("GET", True): SimulatedKubernetes._get,
    ("GET", False): _LIST,
    ("POST", False): SimulatedKubernetes._create,
    ("PUT", True): SimulatedKubernetes._update,
    ("PATCH", True): SimulatedKubernetes._patch,
    ("DELETE", True): SimulatedKubernetes._delete,
    ("DELETE", False): SimulatedKubernetes._delete_all,
}


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _version_asked(query: dict[str, str]) -> str:
    version = query.get("resourceVersion", "")
    if version and not version.isdigit():
        why = f'strconv.ParseUint: parsing "{version}": invalid syntax'
        about = f'resourceVersion: Invalid value: "{version}": {why}'
        raise bad_request(f"invalid resource version: {about}")
    return version


def _check_texts(kind: Kind, obj: JSON) -> None:
    """A merge patch that leaves something else in a map of strings is shown with all it makes."""
    try:
        check_types(kind, obj)
    except Undecodable as error:
        whole = json.dumps(json.dumps(obj, separators=(",", ":"), sort_keys=True))
        message = f"Invalid value: {whole}: {error.why}"
        cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
        said = f' "" is invalid: patch: {message}'
        raise Refused(422, "Invalid", said, {"causes": [cause]}) from None


def _copy(value: JSON) -> JSON:
    copied: JSON = json.loads(json.dumps(value))
    return copied


def _head(kind: Kind) -> bytes:
    return f'{{"kind":"{kind.name}","apiVersion":"{kind.api_version}",'.encode()


def _sent(
    kind: Kind, stored: Stored, code: int = 200, warnings: list[str] | None = None
) -> Response:
    body = _head(kind) + stored.encoded[1:] + b"\n"
    response = Response(body, code, media_type="application/json")
    for warning in warnings or ():
        response.headers.append("warning", warning)
    return response


def _json(value: JSON, code: int = 200) -> Response:
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    return Response(body, code, media_type="application/json")


def _found_or_404(value: JSON | None) -> Response:
    return _page_not_found() if value is None else _json(value)


def _page_not_found() -> Response:
    return Response("404 page not found\n", 404, media_type="text/plain")
