"""What the parsers of YAML text share: the nodes that they return, and the fault of a text."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

TAG = "tag:yaml.org,2002:"
"""The beginning of the tags of YAML's own types."""


class FaultyText(Exception):
    """A file's content cannot be read. It has the line and the reason."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


class Mark(Protocol):
    """A place in the text."""

    @property
    def line(self) -> int:
        """The line's number, beginning with 0."""


class Node(Protocol):
    """A value in the text, as both parsers return it."""

    @property
    def id(self) -> str:
        """The kind of value: `scalar`, `sequence` or `mapping`."""

    @property
    def tag(self) -> Any:
        """The type of the value. `str` returns its name."""

    @property
    def value(self) -> Any:
        """The text of a scalar, the nodes of a sequence, or the pairs of nodes of a mapping."""

    @property
    def start_mark(self) -> Mark:
        """The beginning of the value."""


class Composed(NamedTuple):
    """A parsed text whose scalars are not converted yet."""

    node: Node | None
    """The node of the whole text; None if the text is empty."""
    construct: Callable[[str, Node], Any]
    """Returns the value of a scalar with this tag: a boolean, a number or a time. It raises
    ValueError, TypeError, LookupError or ArithmeticError if the text is not such a value."""
