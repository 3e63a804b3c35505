"""Parses the systems' JSON answers, so that an invalid member fails one fact and not the run.

Each client parses its answers here. Reading a member that is missing, or whose type differs from the
client's table, raises an error that names the call and the member.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from tenantry.errors import InvalidResponse, SystemUnavailable, format_frames, source_location
from tenantry.text import logger

Kind = type | tuple[type, ...] | list[type]
"""A JSON type, several alternatives, or a list with items of one type."""
Members = Mapping[str, Kind]
"""The types of an API's members by name. A member that is not listed may have any type."""

ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""The errors that code raises if an answer does not have the documented form."""
_NAMES: dict[type, str] = {
    str: "text",
    int: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
_log = logger(__name__)


class _Source(NamedTuple):
    """The call that an answer belongs to."""

    system: str
    call: str
    members: Members

    def odd(self, reason: str) -> InvalidResponse:
        return InvalidResponse(self.system, self.call, reason)


class Answer(dict[str, Any]):
    """A JSON object of an answer.

    Reading a member raises InvalidResponse if it is missing or has another type than documented.
    `get` treats null like a missing member.
    """

    def __init__(self, content: Mapping[str, Any], source: _Source) -> None:
        super().__init__(content)
        self._source = source

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle it as a plain dict, because a stored copy no longer belongs to a call."""
        return dict, (dict(self),)

    def __missing__(self, member: str) -> Any:
        raise self._source.odd(f"the answer lacks '{member}'")

    def __getitem__(self, member: str) -> Any:
        return self._checked(member, super().__getitem__(member))

    def get(self, member: str, default: Any = None) -> Any:
        """Return a member, or the default if it is missing or null."""
        value = super().get(member)
        return default if value is None else self._checked(member, value)

    def _checked(self, member: str, value: Any) -> Any:
        kind = self._source.members.get(member)
        if kind is None or _is(value, kind):
            return value
        found = "null" if value is None else _NAMES.get(type(value), type(value).__name__)
        reason = f"'{member}' is {found} in the answer, and should be {_described(kind)}"
        raise self._source.odd(reason)


def parse(content: bytes | str, system: str, call: str, members: Members) -> Any:
    """Return the JSON of an answer, with its objects as `Answer`.

    Raises:
        SystemUnavailable: the answer is not JSON.
    """
    source = _Source(system, call, members)
    try:
        return json.loads(content, object_hook=lambda found: Answer(found, source))
    except (ValueError, RecursionError):
        raise SystemUnavailable(system, call, "the answer is not JSON") from None


def is_page(content_type: str | None, content: bytes) -> bool:
    """Return whether an answer is a page for a browser, such as the login page of a proxy."""
    return "html" in (content_type or "").lower() or content.lstrip()[:1] == b"<"


def not_documented(system: str, call: str, status: int, wanted: str) -> InvalidResponse:
    """Return the error for an answer with an undocumented status, header or form.

    Args:
        system: the called system.
        call: method and path.
        status: the status of the answer.
        wanted: the documented answer, such as `204`.
    """
    reason = (
        f"the answer has the status {status}, and the API documents {wanted}, so it may come from "
        "a proxy"
    )
    return InvalidResponse(system, call, reason)


def one(answer: Any, system: str, call: str) -> Answer:
    """Return an answer that must be an object.

    Raises:
        InvalidResponse: the answer is not an object.
    """
    if isinstance(answer, Answer):
        return answer
    raise InvalidResponse(system, call, "the answer is not an object")


def many(answer: Any, system: str, call: str) -> list[Answer]:
    """Return an answer that must be a list of objects.

    Raises:
        InvalidResponse: the answer is not a list of objects.
    """
    if isinstance(answer, list) and all(isinstance(row, Answer) for row in answer):
        return answer
    raise InvalidResponse(system, call, "the answer is not a list of objects")


def texts(system: str, call: str, answer: Any, *members: str) -> list[str]:
    """Return members of an answer that must be text.

    Raises:
        InvalidResponse: a member is not text. The message shows no values, which may be secret.
    """
    found = [dict.get(answer, name) if isinstance(answer, dict) else None for name in members]
    if not all(isinstance(text, str) and text for text in found):
        raise InvalidResponse(system, call, f"the answer lacks {' or '.join(members)}")
    return cast(list[str], found)


@contextmanager
def understood(system: str, call: str) -> Iterator[None]:
    """Turn errors that an answer of an unexpected form causes into an InvalidResponse.

    Args:
        system: the system that answered.
        call: the processing of the answer, for the message.
    """
    try:
        yield
    except ODD as error:
        raise not_understood(error, system, call) from None


def not_understood(error: Exception, system: str, call: str) -> InvalidResponse:
    """Return the InvalidResponse for an error. It names the code's location, since values may be secret."""
    kind = type(error).__name__
    _log.debug("An answer of %s was not understood: %s\n%s", system, kind, format_frames(error))
    where = source_location(error)
    reason = f"an answer of an unexpected form ({type(error).__name__} at {where})"
    return InvalidResponse(system, call, reason)


def _is(value: Any, kind: Kind) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is(item, kind[0]) for item in value)
    if isinstance(value, bool):  # in Python a bool is also an int
        return kind is bool or (isinstance(kind, tuple) and bool in kind)
    return isinstance(value, kind)


def _described(kind: Kind) -> str:
    if isinstance(kind, list):
        return f"a list, each item {_described(kind[0])}"
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(_NAMES[each] for each in kinds)
