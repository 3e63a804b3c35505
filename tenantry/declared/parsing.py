"""Parses the YAML text of the declared state, within limits, with source text and line numbers.

Every reader of these files uses this module, so that all of them interpret a file in the same way.
"""

import re
import sys
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple, Self

from tenantry.declared import libyaml
from tenantry.declared.libyaml import MAX_DEPTH, Unsure
from tenantry.declared.yaml_nodes import TAG, Composed, FaultyText, Node

MAX_BYTES = 2**20
"""The maximum size of a file in bytes."""
MAX_WEIGHT = 100_000
"""The maximum number of values in a file with expanded aliases. Each 64 characters of a text count
as a further value."""

_MERGE = f"{TAG}merge"
_TEXTS = (f"{TAG}str", f"{TAG}value", _MERGE)
_CONSTRUCTED = tuple(f"{TAG}{kind}" for kind in ("bool", "int", "float", "timestamp"))
_USUAL_INT = re.compile(r"0|-?[1-9][0-9]{0,17}")


class Int(int):
    """An integer with its source text, such as `0042` or `1_000`."""

    text: str

    def __new__(cls, value: int, text: str) -> Self:
        """Create the number with its source text."""
        number = super().__new__(cls, value)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type[Self], tuple[int, str]]:
        return type(self), (int(self), self.text)


class Float(float):
    """A floating-point number with its source text, such as `1.10`."""

    text: str

    def __new__(cls, value: float, text: str) -> Self:
        """Create the number with its source text."""
        number = super().__new__(cls, value)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type[Self], tuple[float, str]]:
        return type(self), (float(self), self.text)


def source_text(value: Any) -> str:
    """Return a scalar's source text, if known, else its usual text."""
    if isinstance(value, Int | Float):
        return value.text
    return str(value).lower() if isinstance(value, bool) else str(value)


class Lines(NamedTuple):
    """The line number of a value, and those of the values in it."""

    line: int
    below: Mapping[str | int, "Lines"] = {}
    """The lines by key or index. A key's own line counts, not the line of its value."""


class Content(NamedTuple):
    """The content of a file as plain values, with their line numbers."""

    data: Any
    lines: Lines


def parse(source: bytes | str) -> Content:
    """Parse YAML text, and return its content.

    Raises:
        FaultyText: the text is not YAML, or exceeds the limits.
    """
    if len(source) > MAX_BYTES:
        raise too_large()
    try:
        text = source.decode("utf-8-sig") if isinstance(source, bytes) else source
    except UnicodeDecodeError as error:
        line = bytes(source)[: error.start].count(b"\n") + 1 if isinstance(source, bytes) else 1
        raise FaultyText(line, "is not UTF-8 text; save the file as UTF-8") from None
    try:
        return _built(libyaml.compose(text))
    except Unsure:
        return parse_with_ruamel(text)


def parse_with_ruamel(text: str) -> Content:
    """Parse YAML text with the slower of both parsers, which reads all of YAML 1.2.

    Raises:
        FaultyText: the text is not YAML, or exceeds the limits.
    """
    from tenantry.declared import ruamel_parser  # most processes do not need it

    try:
        return _built(ruamel_parser.compose(text))
    except RecursionError:
        raise _too_deep(1) from None


def _built(composed: Composed) -> Content:
    if composed.node is None:
        return Content(None, Lines(1))
    built = _Builder(composed).build(composed.node)
    return Content(built.data, built.lines)


class _Built(NamedTuple):
    data: Any
    lines: Lines
    weight: int
    height: int


class _Builder:
    """Converts the parser's nodes to plain values. Each node is converted once, despite aliases."""

    def __init__(self, composed: Composed) -> None:
        self._construct = composed.construct
        self._known: dict[int, _Built] = {}
        self._open: set[int] = set()

    def build(self, node: Node) -> _Built:
        """Return the value of a node.

        Raises:
            FaultyText: the value exceeds the limits, or has a duplicate key or an unknown tag.
        """
        if (known := self._known.get(id(node))) is not None:
            return known
        line = node.start_mark.line + 1
        tag = str(node.tag)
        if node.id == "scalar":
            text: str = node.value
            built = _Built(self._scalar(node, tag, line), Lines(line), 1 + len(text) // 64, 1)
        elif id(node) in self._open:
            raise FaultyText(line, "an alias refers to a value that contains the alias; remove it")
        else:
            self._open.add(id(node))
            if node.id == "sequence" and tag == f"{TAG}seq":
                below = [self.build(item) for item in node.value]
                data: Any = [each.data for each in below]
                lines = Lines(line, {i: each.lines for i, each in enumerate(below)})
            elif node.id == "mapping" and tag == f"{TAG}map":
                data, lines, below = self._mapping(node, line)
            else:
                raise FaultyText(line, f"the tag '{_short(tag)}' is not supported; remove it")
            self._open.discard(id(node))
            weight = 1 + sum(each.weight for each in below)
            built = _Built(data, lines, weight, 1 + max((each.height for each in below), default=0))
        if built.weight > MAX_WEIGHT:
            text = f"contains more than {MAX_WEIGHT} values after aliases are expanded; use fewer"
            raise FaultyText(line, text)
        if built.height > MAX_DEPTH:
            raise _too_deep(line)
        self._known[id(node)] = built
        return built

    def _mapping(self, node: Node, line: int) -> tuple[dict[Any, Any], Lines, list[_Built]]:
        data: dict[Any, Any] = {}
        lines: dict[Any, Lines] = {}
        below: list[_Built] = []
        merged: list[tuple[_Built, int]] = []
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            value = self.build(value_node)
            below.append(value)
            if key_node.tag == _MERGE:
                is_list = value_node.id == "sequence"
                sources = value_node.value if is_list else [value_node]
                merged.extend((self.build(source), at) for source in sources)
                continue
            key = self.build(key_node).data
            if type(key) is str:
                key = sys.intern(key)  # thousands of files have the same keys
            elif not isinstance(key, Hashable):
                raise FaultyText(at, "a key must be a single value, not a list or a mapping")
            if key in data:
                raise FaultyText(
                    at, f"the key '{str(key)[:60]}' is given twice; remove one of them"
                )
            data[key] = value.data
            lines[key] = Lines(at, value.lines.below)
        for source, at in merged:
            if not isinstance(source.data, dict):
                raise FaultyText(at, "'<<' must be followed by an alias of a mapping")
            for key, value in source.data.items():
                if key not in data:
                    data[key] = value
                    lines[key] = source.lines.below[key]
        return data, Lines(line, lines), below

    def _scalar(self, node: Node, tag: str, line: int) -> Any:
        text: str = node.value
        try:
            if tag in _TEXTS:
                text.encode()  # an escape can be a lone surrogate, which is not a character
                return text
            if tag == f"{TAG}null":
                return None
            if tag in _CONSTRUCTED:
                return _with_text(self._construct(tag, node), text)
        except UnicodeEncodeError:
            raise FaultyText(
                line, "contains an escape that is not a character; remove it"
            ) from None
        except (ValueError, TypeError, LookupError, ArithmeticError):
            what = {"int": "a whole number", "float": "a number", "bool": "true or false"}
            kind = what.get(tag.removeprefix(TAG), "a date")
            raise FaultyText(line, f"'{text[:60]}' is not {kind}; quote it if it is text") from None
        raise FaultyText(line, f"the tag '{_short(tag)}' is not supported; remove it")


def _with_text(value: Any, text: str) -> Any:
    """Return a value with its source text, if it is a number that is usually written differently."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if _USUAL_INT.fullmatch(text) else Int(value, text)
    if isinstance(value, float):
        return value if repr(value) == text else Float(value, text)
    return value


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(TAG)}" if tag.startswith(TAG) else tag[:60]


def too_large() -> FaultyText:
    """Return the fault of a file that is too large."""
    return FaultyText(1, f"is larger than {MAX_BYTES // 2**20} MiB, the maximum size of a file")


def _too_deep(line: int) -> FaultyText:
    return FaultyText(line, f"is nested deeper than {MAX_DEPTH} levels")
