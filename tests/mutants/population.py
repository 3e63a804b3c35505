"""All mutants that can be made of a module, each with a key that survives moving and reformatting."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import parso
from parso.python.tree import Name, Newline, Operator, PythonLeaf, String
from parso.tree import BaseNode, NodeOrLeaf

# Operators of the language that no mutation operator changes: skipping them saves most of the time.
_PUNCTUATION = frozenset([".", ",", ":", ";", "(", ")", "[", "]", "{", "}", "=", "->"])
_LITERALS = ("string", "fstring_string")
_PARAMETERS = ("parameters", "lambdef", "param")  # where `*` and `/` calculate nothing
# Statements that only a type checker evaluates, or only a module that is run as a program.
_NOT_TESTED = re.compile(r"\bTYPE_CHECKING\b|^@ (typing \. )?overload\b|^if __name__ ==")


class MutationOperator(Protocol):
    """An operator of Cosmic Ray, as far as listing mutants needs it."""

    def mutation_positions(self, node: Any) -> Iterable[Any]:
        """Return a position for each way in which the operator can change the node."""


@dataclass(frozen=True, order=True)
class Key:
    """What identifies a mutant, whatever file and line it is in.

    Attributes:
        operator: The operator of Cosmic Ray, such as `core/ReplaceTrueWithFalse`.
        statement: The tokens of the statement (of a compound one its first line), separated by blanks.
        ordinal: Which of the places in the statement that this operator can change, from 0.
    """

    operator: str
    statement: str
    ordinal: int

    @property
    def id(self) -> str:
        """A short text for the key."""
        return sha256(f"{self.operator}\n{self.statement}\n{self.ordinal}".encode()).hexdigest()[
            :12
        ]

    @property
    def family(self) -> str:
        """The operator without its replacement: `…_Eq` for `…_Eq_NotEq`."""
        head, _, _ = self.operator.rpartition("_")
        return head or self.operator


@dataclass(frozen=True)
class Mutant:
    """One change of one statement of a module.

    Attributes:
        shape: The statement with its names and texts replaced by placeholders, for finding it after
            a renaming. None if another statement of the area has the same shape.
        occurrence: Which of the places in the module that this operator can change, from 0.
        lines: The first and the last line of the statement.
    """

    key: Key
    shape: str | None
    module: str
    occurrence: int
    lines: tuple[int, int]


@dataclass(frozen=True)
class _Statement:
    text: str
    shape: str
    lines: tuple[int, int]


def list_mutants(
    sources: Mapping[str, str], operators: Mapping[str, MutationOperator]
) -> list[Mutant]:
    """Return all mutants of an area's modules whose statement occurs once in the area.

    Left out are changes that no test can notice, such as those of annotations, and statements that
    occur several times, which a key cannot tell apart.

    Args:
        sources: The text of each module by its path.
        operators: The mutation operators by name.
    """
    found: list[tuple[str, str, int, _Statement, int]] = []
    occurs: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    for module, source in sources.items():
        counts: Counter[str] = Counter()
        ordinals: Counter[tuple[str, tuple[int, int]]] = Counter()
        statements: dict[Any, _Statement] = {}
        tree = parso.parse(source)
        for line in _logical_lines(tree):
            statement = _describe(line)
            occurs[statement.text].add((module, statement.lines[0]))
            statements |= dict.fromkeys((leaf.start_pos for leaf in line), statement)
        for node in _nodes(tree):
            has_no_effect = _has_no_effect(node)
            for operator, instance in operators.items():
                for position in instance.mutation_positions(node):
                    occurrence, counts[operator] = counts[operator], counts[operator] + 1
                    statement = statements[position[0]]
                    ordinal = ordinals[operator, statement.lines]
                    ordinals[operator, statement.lines] += 1
                    if not has_no_effect and not _NOT_TESTED.search(statement.text):
                        found.append((operator, module, occurrence, statement, ordinal))
    shapes: defaultdict[str, set[str]] = defaultdict(set)
    for *_, statement, _ in found:
        shapes[statement.shape].add(statement.text)
    return [
        Mutant(
            Key(operator, statement.text, ordinal),
            statement.shape if len(shapes[statement.shape]) == 1 else None,
            module,
            occurrence,
            statement.lines,
        )
        for operator, module, occurrence, statement, ordinal in found
        if len(occurs[statement.text]) == 1
    ]


def _nodes(node: NodeOrLeaf) -> Iterator[NodeOrLeaf]:
    """Yield the nodes that an operator may change, in the order in which Cosmic Ray visits them."""
    if isinstance(node, Name | Newline | String):
        return
    if not (isinstance(node, Operator) and node.value in _PUNCTUATION):
        yield node
    if isinstance(node, BaseNode):
        for child in node.children:
            yield from _nodes(child)


def _has_no_effect(node: NodeOrLeaf) -> bool:
    """Return whether a node is part of an annotation, or separates parameters."""
    child, parent = node, node.parent
    if isinstance(node, Operator) and parent is not None and parent.type in _PARAMETERS:
        return True
    while parent is not None:
        if parent.type == "annassign":
            return child is parent.children[1]
        if parent.type == "tfpdef":
            return True
        if parent.type == "funcdef":
            return child is getattr(parent, "annotation", None)
        child, parent = parent, parent.parent
    return False


def _logical_lines(tree: BaseNode) -> Iterator[list[PythonLeaf]]:
    """Yield the leaves of each logical line: a statement, or the first line of a compound one."""
    line: list[PythonLeaf] = []
    leaf = tree.get_first_leaf()
    while leaf is not None:
        if leaf.type in ("newline", "endmarker"):
            if line:
                yield line
            line = []
        else:
            line.append(leaf)
        leaf = leaf.get_next_leaf()


def _describe(line: list[PythonLeaf]) -> _Statement:
    """Return a logical line's text without layout and comments, and its shape."""
    names: dict[str, str] = {}
    shape = [
        names.setdefault(leaf.value, f"n{len(names)}")
        if leaf.type == "name"
        else "text"
        if leaf.type in _LITERALS
        else leaf.value
        for leaf in line
    ]
    text = " ".join(leaf.value for leaf in line)
    return _Statement(text, " ".join(shape), (line[0].start_pos[0], line[-1].end_pos[0]))
