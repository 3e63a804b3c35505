"""Changes a member of an answer, as a proxy or another version of a server may do.

    odd = OddAnswers(bench)
    for place in odd.places(procedure): odd.run(procedure, place, "null")

A place is a member in the answers to one kind of request. It is changed in all of these answers, or
only in those that `about` selects.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from tests.support.crash import Snapshot
from tests.support.harness import Bench
from tests.support.wire import no_delays

R = TypeVar("R")

CHANGES = ("missing", "null", "other type", "more")
"""The changes of a member. `more` keeps it and adds an unknown member."""
_NUMBERS = re.compile(r"(?<=/)(\d+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/|$)")
_TOKENS = ("/token", "/c/login", "/service/token")


class Place(NamedTuple):
    """A member in the answers to one kind of request.

    Attributes:
        system: The system that answers.
        method: The method.
        path: The path, with numbers as `*`.
        member: The path to the member, with items of a list as `*`; empty for the whole answer.
    """

    system: str
    method: str
    path: str
    member: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.system} {self.method} {self.path}: {'.'.join(self.member) or 'all'}"


class OddAnswers:
    """Changes in the answers of a bench's sandbox."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._start = Snapshot(bench.sandbox)

    def places(self, procedure: Callable[[], object]) -> list[Place]:
        """Return all places of the answers to a procedure."""
        found: dict[Place, None] = {}

        def note(system: str, method: str, path: str, body: bytes) -> bytes:
            content = _content(path, body)
            if content is not None:
                kind = (system, method, _NUMBERS.sub("*", path))
                found.update(dict.fromkeys(Place(*kind, member) for member in _members(content)))
            return body

        with self._answers(note):
            procedure()
        return list(found)

    def run(
        self,
        procedure: Callable[[], R],
        place: Place,
        change: str,
        about: Callable[[str, str], bool] = lambda system, path: True,
    ) -> R:
        """Run a procedure while a place is changed, and return its result.

        Args:
            procedure: the procedure.
            place: the place.
            change: one of CHANGES.
            about: returns whether to change the answers to requests for a system and path.
        """

        def alter(system: str, method: str, path: str, body: bytes) -> bytes:
            kind = (system, method, _NUMBERS.sub("*", path))
            content = _content(path, body)
            if content is None or kind != place[:3] or not about(system, path):
                return body
            return json.dumps(_changed(content, place.member, change)).encode()

        with self._answers(alter):
            return procedure()

    @contextmanager
    def _answers(self, alter: Callable[[str, str, str, bytes], bytes]) -> Iterator[None]:
        self._start.restore()
        controls = self._bench.sandbox.controls
        controls.alter = alter
        try:
            with no_delays():
                yield
        finally:
            controls.alter = None


def _content(path: str, body: bytes) -> Any:
    """Return the JSON of an answer, or None for logins, which libraries handle."""
    if not body or path.endswith(_TOKENS):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _members(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _members(value, (*path, name))
    elif isinstance(content, list):
        for item in content:
            yield from _members(item, (*path, "*"))


def _changed(content: Any, member: tuple[str, ...], change: str) -> Any:
    if not member:
        return _other(content, change)
    name, *rest = member
    if isinstance(content, list) and name == "*":
        if not rest and change == "missing":
            return []
        return [_changed(item, tuple(rest), change) for item in content]
    if not isinstance(content, dict) or name not in content:
        return content
    if not rest and change == "missing":
        return {key: value for key, value in content.items() if key != name}
    return {**content, name: _changed(content[name], tuple(rest), change)}


def _other(value: Any, change: str) -> Any:
    if change == "more":
        return {**value, "x-unknown": [None, {"a": 1}]} if isinstance(value, dict) else value
    if change in ("null", "missing"):
        return None
    if isinstance(value, str):
        return 7
    return "x" if not isinstance(value, list) else {"0": value}
