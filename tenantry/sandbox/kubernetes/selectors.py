"""Label and field selectors."""

import re
from collections.abc import Callable

from .errors import bad_request
from .kinds import JSON

Test = Callable[[JSON], bool]

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")


def by_labels(selector: str) -> Test:
    """Whether an object's labels match: `a=b,c!=d,e in (f,g),h notin (i),j,!k`."""
    tests = [_label_test(part.strip()) for part in re.split(r",(?![^(]*\))", selector)]

    def matches(obj: JSON) -> bool:
        labels = obj["metadata"].get("labels", {})
        return all(test(labels) for test in tests)

    return matches


def _label_test(part: str) -> Test:
    in_set = _SET.match(part)
    if in_set:
        key, wanted = in_set[1], {value.strip() for value in in_set[3].split(",")}
        if in_set[2] == "in":
            return lambda labels: labels.get(key) in wanted
        return lambda labels: labels.get(key) not in wanted
    for operator, equal in (("!=", False), ("==", True), ("=", True)):
        key, found, value = (each.strip() for each in part.partition(operator))
        if found:
            if equal:
                return lambda labels: labels.get(key) == value
            return lambda labels: labels.get(key) != value
    if not part or " " in part:
        raise bad_request(f"unable to parse requirement: found '{part}', expected: identifier")
    if part.startswith("!"):
        return lambda labels: part[1:].strip() not in labels
    return lambda labels: part in labels


def by_fields(selector: str) -> Test:
    """Whether an object's fields match; only its name and namespace can be asked for."""
    tests: list[Test] = []
    for part in selector.split(","):
        found = re.fullmatch(
            r"(metadata\.name|metadata\.namespace|status\.phase|type)(!?=?=)(.*)", part
        )
        if found is None:
            name = re.split(r"!?=", part)[0]
            raise bad_request(f"field label not supported: {name}")
        tests.append(_field_test(found[1].split("."), found[2] != "!=", found[3]))
    return lambda obj: all(test(obj) for test in tests)


def _field_test(path: list[str], equal: bool, wanted: str) -> Test:
    def matches(obj: JSON) -> bool:
        value: object = obj
        for part in path:
            value = value.get(part, "") if isinstance(value, dict) else ""
        return (value == wanted) is equal

    return matches
