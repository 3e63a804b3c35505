"""Requests as handlers see them, answers, and Keycloak's several shapes of an error."""

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
    """Keycloak says no: a status and the body it says it with."""

    def __init__(self, status: int, body: JSON) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def not_found(error: str = "HTTP 404 Not Found") -> Refused:
    """No such object; each kind of object has its own words for it."""
    return Refused(404, {"error": error})


def exists(message: str) -> Refused:
    """Something of that name is there already."""
    return Refused(409, {"errorMessage": message})


def invalid(message: str) -> Refused:
    """The request makes no sense, in the admin API's shape."""
    return Refused(400, {"errorMessage": message})


def invalid_field(name: str, message: str, *params: object) -> Refused:
    """The user profile doesn't allow this value, in the profile's shape."""
    body = {"field": name, "errorMessage": message, "params": [name, *params]}
    return Refused(400, body)


def oauth_error(status: int, error: str, description: str) -> Refused:
    """The shape of RFC 6749, which the admin API also uses now and then."""
    return Refused(status, {"error": error, "error_description": description})


def duplicate() -> Refused:
    """A constraint of the database was violated, and nobody caught it by name."""
    return oauth_error(409, "conflict", "Duplicate resource error")


def unknown_error() -> Refused:
    """A null pointer in the real server: where it fails so, this one does too."""
    return oauth_error(500, "unknown_error", _CONSULT)


@dataclass(slots=True)
class Call:
    """One request: what the handlers need of it."""

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
        value = self.anything
        if not isinstance(value, dict):
            raise oauth_error(400, "invalid_request", "Cannot parse the JSON")
        return value

    @property
    def anything(self) -> Any:
        """The JSON value in the body, whatever its type."""
        if not self.raw.strip():
            raise unknown_error()
        try:
            return json.loads(self.raw)
        except ValueError:
            raise oauth_error(400, "invalid_request", "Cannot parse the JSON") from None

    def flag(self, name: str, default: bool = False) -> bool:
        """A query parameter that is true or false."""
        value = self.query.get(name)
        return default if value is None else value.lower() == "true"

    def page(self, items: list[T], most: int | None = None) -> list[T]:
        """The part of a list that `first` and `max` ask for; `most` where `max` is absent."""
        try:
            first = int(self.query.get("first", 0))
            limit = int(self.query["max"]) if "max" in self.query else most
        except ValueError:
            raise not_found() from None
        if first > 0:
            items = items[first:]
        # A negative bound means none.
        return items if limit is None or limit < 0 else items[:limit]


def answer(value: Any, status: int = 200) -> Response:
    """A JSON body."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(body, status, {"cache-control": "no-cache"}, "application/json;charset=UTF-8")


def created(location: str) -> Response:
    """201 with an empty body; the id is the last part of the Location."""
    return Response(b"", 201, {"location": location})


def done() -> Response:
    """204."""
    return Response(b"", 204)


Handler = Callable[..., Response]


class Routes:
    """Handlers by method and path; `{x}` takes one segment and hands it over by position."""

    def __init__(self) -> None:
        self._routes: dict[int, list[tuple[str, list[str | None], Handler]]] = {}

    def __call__(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Register what follows for the method and path."""
        parts = [None if part.startswith("{") else part for part in path.split("/")]

        def register(handler: Handler) -> Handler:
            self._routes.setdefault(len(parts), []).append((method, parts, handler))
            return handler

        return register

    def find(self, method: str, segments: list[str]) -> tuple[Handler, list[str]] | None:
        """The handler for a request and the segments it is handed."""
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
