"""The responses of the API server."""

import json

from starlette.responses import Response

from .kinds import JSON, Kind
from .store import Stored


def opening(kind: Kind) -> bytes:
    """Return the opening brace of an encoded object, with its kind and apiVersion."""
    return f'{{"kind":"{kind.name}","apiVersion":"{kind.api_version}",'.encode()


def object_response(
    kind: Kind, stored: Stored, code: int = 200, warnings: list[str] | None = None
) -> Response:
    """Return a response with this object."""
    body = opening(kind) + stored.encoded[1:] + b"\n"
    response = Response(body, code, media_type="application/json")
    for warning in warnings or ():
        response.headers.append("warning", warning)
    return response


def json_response(value: JSON, code: int = 200) -> Response:
    """Return a response with this JSON value."""
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    return Response(body, code, media_type="application/json")


def found_or_404(value: JSON | None) -> Response:
    """Return a response with this JSON value, or the 404 page if there is none."""
    return page_not_found() if value is None else json_response(value)


def page_not_found() -> Response:
    """Return the 404 page, for paths that belong to no API."""
    return Response("404 page not found\n", 404, media_type="text/plain")
