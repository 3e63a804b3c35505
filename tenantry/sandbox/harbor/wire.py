"""The HTTP conventions of Harbor 2.15.2: errors, times, paging, queries and body checks.

Not simulated: the exact messages of Go's JSON decoder, and ranges and AND lists in ``q``.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar
from urllib.parse import unquote_plus

from starlette.responses import Response

T = TypeVar("T")

UNSET = datetime(1, 1, 1, tzinfo=UTC)
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    412: "PRECONDITION",
    422: "UNPROCESSABLE_ENTITY",
    500: "UNKNOWN",
    501: "NOT_SIMULATED",
}


class Refusal(Exception):
    """An error answer in Harbor's format."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        # All answers with 500 have this message.
        self.message = "internal server error" if status == 500 else message
        self.code = code or _CODES[status]

    def response(self) -> Response:
        """Return the answer as Harbor formats it."""
        body = {"errors": [{"code": self.code, "message": self.message}]}
        return Response(
            compact(body) + "\n",
            self.status,
            headers={"content-type": "application/json; charset=utf-8"},
        )


def invalid(fault: str) -> Refusal:
    """Return the error for a violation of the schema."""
    return Refusal(422, f"validation failure list:\n{fault}")


def compact(value: object) -> str:
    """Return a value as JSON, formatted as by Go."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def answer(value: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with status 200 and a body."""
    return Response(
        compact(value) + "\n", headers={"content-type": "application/json", **(headers or {})}
    )


def done() -> Response:
    """Return an answer with status 200 and no body."""
    return Response()


def created(location: str) -> Response:
    """Return an answer with status 201, a location and no body."""
    return Response(status_code=201, headers={"location": location})


def stamp(moment: datetime | None) -> str:
    """Return a time as Harbor formats it: milliseconds, UTC; year 1 if unset."""
    moment = moment or UNSET
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z".rjust(24, "0")


# --- Lists ---------------------------------------------------------------------------------------


@dataclass
class Listing:
    """The query parameters that all lists have."""

    path: str
    params: dict[str, str]
    page: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.page = max(self._integer("page", 1), 1)
        self.size = self._integer("page_size", 10)
        if self.size > 100:
            raise invalid("page_size in query should be less than or equal to 100")

    def _integer(self, name: str, default: int) -> int:
        text = self.params.get(name, "")
        try:
            return int(text) if text else default
        except ValueError:
            msg = f'{name} in query must be of type int64: "{text}"'
            raise invalid(msg) from None

    @property
    def keywords(self) -> dict[str, str]:
        """The conditions in ``q``, which is URL-decode a second time, as in Harbor."""
        conditions = {}
        for item in filter(None, unquote_plus(self.params.get("q", "")).split(",")):
            key, equals, value = item.partition("=")
            if not (key and equals and value):
                raise Refusal(
                    400, 'the query string must contain "=" and the key/value cannot be empty'
                )
            conditions[key.strip()] = value.strip()
        return conditions

    def select(self, rows: Iterable[T], fields: Mapping[str, Callable[[T], Any]]) -> list[T]:
        """Return the rows that match ``q``, in the order of ``sort``. Unknown keys are ignored."""
        found = list(rows)
        for key, wanted in self.keywords.items():
            if key in fields:
                found = [row for row in found if _matches(fields[key](row), wanted)]
        for key in reversed(self.params.get("sort", "").split(",")):
            name = key.strip().lstrip("-")
            if name in fields:
                found.sort(key=fields[name], reverse=key.strip().startswith("-"))
        return found

    def answer(
        self, rows: list[T], to_json: Callable[[T], object], total: int | None = None
    ) -> Response:
        """Return an answer with one page of the rows."""
        total = len(rows) if total is None else total
        if self.size > 0:
            rows = rows[(self.page - 1) * self.size : self.page * self.size]
        headers = {"x-total-count": str(total)}
        if links := self._links(total):
            headers["link"] = links
        return answer([to_json(row) for row in rows], headers)

    def _links(self, total: int) -> str:
        links = []
        if self.size and self.page > 1 and (self.page - 1) * self.size < total:
            links.append(self._link(self.page - 1, "prev"))
        # By this rule, a page_size of -1 also has a next page. It is the same in Harbor.
        if self.size and self.page * self.size < total:
            links.append(self._link(self.page + 1, "next"))
        return " , ".join(links)

    def _link(self, page: int, relation: str) -> str:
        params = {**self.params, "page": str(page), "page_size": str(self.size)}
        query = "&".join(f"{name}={params[name]}" for name in sorted(params))  # not escaped
        return f'<{self.path}?{query}>; rel="{relation}"'


def _matches(value: object, wanted: str) -> bool:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if wanted.startswith("~"):
        return wanted[1:] in text
    if wanted.startswith("{") and wanted.endswith("}"):
        return text in wanted[1:-1].split()
    return text == wanted.removeprefix("\\")


# --- Bodies --------------------------------------------------------------------------------------

Shape: TypeAlias = "type | dict[str, Shape] | list[Shape]"

_GO_TYPES: dict[type, str] = {str: "string", int: "int64", bool: "bool"}
_JSON_TYPES: dict[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "bool",
    dict: "object",
    list: "array",
}


def decode(raw: bytes, name: str, shape: Shape) -> Any:
    """Return the parsed body; raise Refusal if it does not have the shape.

    Fields that the shape does not name are not checked.
    """
    try:
        value = json.loads(raw)
    except ValueError as error:
        msg = f'parsing {name} body from "" failed, because {error}'
        raise invalid(msg) from None
    _check(value, shape, name)
    return {} if value is None else value


def _check(value: object, shape: Shape, at: str) -> None:
    if value is None:
        return
    kind = shape if isinstance(shape, type) else type(shape)
    if type(value) is not kind and kind is not object:
        raise invalid(
            f'parsing {at.partition(".")[0]} body from "" failed, because json: cannot unmarshal '
            f"{_JSON_TYPES[type(value)]} into Go struct field {at} of type "
            f"{_GO_TYPES.get(kind, kind.__name__)}"
        )
    if isinstance(shape, dict) and isinstance(value, dict):
        for key, inner in value.items():
            if expected := shape.get(key, shape.get("*")):
                _check(inner, expected, f"{at}.{key}")
    if isinstance(shape, list) and isinstance(value, list):
        for inner in value:
            _check(inner, shape[0], at)
