"""Harbor's rules about tags: retention policies and immutable tags, in Harbor's form and in ours."""

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
    """Repositories and tags of a rule of Harbor's; what it excludes is told apart."""
    repository = row["scope_selectors"]["repository"][0]
    tag = row["tag_selectors"][0]
    not_repository = "" if repository["decoration"] == "repoMatches" else "not "
    not_tag = "" if tag["decoration"] == "matches" else "not "
    return not_repository + repository["pattern"], not_tag + tag["pattern"]


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
        template = rule["template"]
        count = (rule.get("params") or {}).get(template)
        untagged = "true" in rule["tag_selectors"][0].get("extras", "")
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
