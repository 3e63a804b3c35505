"""Harbor's rules about tags: retention policies and immutable tags, in Harbor's form and in ours."""

from collections.abc import Sequence
from typing import Any

from tenantry.declared.team import Retention, RetentionRule
from tenantry.systems.harbor.client import Row

_TEMPLATES = {
    "latest_pushed": "latestPushedK",
    "latest_pulled": "latestPulledN",
    "pushed_within_days": "nDaysSinceLastPush",
    "pulled_within_days": "nDaysSinceLastPull",
}
"""Our ways to count, and Harbor's templates for them."""


def selectors(repositories: str, tags: str, untagged: bool | None = None) -> Row:
    """Which repositories and tags a rule is for."""
    extras = {} if untagged is None else {"extras": f'{{"untagged":{str(untagged).lower()}}}'}
    tag = {"kind": "doublestar", "decoration": "matches", "pattern": tags, **extras}
    repository = {"kind": "doublestar", "decoration": "repoMatches", "pattern": repositories}
    return {"tag_selectors": [tag], "scope_selectors": {"repository": [repository]}}


def patterns(row: Row) -> tuple[str, str]:
    """Return all selectors of a rule of Harbor's: of repositories, and of tags.

    Harbor's portal and other tools make rules with several selectors or none, and Harbor leaves
    out a pattern that is empty.
    """
    repositories = (row.get("scope_selectors") or {}).get("repository")
    return _joined(repositories, "repoMatches"), _joined(row.get("tag_selectors"), "matches")


def _joined(selectors: Sequence[Row] | None, matches: str) -> str:
    found = []
    for selector in selectors or ():
        kind = selector.get("kind") or "doublestar"
        negation = "" if selector.get("decoration") == matches else "not "
        own = "" if kind == "doublestar" else f"{kind} "
        found.append(f"{negation}{own}{selector.get('pattern') or '(empty)'}")
    return " and ".join(found) or "(none)"


def retention_fields(retention: Retention) -> Row:
    """A declared policy in the form that is compared: a line a rule, in any order."""
    rules = []
    for rule in retention.rules:
        template, count = _template(rule)
        rules.append(_line(template, count, rule.repositories, rule.tags, rule.untagged))
    return {"rules": sorted(rules), "schedule": _cron(retention)}


def observed_retention(policy: Row) -> Row:
    """A policy of Harbor's in the same form."""
    rules = []
    for rule in policy.get("rules") or []:
        template = rule.get("template") or "(none)"
        count = (rule.get("params") or {}).get(template)
        extras = [tag.get("extras") or "" for tag in rule.get("tag_selectors") or ()]
        untagged = any("true" in extra for extra in extras)
        line = _line(template, count, *patterns(rule), untagged)
        rules.append(f"{line}, disabled" if rule.get("disabled") else line)
    settings = (policy.get("trigger") or {}).get("settings") or {}
    return {"rules": sorted(rules), "schedule": settings.get("cron", "")}


def retention_body(retention: Retention, project: int) -> Row:
    """A declared policy as Harbor wants it."""
    rules = []
    for rule in retention.rules:
        template, count = _template(rule)
        rules.append(
            {
                "action": "retain",
                "template": template,
                "params": {template: count},
                **selectors(rule.repositories, rule.tags, rule.untagged),
            }
        )
    return {
        "algorithm": "or",
        "rules": rules,
        "trigger": {"kind": "Schedule", "settings": {"cron": _cron(retention)}, "references": {}},
        "scope": {"level": "project", "ref": project},
    }


def _template(rule: RetentionRule) -> tuple[str, int]:
    ours = next(key for key in _TEMPLATES if getattr(rule, key) is not None)
    return _TEMPLATES[ours], getattr(rule, ours)


def _line(template: str, count: Any, repositories: str, tags: str, untagged: bool) -> str:
    return f"{template} {count} of {repositories}:{tags}{' and untagged' if untagged else ''}"


def _cron(retention: Retention) -> str:
    """Harbor's cron has a sixth field in front, the seconds, which must be 0."""
    return f"0 {retention.schedule}" if retention.schedule else ""
