"""Parses the YAML text of the declared state, within limits, with source text and line numbers.

Every reader of these files uses this module, so that all of them interpret a file in the same way.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_BYTES = 2**20
"""The maximum size of a file in bytes."""
MAX_DEPTH = 60
"""The maximum nesting with expanded aliases. A NetworkPolicy in a team file has about 15 levels."""
MAX_WEIGHT = 100_000
"""The maximum number of values in a file with expanded aliases. Each 64 characters of a text count
as a further value."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_TEXTS = (f"{_TAG}str", f"{_TAG}value", _MERGE)


class FaultyText(Exception):
    """A file's content cannot be read. It has the line and the reason."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


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


@dataclass(frozen=True)
class Lines:
    """The line number of a value, and those of the values in it."""

    line: int
    below: Mapping[str | int, "Lines"] = field(default_factory=dict)
    """The lines by key or index. A key's own line counts, not the line of its value."""


@dataclass(frozen=True)
class Content:
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
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        if node is None:
            return Content(None, Lines(1))
        return _Builder(yaml.constructor).build(node).content
    except RecursionError:
        raise _too_deep(1) from None
    except ReaderError as error:
        line = text[: error.position or 0].count("\n") + 1
        character = error.character if isinstance(error.character, int) else 0
        text = f"contains the character U+{character:04X}, which YAML does not allow; remove it"
        raise FaultyText(line, text) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split())
        if "single document" in str(error.context):
            problem = "contains several documents; write one document per file, without '---'"
            raise FaultyText(mark.line + 1 if mark else 1, problem) from None
        raise FaultyText(mark.line + 1 if mark else 1, f"is not YAML: {problem}") from None
    except (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        # The parser raises these for invalid anchors, escapes and directives.
        problem = (str(error).splitlines() or ["it cannot be parsed"])[0]
        raise FaultyText(1, f"is not YAML: {problem}") from None


@dataclass(frozen=True)
class _Built:
    content: Content
    weight: int
    height: int


class _Builder:
    """Converts the parser's nodes to plain values. Each node is converted once, despite aliases."""

    def __init__(self, constructor: SafeConstructor) -> None:
        self._constructor = constructor
        self._built: dict[int, _Built] = {}
        self._open: set[int] = set()

    def build(self, node: Node) -> _Built:
        """Return the value of a node.

        Raises:
            FaultyText: the value exceeds the limits, or has a duplicate key or an unknown tag.
        """
        if (known := self._built.get(id(node))) is not None:
            return known
        line = node.start_mark.line + 1
        if id(node) in self._open:
            raise FaultyText(line, "an alias refers to a value that contains the alias; remove it")
        self._open.add(id(node))
        if isinstance(node, ScalarNode):
            data, below = self._scalar(node, line), []
            lines = Lines(line)
        elif isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            below = [self.build(item) for item in node.value]
            data = [each.content.data for each in below]
            lines = Lines(line, {i: each.content.lines for i, each in enumerate(below)})
        elif isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            data, lines, below = self._mapping(node, line)
        else:
            raise FaultyText(line, f"the tag '{_short(str(node.tag))}' is not supported; remove it")
        self._open.discard(id(node))
        texts = len(node.value) // 64 if isinstance(node, ScalarNode) else 0
        built = _Built(
            Content(data, lines),
            1 + texts + sum(each.weight for each in below),
            1 + max((each.height for each in below), default=0),
        )
        if built.weight > MAX_WEIGHT:
            text = f"contains more than {MAX_WEIGHT} values after aliases are expanded; use fewer"
            raise FaultyText(line, text)
        if built.height > MAX_DEPTH:
            raise _too_deep(line)
        self._built[id(node)] = built
        return built

    def _mapping(self, node: MappingNode, line: int) -> tuple[dict[Any, Any], Lines, list[_Built]]:
        data: dict[Any, Any] = {}
        lines: dict[Any, Lines] = {}
        below: list[_Built] = []
        merged: list[tuple[_Built, int]] = []
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            value = self.build(value_node)
            below.append(value)
            if key_node.tag == _MERGE:
                sources = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                merged.extend((self.build(source), at) for source in sources)
                continue
            key = self.build(key_node).content.data
            if not isinstance(key, Hashable):
                raise FaultyText(at, "a key must be a single value, not a list or a mapping")
            if key in data:
                raise FaultyText(
                    at, f"the key '{str(key)[:60]}' is given twice; remove one of them"
                )
            data[key] = value.content.data
            lines[key] = Lines(at, value.content.lines.below)
        for source, at in merged:
            if not isinstance(source.content.data, dict):
                raise FaultyText(at, "'<<' must be followed by an alias of a mapping")
            for key, value in source.content.data.items():
                if key not in data:
                    data[key] = value
                    lines[key] = source.content.lines.below[key]
        return data, Lines(line, lines), below

    def _scalar(self, node: ScalarNode, line: int) -> Any:
        tag, text = str(node.tag), cast(str, node.value)
        construct = self._constructor
        try:
            if tag in _TEXTS:
                text.encode()  # an escape can be a lone surrogate, which is not a character
                return text
            if tag == f"{_TAG}null":
                return None
            if tag == f"{_TAG}bool":
                return bool(construct.construct_yaml_bool(node))
            if tag == f"{_TAG}int":
                return Int(construct.construct_yaml_int(node), text)
            if tag == f"{_TAG}float":
                return Float(construct.construct_yaml_float(node), text)
            if tag == f"{_TAG}timestamp":
                return construct.construct_yaml_timestamp(node)
        except UnicodeEncodeError:
            raise FaultyText(
                line, "contains an escape that is not a character; remove it"
            ) from None
        except (ValueError, TypeError, LookupError, ArithmeticError, YAMLError):
            what = {"int": "a whole number", "float": "a number", "bool": "true or false"}
            kind = what.get(tag.removeprefix(_TAG), "a date")
            raise FaultyText(line, f"'{text[:60]}' is not {kind}; quote it if it is text") from None
        raise FaultyText(line, f"the tag '{_short(tag)}' is not supported; remove it")


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag[:60]


def too_large() -> FaultyText:
    """Return the fault of a file that is too large."""
    return FaultyText(1, f"is larger than {MAX_BYTES // 2**20} MiB, the maximum size of a file")


def _too_deep(line: int) -> FaultyText:
    return FaultyText(line, f"is nested deeper than {MAX_DEPTH} levels")
