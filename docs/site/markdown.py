"""Rewrites pages for Python-Markdown, which the site is built with.

The pages are written for repository browsers, which read CommonMark.
"""

import re
from collections.abc import Callable, Iterator

_FENCE = re.compile(r"( *)(`{3,}|~{3,})([^`]*)$")
_ITEM = re.compile(r"(?:[-*+]|\d+[.)]) +")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def rewrite(text: str, target: Callable[[str], str]) -> str:
    """Return a page with other link targets, and with lists as Python-Markdown reads them.

    Args:
        text: The page.
        target: Returns the new target of a link.
    """
    return "\n".join(_lists(_links(text.split("\n"), target)))


def _links(lines: list[str], target: Callable[[str], str]) -> Iterator[tuple[str, bool]]:
    """Yield each line with its links replaced, and whether it is part of a code block."""
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        if fence:
            yield line, True
            if mark and mark[2].startswith(fence) and not mark[3].strip():
                fence = ""
        elif mark:
            fence = mark[2]
            language = mark[3].split()[:1]  # what follows the language is for tests
            yield f"{mark[1]}{mark[2]}{''.join(language)}", True
        else:
            yield _LINK.sub(lambda found: f"{found[1]}{target(found[2])}{found[3]}", line), False


def _lists(lines: Iterator[tuple[str, bool]]) -> Iterator[str]:
    """Indent the content of list items by four spaces a level, and begin lists after a blank line."""
    contents: list[int] = []  # of each open item, the column at which its content begins
    blank, was_code, previous = True, False, ""
    for line, is_code in lines:
        indent = len(line) - len(line.lstrip())
        inside = is_code and was_code
        was_code = is_code
        if not line.strip():
            blank = True
            yield ""
            continue
        while not inside and contents and indent < contents[-1]:
            contents.pop()
        start = contents[-1] if contents else 0
        item = None if is_code or indent - start > 3 else _ITEM.match(line.lstrip())
        if item:
            if not blank and not contents and not _is_item(previous):
                yield ""
            yield " " * 4 * len(contents) + line.lstrip()
            contents.append(indent + item.end())
        else:
            yield " " * 4 * len(contents) + line[min(start, indent) :]
        blank, previous = False, line


def _is_item(line: str) -> bool:
    return line.startswith(" ") or _ITEM.match(line) is not None
