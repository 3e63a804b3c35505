"""The effect of immutable-tag rules in Harbor 2.15.2: such a tag can be neither replaced nor deleted."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tenantry.sandbox.harbor.model import Project
from tenantry.sandbox.harbor.wire import Refusal

_GLOB = re.compile(r"\*\*|\*|\?|\{|\}|,|[^*?{},]+")
_REGEX = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}


def is_immutable(project: Project, repository: str, tag: str) -> bool:
    """Return whether an enabled rule of the project matches a tag.

    Args:
        project: the project.
        repository: the name of the repository without the project.
        tag: the tag.
    """
    return any(
        _matches(rule["scope_selectors"].get("repository"), repository)
        and _matches(rule.get("tag_selectors"), tag)
        for rule in project.immutable_rules.values()
        if not rule["disabled"]
    )


def refuse_replacement(project: Project, repository: str, tag: str) -> None:
    """Raise Refusal if a push would replace an immutable tag, also by the same image."""
    if tag in project.repositories[repository].tags and is_immutable(project, repository, tag):
        raise Refusal(
            412, f"Failed to process request due to '{repository}:{tag}' configured as immutable."
        )


def refuse_deletion(project: Project, repository: str, tags: Iterable[str]) -> None:
    """Raise Refusal if one of these tags is immutable."""
    for tag in sorted(tags):
        if is_immutable(project, repository, tag):
            raise Refusal(412, f"the tag {tag} configured as immutable, cannot be deleted")


def tags_of(project: Project, repository: str, digest: str) -> list[str]:
    """Return the tags of an artifact."""
    tags = project.repositories[repository].tags
    return [name for name, tag in tags.items() if tag.digest == digest]


def _matches(selectors: list[dict[str, Any]] | None, name: str) -> bool:
    return bool(selectors) and all(
        bool(_regex(each.get("pattern") or "").fullmatch(name))
        != str(each.get("decoration", "")).lower().endswith("excludes")
        for each in selectors or ()
    )


@lru_cache
def _regex(pattern: str) -> re.Pattern[str]:
    parts = _GLOB.findall(pattern)
    return re.compile("".join(_REGEX.get(part) or re.escape(part) for part in parts))
