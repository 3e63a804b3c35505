"""The routes of the simulated Harbor 2.15.2, and its answers to unknown paths."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.access import Caller
from tenantry.sandbox.harbor.model import Project
from tenantry.sandbox.harbor.wire import Listing, Refusal, Shape, decode, invalid

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

BASE = "/api/v2.0"
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
Reply = Response | Awaitable[Response]
Handler = Callable[["Call"], Reply]

# Paths of a real Harbor that are not simulated. The message of their 501 explains that, so that it is
# not mistaken for a bug of the client. They are matched by the beginning of the path.
_NOT_SIMULATED = re.compile(
    r"/api/v2\.0/(artifacts|audit-?logs?|auditlog-exts|export|icon|jobservice|labels|ldap|p2p|"
    r"registries|replication|repositories|retentions/(metadatas|[^/]+/executions)|scanners|scans|"
    r"schedules|search|security|statistics|system|users/[^/]+/(password|permissions)|"
    r"webhook|projects/[^/]+/(artifacts|auditlog-exts|labels|logs|preheat|repositories/.|scanner|"
    r"webhook))(/|$)|/v2/.|/c/(authproxy/|userExists|sendEmail|reset)|/service/notifications"
)


@dataclass
class Call:
    """One request with its caller and path parameters."""

    harbor: "SimulatedHarbor"
    request: Request
    caller: Caller
    path: dict[str, str]
    raw: bytes
    sid: str = ""

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return dict(self.request.query_params)

    @property
    def listing(self) -> Listing:
        """The query parameters for a list."""
        return Listing(self.request.scope["path"], self.query)

    def body(self, name: str, shape: Shape) -> Any:
        """Return the JSON body; raise Refusal if it does not have the shape.

        ``name`` is its name in Harbor's schema.
        """
        if not self.raw:
            raise invalid(f"{name} in body is required")
        kind = self.request.headers.get("content-type", "application/octet-stream")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise invalid(f'unsupported media type "{kind}", only [application/json] are allowed')
        return decode(self.raw, name, shape)

    def number(self, name: str) -> int:
        """Return a path segment as a number; raise Refusal if it is not one."""
        text = self.path[name]
        try:
            return int(text)
        except ValueError:
            raise invalid(f'{name} in path must be of type int64: "{text}"') from None

    def project(self, action: str, resource: str = "project", *, by_name: bool = False) -> Project:
        """Return the project in the path; raise Refusal if the caller may not do this.

        Args:
            action: the action.
            resource: the kind of resource.
            by_name: whether the path has the name in any case; otherwise digits are an id.
        """
        called, harbor = self.path["project"], self.harbor
        named = by_name or self.request.headers.get("x-is-resource-name", "").lower() in (
            "true",
            "1",
            "t",
        )
        if called.isdigit() and not named and int(called) <= _INT64:
            project = harbor.state.project(_check_id(int(called)))
        else:
            project = harbor.projects.get(called)
        return access.require_project(harbor, self.caller, action, project, resource, called)

    def require(self, action: str, resource: str) -> None:
        """Raise Refusal if the caller may not do this to the installation."""
        access.require_system(self.caller, action, resource)


@dataclass(frozen=True)
class Route:
    """The template of a path, and the handlers by method."""

    template: str
    verbs: dict[str, Handler]


class Routes:
    """All routes, indexed by their number of segments."""

    def __init__(self) -> None:
        self._by_length: dict[int, list[tuple[list[str], Route]]] = {}
        self._long: dict[str, tuple[re.Pattern[str], Route]] = {}

    def add(self, method: str, template: str) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler.

        ``{name*}`` in the template matches any number of segments.
        """

        def register(handler: Handler) -> Handler:
            if "*}" in template:
                pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", template)
                pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern) + "/?"
                route = Route(template, {})
                _, route = self._long.setdefault(template, (re.compile(pattern), route))
                route.verbs[method] = handler
                return handler
            segments = template.strip("/").split("/")
            same_length = self._by_length.setdefault(len(segments), [])
            for known, route in same_length:
                if known == segments:
                    route.verbs[method] = handler
                    return handler
            same_length.append((segments, Route(template, {method: handler})))
            # Literal segments come before parameters: /users/current is not the id of a user.
            same_length.sort(key=lambda entry: [s.startswith("{") for s in entry[0]])
            return handler

        return register

    def api(self, method: str, template: str) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler below the base path of the API."""
        return self.add(method, BASE + template)

    def find(self, method: str, raw_path: str) -> tuple[Handler, str, dict[str, str]]:
        """Return the handler, the template and the parameters.

        Raises:
            Refusal: the path or method is unknown; with the answer of Harbor.
        """
        segments = [unquote(s) for s in raw_path.strip("/").split("/")]
        for known, route in self._by_length.get(len(segments), []):
            params = _match(known, segments)
            if params is not None:
                return _handler_for(route, method), route.template, params
        path = unquote(raw_path)
        for pattern, route in self._long.values():
            if match := pattern.fullmatch(path):
                return _handler_for(route, method), route.template, match.groupdict()
        if _NOT_SIMULATED.match(path):
            raise Refusal(
                501,
                f"Harbor has {method} {path}, the sandbox does not simulate it: "
                "add it to a module of tenantry/sandbox/harbor/ (routing.py tells how)",
            )
        raise Refusal(404, f"path {path} was not found")


def _handler_for(route: Route, method: str) -> Handler:
    if method not in route.verbs:
        allowed = ",".join(route.verbs)
        raise Refusal(405, f"method {method} is not allowed, but [{allowed}] are")
    return route.verbs[method]


def _match(known: list[str], segments: list[str]) -> dict[str, str] | None:
    params = {}
    for pattern, segment in zip(known, segments, strict=True):
        if pattern.startswith("{"):
            if not segment:
                return None
            params[pattern[1:-1]] = segment
        elif pattern != segment:
            return None
    return params


def _check_id(id: int) -> int:
    """Return the id; raise Refusal with status 500, as Harbor does, if it exceeds 32 bits."""
    if id > _INT32:
        raise Refusal(500, "")
    return id


routes = Routes()
"""The modules of this package register their routes here: ``@routes.api("GET", "/things/{id}")``."""
