"""Label and field selectors, parsed like a real server, with its messages for invalid ones."""

import re
from collections.abc import Callable, Iterator

from .errors import Cause, Refused, bad_request, wrong_value
from .kinds import JSON, Kind
from .metadata import key_faults, value_faults

Test = Callable[[JSON], bool]
Token = tuple[str, str]

_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")
_WORDS = "in, notin, =, ==, !=, gt, lt"
_SYMBOLS = ("==", "!=", "=", "!", "(", ")", ",", ">", "<")
_TOKEN = re.compile(r"\s*(?:(==|!=|[=!(),<>])|([^=!(),<>\s]+))")


def by_labels(selector: str) -> Test:
    """Return a test for the labels of an object, such as `a=b,c!=d,e in (f,g),j,!k,l>1`.

    Raises:
        Refused: the selector is invalid.
    """
    tests = list(_Parser(selector).requirements())

    def matches(obj: JSON) -> bool:
        labels = obj["metadata"].get("labels", {})
        return all(test(labels) for test in tests)

    return matches


class _Parser:
    """A parser for selectors. An empty word marks the end of the selector."""

    def __init__(self, selector: str) -> None:
        found = _TOKEN.findall(selector.strip())
        self._words = [symbol or word for symbol, word in found]
        self._at = 0

    def requirements(self) -> Iterator[Test]:
        expected = "!, identifier, or 'end of string'"
        while self._next:
            if not (self._is_identifier or self._next == "!"):
                raise bad_request(f"found '{self._next}', expected: {expected}")
            try:
                yield self._requirement()
            except _InvalidRequirement as error:
                raise bad_request(f"unable to parse requirement: {error}") from None
            if self._next not in ("", ","):
                raise bad_request(f"found '{self._next}', expected: ',' or 'end of string'")
            if self._take() and not (self._is_identifier or self._next == "!"):
                raise bad_request(f"found '{self._next}', expected: identifier after ','")

    @property
    def _next(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    @property
    def _is_identifier(self) -> bool:
        return self._next not in ("", *_SYMBOLS)

    def _take(self) -> str:
        word = self._next
        self._at += 1
        return word

    def _requirement(self) -> Test:
        absent = self._next == "!"
        if absent:
            self._take()
        key = self._identifier()
        if faults := key_faults(key):
            _reject([wrong_value("<nil>", key, "; ".join(faults))])
        if absent:
            return lambda labels: key not in labels
        if self._next in ("", ","):
            return lambda labels: key in labels
        operator = self._take()
        if operator not in _OPERATORS:
            raise _InvalidRequirement(f"found '{operator}', expected: {_WORDS}")
        values = self._values() if operator in ("in", "notin") else {self._value()}
        if operator in ("<", ">"):
            return _comparison(key, operator, values.pop())
        ordered = sorted(values)
        _reject(
            [
                wrong_value(f"values[{place}][{key}]", value, why)
                for place, value in enumerate(ordered)
                for why in value_faults(value)
            ]
        )
        if operator in ("notin", "!="):
            return lambda labels: labels.get(key) not in values
        return lambda labels: labels.get(key) in values

    def _identifier(self) -> str:
        if not self._is_identifier:
            raise _InvalidRequirement(f"found '{self._next}', expected: identifier")
        return self._take()

    def _value(self) -> str:
        return "" if self._next in ("", ",") else self._identifier()

    def _values(self) -> set[str]:
        if self._next != "(":
            raise _InvalidRequirement(f"found '{self._next}' expected: '('")
        self._take()
        if not (self._is_identifier or self._next in (",", ")")):
            raise _InvalidRequirement(f"found '{self._next}', expected: ',', ')' or identifier")
        values = set()
        while True:
            values.add(self._take() if self._is_identifier else "")
            if self._next not in (",", ")"):
                raise _InvalidRequirement(f"found '{self._next}', expected: ',' or ')'")
            if self._take() == ")":
                return values


class _InvalidRequirement(Exception):
    """A part of the selector that is not a valid requirement."""


def _reject(causes: list[Cause]) -> None:
    said = [f"{cause.field}: {cause.message}" for cause in causes]
    if said:
        raise _InvalidRequirement(said[0] if len(said) == 1 else f"[{', '.join(said)}]")


def _comparison(key: str, operator: str, value: str) -> Test:
    if not re.fullmatch(r"[+-]?\d+", value):
        why = "for 'Gt', 'Lt' operators, the value must be an integer"
        _reject([wrong_value("values[0]", value, why)])
    bound = int(value)

    def test(labels: JSON) -> bool:
        held = labels.get(key, "")
        if not re.fullmatch(r"[+-]?\d+", held):
            return False
        return int(held) > bound if operator == ">" else int(held) < bound

    return test


_EVERYWHERE = ("metadata.name", "metadata.namespace")
_FIELDS = {
    "Namespace": ("metadata.name", "status.phase"),
    "Secret": (*_EVERYWHERE, "type"),
    "Service": (*_EVERYWHERE, "spec.clusterIP", "spec.type"),
    "Pod": (*_EVERYWHERE, "status.phase", "spec.nodeName", "spec.serviceAccountName"),
}


def by_fields(kind: Kind, selector: str) -> Test:
    """Return a test for the fields of an object. Each kind supports only a few fields.

    Raises:
        Refused: the selector is invalid, or the kind does not support the field.
    """
    tests: list[Test] = []
    for part in selector.split(","):
        found = re.fullmatch(r"(.*?)(!=|==|=)(.*)", part)
        if found is None:
            if part:
                message = f"invalid selector: '{selector}'; can't understand '{part}'"
                raise bad_request(message)
            continue
        name, operator, value = found.groups()
        if "=" in value:
            raise bad_request(f"invalid field selector: unescaped character in value: {ord('=')}")
        if name or value:
            if name not in _FIELDS.get(kind.name, _EVERYWHERE):
                raise _unsupported_field(kind, name)
            tests.append(_field_test(name.split("."), operator != "!=", value))
    return lambda obj: all(test(obj) for test in tests)


def _unsupported_field(kind: Kind, name: str) -> Refused:
    if kind.custom or kind.name in _FIELDS:
        return bad_request(f"field label not supported: {name}")
    only = ", ".join(f'"{field}"' for field in _EVERYWHERE)
    return bad_request(f'"{name}" is not a known field selector: only {only}')


def _field_test(path: list[str], equal: bool, wanted: str) -> Test:
    def matches(obj: JSON) -> bool:
        value: object = obj
        for part in path:
            value = value.get(part, "") if isinstance(value, dict) else ""
        return (value == wanted) is equal

    return matches
