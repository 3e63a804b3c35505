"""Escapes text for each output format. Every output uses this module.

Team files and everything that a tenant can write in a system are hostile. A name, an annotation, or
an error that quotes them may contain terminal commands, invisible or bidirectional characters,
Markdown, HTML, spreadsheet formulas, or a line break that forges a log line.
`tests/isolation/test_text.py` finds output code that does not use this module.
"""

import json
import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Control characters, invisible formatting (bidirectional marks, zero-width characters, tags),
surrogates, private-use characters, and line and paragraph separators."""
_BLANKS = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0e\U000e0100-\U000e01ef"
)
"""Invisible characters of other categories."""
_KEPT = "\n\t"
_SUSPECT = re.compile(r"[^\x20-\x7e\n\t\u00a1-\u00ac\u00ae-\u02ff]")
_BLANK = re.compile(f"[{_BLANKS}]")
_BREAKS = re.compile("\\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\\s*")


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    is_hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES or _BLANK.match(character)
    if character in _KEPT or not is_hidden:
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def visible(text: str) -> str:
    """Return text with control and invisible characters as escapes, such as `\\x1b`.

    Line feeds and tabs are kept.
    """
    return _SUSPECT.sub(lambda found: _shown(found[0]), text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return text as one visible line. A line break and the blanks around it become one blank."""
    return visible(_BREAKS.sub(" ", text).strip())


def visible_values(value: Any) -> Any:
    """Return a JSON value with all texts made visible, including keys."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): visible_values(below) for key, below in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [visible_values(below) for below in value]
    return value


# Terminals and logs

_AZURE_COMMAND = re.compile(r"##(?=(?:vso)?\[)")
_GITHUB_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)


def printed(text: str) -> str:
    """Return text for a terminal or a CI log, without commands.

    Azure interprets `##[` and `##vso[` as commands at any position of a line.
    """
    return _AZURE_COMMAND.sub(r"#\\x23", visible(text))


def printed_lines(text: str) -> str:
    """Return whole lines for a terminal. GitHub interprets a line that begins with `::` as a command."""
    return _GITHUB_COMMAND.sub(r"\1\\x3a", printed(text))


def logged(text: str) -> str:
    """Return text for a log, with further lines indented so that they do not look like entries."""
    return visible(text).replace("\n", "\n  ")


class HarmlessRecords(logging.Filter):
    """Escapes the text of log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape the record's message and traceback, and return True."""
        record.msg, record.args = logged(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = visible(logging.Formatter().formatException(record.exc_info))
        return True


def logger(name: str) -> logging.Logger:
    """Return a logger that escapes its records."""
    found = logging.getLogger(name)
    if not any(isinstance(known, HarmlessRecords) for known in found.filters):
        found.addFilter(HarmlessRecords())
    return found


# Markdown

_MARKDOWN = re.compile(
    r"[\\`*_\[\]<>|~&@]|^[#+=-]"
    # Autolinks, which have no brackets.
    r"|(?:(?<=http)|(?<=https)|(?<=ftp)):(?=//)|(?<=www)\.",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])|&#(9|32);")


class Markdown(str):
    """Trusted Markdown, in which all other text is escaped."""

    __slots__ = ()


def markdown(template: str, *values: object) -> Markdown:
    """Return a trusted template with its `{}` filled in; values that are not Markdown are escaped."""
    return Markdown(template.format(*map(_escaped, values)))


def joined(separator: str, parts: Iterable[Markdown]) -> Markdown:
    """Return the parts joined by a trusted separator."""
    return Markdown(separator.join(map(_escaped, parts)))


def code(text: str) -> Markdown:
    """Return text as inline code; text that would end the code or a table cell is escaped instead."""
    line = one_line(text)
    if not line or "`" in line or "|" in line:
        return Markdown(_escaped(line))
    return Markdown(f"`{line}`")


def link(text: str, url: str) -> Markdown:
    """Return a link, with the URL quoted so that it contains no Markdown."""
    return Markdown(f"[{escaped(text)}](<{quote(url, safe=':/?&=%+-._~')}>)")


def table_row(*cells: object) -> Markdown:
    """Return a row of a table."""
    return Markdown(f"| {' | '.join(map(_escaped, cells))} |")


def table_head(*names: str) -> Markdown:
    """Return the header row of a table, with the delimiter row below it."""
    return joined("\n", (table_row(*names), Markdown(f"|{'---|' * len(names)}")))


def escaped(text: str) -> Markdown:
    """Return text with all Markdown escaped, line by line, such as for a cell in Prefect's tables."""
    return Markdown("\n".join(map(_without_marks, visible(text).split("\n"))))


def unescaped(text: str) -> str:
    """Return the original text of an `escaped` text."""
    return _ESCAPE.sub(lambda found: found[1] or chr(int(found[2])), text)


def _escaped(value: object) -> str:
    if isinstance(value, Markdown):
        return value
    return _without_marks(one_line(str(value)))


def _without_marks(line: str) -> str:
    if line.startswith((" ", "\t")):
        # As an entity, the blank neither starts a code block nor hides a mark after it.
        return f"&#{ord(line[0])};" + _MARKDOWN.sub(r"\\\g<0>", line[1:])
    return _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\g<0>", line))


# Files

_FORMULA = re.compile(r"'*[\s\x00-\x20\xa0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def csv_cell(text: str) -> str:
    """Return text for CSV, with an apostrophe before text that a spreadsheet would run as a formula.

    Spreadsheets skip blanks, tabs and line feeds before a formula.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def read_csv_cell(cell: str) -> str:
    """Return the original text of a cell written by `csv_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def json_text(content: Any, indent: int | None = 2) -> str:
    """Return JSON in ASCII, so that the file is safe to print on a terminal."""
    return json.dumps(content, indent=indent)


def sarif_text(text: str) -> str:
    """Return text for a SARIF message, with `[text](target)` escaped, which would be a link."""
    return one_line(text).replace("](", "\\](")
