"""The texts of the files that an import writes: YAML, with notes as comments at their places."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from tenantry.declared.faults import Document, Place
from tenantry.declared.parsing import parse
from tenantry.declared.rewriting import dump
from tenantry.importing.notes import Note

_WIDTH = 100
_SORTS = ("not expressed", "suggestion", "decided")
"""The notes that are comments in the file. What a plan does once is in the report only."""


def file_text(name: str, content: dict[str, Any], notes: Iterable[Note]) -> str:
    """Return the text of a file with comments.

    A comment stands above its field, or above the closest enclosing one. Each is one visible line
    before it is wrapped, so that live text cannot end it.

    Args:
        name: the name of the file.
        content: its content.
        notes: the notes about it.
    """
    text = dump(content)
    document = Document(name, content, parse(text).lines)
    above: dict[int, list[str]] = defaultdict(list)
    for note in notes:
        if note.sort in _SORTS:
            comments = above[document.line(note.place) if _begins(document, note) else 0]
            if note.line not in comments:
                comments.append(note.line)
    lines = text.splitlines()
    for place in _nulls(content):
        lines[document.line(place) - 1] += " null"
    written: list[str] = []
    for number, line in enumerate(lines, start=1):
        indent = line[: len(line) - len(line.lstrip(" "))]
        for comment in above.get(number, ()):
            written += _comment(comment, indent)
        written.append(line)
    for comment in above.get(0, ()):
        written += _comment(comment, "")
    return "\n".join(written) + "\n"


def _begins(document: Document, note: Note) -> bool:
    """Return whether the document has the first part of a note's place."""
    return bool(note.place) and document.has(note.place[:1])


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _nulls(content: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the places of fields that are null, which the emitter leaves empty."""
    if isinstance(content, dict):
        for key, value in content.items():
            if value is None:
                yield (*place, key)
            else:
                yield from _nulls(value, (*place, key))
