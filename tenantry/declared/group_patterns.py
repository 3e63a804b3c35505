"""Patterns of the names that external identity providers give to groups.

A pattern is a regular expression with the placeholder `{group}`, such as `k8s-{group}(-admins)?`.
"""

import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from tenantry.declared.expressions import Expression

PLACEHOLDER = "{group}"
_COUNT = re.compile(r"\{[0-9]*,?\{group\}")


def check(pattern: str) -> None:
    """Check that the placeholder stands for a whole name wherever it occurs.

    Raises:
        ValueError: a placeholder is in a character class, after a backslash or in a count.
    """
    parts = pattern.split(PLACEHOLDER)
    for number in range(1, len(parts)):
        # Only where the name's characters are not taken as they are, a bracket needs no partner.
        before, after = ("a".join(each) for each in (parts[:number], parts[number:]))
        if _compiles(f"{before}({after}") or _COUNT.search(pattern):
            raise ValueError(
                "'{group}' stands for a whole name: it must not be in [ ], after a backslash, in "
                "\\Q \\E or in a count"
            )


def _compiles(expression: str) -> bool:
    try:
        Expression(expression)
    except ValueError:
        return False
    return True


def likely_names(
    expression_of: Callable[[str], str], groups: Collection[str], names: Iterable[str]
) -> Mapping[str, list[str]]:
    """Return the names that a pattern could match, for each group.

    A pattern matches a name only if the name contains the group, or if it would match that name
    for any group. So a name is compared with few groups, instead of with all of them. The last
    character of the group may be missing, since a quantifier may follow it.

    Args:
        expression_of: returns the expression of a group.
        groups: the groups.
        names: the names.
    """
    found: dict[str, list[str]] = defaultdict(list)
    if not groups:
        return found
    by_part: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        by_part[group[:-1].casefold()].append(group)
    lengths = sorted({len(part) for part in by_part})
    no_group = Expression(expression_of(uuid.uuid4().hex))
    for name in names:
        likely: Iterable[str] = groups
        if not no_group.matches(name):
            parts = _parts(name.casefold(), lengths)
            likely = (group for part in parts if part in by_part for group in by_part[part])
        for group in likely:
            found[group].append(name)
    return found


def _parts(name: str, lengths: Iterable[int]) -> set[str]:
    """Return all parts of a name that have one of these lengths."""
    return {
        name[start : start + length]
        for length in lengths
        for start in range(len(name) - length + 1)
    }
