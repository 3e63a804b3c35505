"""Reads YAML text with libyaml, a parser in C: sixty times as fast as ruamel.yaml.

libyaml reads YAML 1.1, ruamel.yaml YAML 1.2. So this module reads only text to which both give the
same meaning, and the types of plain scalars follow the rules that ruamel.yaml has for YAML 1.2. For
any other text, and for text with a fault, it raises `Unsure`.
"""

import re
from datetime import date
from typing import Any

import yaml

from tenantry.declared.yaml_nodes import TAG, Composed, Node

MAX_DEPTH = 60
"""The maximum nesting. The C code calls itself for each level, without a limit of its own."""


class Unsure(Exception):
    """The text has a fault, or could have another meaning in YAML 1.2."""


_START = r"(?:^|[-?:] |[\[{,]) *"
"""What precedes a value."""
_ANCHOR = r"[A-Za-z0-9_-]+"
_OTHER_MEANING = re.compile(
    "|".join(
        (
            # Tabs, carriage returns, Unicode's line breaks, and characters that YAML excludes.
            "[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]",
            rf"{_START}[!?:%]",  # tags, complex keys, empty keys, directives
            # Anchors that have a tag, or other characters in their names.
            rf"{_START}[&*](?!{_ANCHOR}(?:[ \n,\]}}]|\Z))",
            rf"{_START}&{_ANCHOR} +!",
            r":[,\[\]{}]",
            r"""["'\]}]:[^ \n]""",  # a value right after a quoted key
            r"^(?:---|\.\.\.)",
            # Block scalars that declare their indentation, begin with an empty line, or are not in
            # a mapping or a sequence.
            r"[|>](?:[-+]?[0-9]|[-+]? *(?:#.*)?\n *\n|[-+]?#)",
            r"^ *[|>]",
        )
    ),
    re.MULTILINE,
)
_HEAD = re.compile(r"(?:(?:#.*)?\n)*---\n")
"""Comments, and the beginning of the document."""


def compose(text: str) -> Composed:
    """Return the nodes of a text.

    Raises:
        Unsure: ruamel.yaml must read the text.
    """
    head = _HEAD.match(text)
    if not yaml.__with_libyaml__ or _OTHER_MEANING.search(text, head.end() if head else 0):
        raise Unsure
    try:
        node = _Parser(text).get_single_node()
    except (yaml.YAMLError, UnicodeError):
        raise Unsure from None
    if node is None or node.id == "scalar":  # no file of the declared state
        raise Unsure
    return Composed(node, _construct)


class _Parser(getattr(yaml, "CBaseLoader", object)):  # type: ignore[misc]
    """The parser, with the resolver that it calls for each node."""

    depth = 0

    def resolve(self, kind: type[Node], value: str, implicit: tuple[bool, bool]) -> str:
        """Return the tag of a node without an explicit one."""
        if kind is yaml.ScalarNode:
            return _tag_of(value) if implicit[0] else f"{TAG}str"
        return f"{TAG}map" if kind is yaml.MappingNode else f"{TAG}seq"

    def descend_resolver(self, *_: Any) -> None:
        """Enter a node.

        Raises:
            Unsure: the text is nested too deeply.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unsure

    def ascend_resolver(self) -> None:
        """Leave a node."""
        self.depth -= 1


_FLOAT = (
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)
_TIME = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
    r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?"
)
_RULES = (
    ("tTfF", "bool", r"true|True|TRUE|false|False|FALSE"),
    ("-+0123456789.", "float", _FLOAT),
    ("-+0123456789", "int", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|[0-9_]+|0x[0-9a-fA-F_]+)"),
    ("<", "merge", r"<<"),
    ("~nN", "null", r"~|null|Null|NULL"),
    ("0123456789", "timestamp", _TIME),
    ("=", "value", r"="),
)
"""The types of plain scalars in YAML 1.2: the first characters, the type, and its syntax."""

_BY_FIRST: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _first, _type, _syntax in _RULES:
    for _character in _first:
        _BY_FIRST.setdefault(_character, []).append((f"{TAG}{_type}", re.compile(_syntax)))


def _tag_of(value: str) -> str:
    """Return the tag of a plain scalar."""
    if not value:
        return f"{TAG}null"
    for tag, syntax in _BY_FIRST.get(value[0], ()):
        if syntax.fullmatch(value):
            return tag
    return f"{TAG}str"


def _construct(tag: str, node: Node) -> Any:
    """Return the value of a scalar of this type.

    Raises:
        ValueError: the text is not such a value.
        Unsure: it is a time, which ruamel.yaml reads.
    """
    text: str = node.value
    match tag.removeprefix(TAG):
        case "bool":
            return text.lower() == "true"
        case "int":
            return _int(text.replace("_", ""))
        case "float":
            return _float(text.replace("_", "").lower())
        case "timestamp" if len(text) == len("2026-12-31"):
            return date.fromisoformat(text)
    raise Unsure


def _int(text: str) -> int:
    sign = -1 if text[0] == "-" else 1
    digits = text[1:] if text[0] in "+-" else text
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2])
    return sign * (int(digits[2:], base) if base else int(digits))


def _float(text: str) -> float:
    sign = -1 if text[0] == "-" else 1
    digits = text[1:] if text[0] in "+-" else text
    return sign * float(digits.removeprefix(".") if digits in (".inf", ".nan") else digits)
