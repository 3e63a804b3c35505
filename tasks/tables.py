"""Table artifacts that can be read: the UI shows some 700 pixels of them, and cells as Markdown.

This is how the V1 UI of Prefect 3.9 shows them. Its V2 UI shows plain text, and puts each row on one
line, so that columns at the right can only be reached by scrolling. What a person must read there
is also published as Markdown, as a list: both UIs wrap that.
"""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_table_artifact

from tasks.prefect_api import best_effort
from tenantry.text import Markdown, escaped, unescaped, visible

_WIDTH = 24
"""Characters of a line in a cell."""
PLAN_WIDTHS = {"team": 14, "action": 8, "resource": 30, "fields": 38}
"""The widths of the columns in a table of changes."""


class _Wrapper(textwrap.TextWrapper):
    """Break a word that is longer than a line after a slash, full stop or dash, if it has one."""

    def _split(self, text: str) -> list[str]:
        pieces: list[str] = []
        for word in super()._split(text):
            pieces += re.split(r"(?<=[/.-])", word) if len(word) > self.width else [word]
        return [piece for piece in pieces if piece]


def publish_table(
    key: str,
    rows: Sequence[Mapping[str, Any]],
    description: Markdown,
    widths: Mapping[str, int | None] | None = None,
) -> None:
    """Publish rows as a table artifact; log a warning if Prefect's API does not accept it.

    The UI breaks no line within a cell, so that one long text hides all columns after it. It
    renders text as Markdown, which a tenant's text must not become.

    Args:
        key: the artifact's key.
        rows: the rows, each with the same columns, the most important first.
        description: the text above the table.
        widths: the characters of a line by column, 24 if not given; None breaks no line, for
            columns that programs read.
    """
    known = widths or {}
    table = [
        {
            name: cell(value, known.get(name, _WIDTH)) if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in rows
    ]
    with best_effort(f"artifact '{key}'"):
        create_table_artifact(key=key, table=table, description=description)


def cell(text: str, width: int | None = _WIDTH) -> str:
    """Return text as a cell: in lines of so many characters, and with nothing that is Markdown."""
    text = visible(text)
    if width is not None:
        wrapper = _Wrapper(width, break_on_hyphens=False)
        lines = (wrapper.wrap(line) or [""] for line in text.splitlines())
        text = "\n".join(part for parts in lines for part in parts)
    return escaped(text)


def read_table(data: Any) -> list[dict[str, Any]]:
    """Return the rows of a table artifact's data as they were published, but for line breaks."""
    rows: list[dict[str, Any]] = json.loads(str(data))
    return [
        {name: unescaped(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    ]
