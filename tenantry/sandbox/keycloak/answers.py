"""Requests as handlers receive them, answers, and Keycloak's different error formats."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from starlette.responses import Response

JSON = dict[str, Any]
T = TypeVar("T")

_CONSULT = "For more on this error consult the server log."


class Refused(Exception):
    """A rejected request, with the status and body of the answer."""

    def __init__(self, status: int, body: JSON) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def not_found(error: str = "HTTP 404 Not Found") -> Refused:
    """Return the error for a missing object. Each kind of object has its own message."""
    return Refused(404, {"error": error})


def exists(message: str) -> Refused:
    """Return the error for a name that is in use."""
    return Refused(409, {"errorMessage": message})


def invalid(message: str) -> Refused:
    """Return the error for an invalid request, in the format of the admin API."""
    return Refused(400, {"errorMessage": message})


def invalid_field(name: str, message: str, *params: object) -> Refused:
    """Return the error for a value that the user profile does not allow."""
    body = {"field": name, "errorMessage": message, "params": [name, *params]}
    return Refused(400, body)


def oauth_error(status: int, error: str, description: str) -> Refused:
    """Return an error in the format of RFC 6749, which parts of the admin API also use."""
    return Refused(status, {"error": error, "error_description": description})


def duplicate() -> Refused:
    """Return the error for a violated database constraint that Keycloak does not handle."""
    return oauth_error(409, "conflict", "Duplicate resource error")


def unknown_error() -> Refused:
    """Return the error for a null pointer exception in a real Keycloak."""
    return oauth_error(500, "unknown_error", _CONSULT)


@dataclass(slots=True)
class Call:
    """One request, with the data that handlers need."""

    method: str
    segments: list[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    base: str
    now: datetime

    @property
    def body(self) -> JSON:
        """The JSON object in the body."""
        value = self.json
        if not isinstance(value, dict):
            raise oauth_error(400, "invalid_request", "Cannot parse the JSON")
        return value

    @property
    def json(self) -> Any:
        """The JSON value in the body, of any type."""
        if not self.raw.strip():
            raise unknown_error()
        try:
            return json.loads(self.raw)
        except ValueError:
            raise oauth_error(400, "invalid_request", "Cannot parse the JSON") from None

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean query parameter."""
        value = self.query.get(name)
        return default if value is None else value.lower() == "true"

    def page(self, items: list[T], default_max: int | None = None) -> list[T]:
        """Return the part of a list that `first` and `max` select."""
        try:
            first = int(self.query.get("first", 0))
            limit = int(self.query["max"]) if "max" in self.query else default_max
        except ValueError:
            raise not_found() from None
        if first > 0:
            items = items[first:]
        # A negative `max` means no limit.
        return items if limit is None or limit < 0 else items[:limit]


def answer(value: Any, status: int = 200) -> Response:
    """Return an answer with a JSON body."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(body, status, {"cache-control": "no-cache"}, "application/json;charset=UTF-8")


def created(location: str) -> Response:
    """Return an answer with status 201 and no body. The id is the last part of the Location."""
    return Response(b"", 201, {"location": location})


def done() -> Response:
    """Return an answer with status 204."""
    return Response(b"", 204)


Handler = Callable[..., Response]


class Routes:
    """Handlers by method and path. `{x}` matches one segment, which is passed by position."""

    def __init__(self) -> None:
        self._routes: dict[int, list[tuple[str, list[str | None], Handler]]] = {}

    def __call__(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler for the method and path."""
        parts = [None if part.startswith("{") else part for part in path.split("/")]

        def register(handler: Handler) -> Handler:
            self._routes.setdefault(len(parts), []).append((method, parts, handler))
            return handler

        return register

    def find(self, method: str, segments: list[str]) -> tuple[Handler, list[str]] | None:
        """Return the handler for a request and its path parameters, or None."""
        for known, parts, handler in self._routes.get(len(segments), ()):
            if known != method:
                continue
            for part, segment in zip(parts, segments, strict=True):
                if part is not None and part != segment:
                    break
            else:
                taken = zip(parts, segments, strict=True)
                return handler, [segment for part, segment in taken if part is None]
        return None
