"""The ASGI application: the paths of the API, and access to the objects without requests."""

import threading
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from . import discovery, kinds
from .errors import Refused, no_resource, not_simulated, unauthorized
from .kinds import JSON, copy_json, kind_named, kind_of
from .requests import Call
from .responses import found_or_404, json_response, page_not_found
from .store import Now, Store
from .verbs import answer

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
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_SUBRESOURCES_OF_NAMESPACES = ("status", "finalize")


class SimulatedKubernetes:
    """An API server with the namespaces and cluster roles of a new cluster.

    `token` is the bearer token of the only user, who may do everything. `get`, `put`, `delete` and
    `objects` read and change the objects without requests, as another user of the cluster would.
    """

    def __init__(self, clock: Now) -> None:
        self.url = "http://127.0.0.1:6443"
        self.token = "sandbox"
        self._store = Store(clock)
        self._lock = threading.RLock()
        self.app = Starlette(routes=[Mount("/", app=self._serve)])

    @property
    def namespace_termination_seconds(self) -> float:
        """The time between the deletion of a namespace and its end."""
        return self._store.namespace_termination_seconds

    @namespace_termination_seconds.setter
    def namespace_termination_seconds(self, seconds: float) -> None:
        self._store.namespace_termination_seconds = seconds

    # Access without requests

    @property
    def objects(self) -> list[JSON]:
        """All objects, copied."""
        with self._lock:
            self._store.run_controllers()
            return [copy_json(obj) for obj in self._store]

    def get(
        self, kind: str, name: str, namespace: str | None = None, *, group: str | None = None
    ) -> JSON | None:
        """Return a copy of an object, or None.

        `group` is needed if two groups have a kind of that name.
        """
        with self._lock:
            self._store.run_controllers()
            found = self._store.find(kind_named(kind, group), namespace or "", name)
            return copy_json(found.obj) if found else None

    def put(self, manifest: JSON, manager: str = "somebody-else") -> JSON:
        """Create or replace an object as another user would, and return it."""
        with self._lock:
            self._store.run_controllers()
            kind, obj = kind_of(manifest), copy_json(manifest)
            metadata = obj["metadata"]
            old = self._store.find(kind, metadata.get("namespace", ""), metadata["name"])
            write = self._store.write_by(manager)
            if old is None:
                return copy_json(self._store.create(kind, obj, write).obj)
            obj["metadata"].pop("resourceVersion", None)
            return copy_json(self._store.update(kind, obj, old, write).obj)

    def delete(
        self, kind: str, name: str, namespace: str | None = None, *, group: str | None = None
    ) -> None:
        """Delete an object as another user would."""
        with self._lock:
            known = kind_named(kind, group)
            self._store.delete(known, self._store.get(known, namespace or "", name))

    def dump(self) -> JSON:
        """Return the whole state as JSON values."""
        with self._lock:
            return self._store.dump()

    def load(self, state: JSON) -> None:
        """Replace the whole state by an earlier dump."""
        with self._lock:
            self._store.load(state)

    # Requests

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = await request.body()
        with self._lock:
            try:
                response = self._answer(request, raw)
            except Refused as refused:
                response = json_response(refused.status, refused.code)
        await response(scope, receive, send)

    def _answer(self, request: Request, raw: bytes) -> Response:
        path = (request.scope.get("raw_path") or request.scope["path"].encode()).decode()
        parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
        match parts:
            case ["healthz" | "livez" | "readyz"]:
                return Response("ok", media_type="text/plain")
            case ["version"]:
                return json_response(_VERSION)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise unauthorized()
        match parts:
            case ["api"]:
                return json_response(discovery.core_versions(self.url))
            case ["apis"]:
                return json_response(discovery.group_list())
            case ["api", version]:
                return found_or_404(discovery.resource_list("", version))
            case ["apis", group]:
                groups = discovery.group_list()["groups"]
                return found_or_404(next((each for each in groups if each["name"] == group), None))
            case ["apis", group, version]:
                return found_or_404(discovery.resource_list(group, version))
            case ["openapi", "v3"]:
                return json_response(discovery.openapi_index())
            case ["openapi", "v3", *rest]:
                return found_or_404(discovery.openapi("/".join(rest)))
            case ["api", version, *rest]:
                return self._object(request, raw, "", version, rest)
            case ["apis", group, version, *rest]:
                return self._object(request, raw, group, version, rest)
        return page_not_found()

    def _object(
        self, request: Request, raw: bytes, group: str, version: str, rest: list[str]
    ) -> Response:
        namespace: str | None = None
        if (
            len(rest) > 2
            and rest[0] == "namespaces"
            and (group or rest[2] not in _SUBRESOURCES_OF_NAMESPACES)
        ):
            namespace, rest = rest[1], rest[2:]
        kind = kinds.BY_RESOURCE.get((group, version, rest[0]))
        if kind is None or (namespace is not None and not kind.namespaced):
            if group in kinds.BUILT_IN:
                raise no_resource()
            return page_not_found()
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
        return answer(self._store, call)
