"""Rules about tags in Harbor: retention policies and immutable-tag rules."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tenantry.declared import Team
from tenantry.declared.harbor_project import ImmutableTags, Retention, RetentionRule
from tenantry.kinds import Kind
from tenantry.plan import Change
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.harbor import kinds
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.project import project_id
from tenantry.systems.kubernetes.record import recorded_key

KINDS = (kinds.RETENTION_POLICY, kinds.IMMUTABLE_TAG_RULE)
TEMPLATES = {
    "latest_pushed": "latestPushedK",
    "latest_pulled": "latestPulledN",
    "pushed_within_days": "nDaysSinceLastPush",
    "pulled_within_days": "nDaysSinceLastPull",
}
"""The declared fields that select tags, with Harbor's templates for them."""


def rules(team: Team) -> Iterator[Resource]:
    """Yield the desired rules of a team's project."""
    declared, name = team.harbor, team.project
    if declared.retention is not None:
        id, fields = Id(kinds.RETENTION_POLICY, name), retention_fields(declared.retention)
        yield Resource(id, fields, body=declared.retention, owner=project_id(name))
    for rule in declared.immutable_tags:
        id = _immutable_id(name, rule.repositories, rule.tags)
        yield Resource(id, {"enabled": True}, body=rule, owner=project_id(name))


def observe(
    client: HarborClient,
    team: Team,
    project: Row,
    is_ours: bool,
    created: Mapping[Kind, Collection[str]],
    seen: Observed,
) -> None:
    """Add the rules of a project to what was observed, if such rules are declared or were created.

    Args:
        client: Harbor.
        team: the team.
        project: its project, as Harbor lists it.
        is_ours: whether the project is Tenantry's, which its rules share.
        created: the recorded keys of the rules that Tenantry created, by kind.
        seen: what was observed.
    """
    name, metadata = team.project, project.get("metadata") or {}
    owner = team.name if is_ours else None
    policy_id, policies = Id(kinds.RETENTION_POLICY, name), created[kinds.RETENTION_POLICY]
    is_read = team.harbor.retention is not None or name in policies
    if is_read and "retention_id" in metadata:
        with seen.capture_errors(policy_id, team.name):
            policy = client.get(f"/retentions/{metadata['retention_id']}")
            fields, marked = observed_retention(policy), is_ours and name in policies
            seen.live[policy_id] = Live(fields, is_ours, marked, team=owner, handle=policy)
    rules = created[kinds.IMMUTABLE_TAG_RULE]
    if team.harbor.immutable_tags or rules:
        with seen.capture_errors(Id(kinds.IMMUTABLE_TAG_RULE, f"{name}/*"), team.name):
            for row in client.pages(f"/projects/{project['project_id']}/immutabletagrules"):
                id = _immutable_id(name, *patterns(row))
                fields, marked = _immutable_fields(row), is_ours and recorded_key(id.key) in rules
                seen.live[id] = Live(fields, is_ours, marked, team=owner, handle=row)


def _immutable_fields(row: Row) -> Row:
    return {"enabled": not row.get("disabled", False)}


def apply_retention(client: HarborClient, change: Change, project: int) -> None:
    """Create or replace the retention policy of a project.

    Args:
        client: Harbor.
        change: the change.
        project: the number of the project.
    """
    body = retention_body(change.resource.body, project)
    if change.live is None:
        client.create("/retentions", body)
    else:
        policy = change.live.handle["id"]
        client.put(f"/retentions/{policy}", {**body, "id": policy})


def apply_immutable(client: HarborClient, change: Change, project: int) -> None:
    """Create an immutable-tag rule, or enable it.

    Args:
        client: Harbor.
        change: the change.
        project: the number of the project.
    """
    rule: ImmutableTags = change.resource.body
    path = f"/projects/{project}/immutabletagrules"
    if change.live is None:
        body = {
            "disabled": False,
            "action": "immutable",
            "template": "immutable_template",
            **selectors(rule.repositories, rule.tags),
        }
        client.create(path, body)
    else:
        row = change.live.handle
        client.put(f"{path}/{row['id']}", {**row, "disabled": False})


def _immutable_id(project: str, repositories: str, pattern: str) -> Id:
    return Id(kinds.IMMUTABLE_TAG_RULE, f"{project}/{repositories}:{pattern}")


def selectors(repositories: str, tags: str, untagged: bool | None = None) -> Row:
    """Return the selectors of a rule, as Harbor takes them."""
    extras = {} if untagged is None else {"extras": f'{{"untagged":{str(untagged).lower()}}}'}
    tag = {"kind": "doublestar", "decoration": "matches", "pattern": tags, **extras}
    repository = {"kind": "doublestar", "decoration": "repoMatches", "pattern": repositories}
    return {"tag_selectors": [tag], "scope_selectors": {"repository": [repository]}}


def patterns(row: Row) -> tuple[str, str]:
    """Return the selectors of a rule in Harbor as text: those of repositories, and those of tags.

    Harbor's portal and other tools create rules with several selectors or none, and Harbor omits an
    empty pattern.
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
    """Return a declared policy in the form that is compared: one line for each rule, sorted."""
    rules = []
    for rule in retention.rules:
        template, count = _template(rule)
        rules.append(_line(template, count, rule.repositories, rule.tags, rule.untagged))
    return {"rules": sorted(rules), "schedule": _cron(retention)}


def observed_retention(policy: Row) -> Row:
    """Return a policy in Harbor in the same form."""
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
    """Return a declared policy as Harbor takes it."""
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
    ours = next(key for key in TEMPLATES if getattr(rule, key) is not None)
    return TEMPLATES[ours], getattr(rule, ours)


def _line(template: str, count: Any, repositories: str, tags: str, untagged: bool) -> str:
    return f"{template} {count} of {repositories}:{tags}{' and untagged' if untagged else ''}"


def _cron(retention: Retention) -> str:
    """Return the schedule for Harbor, whose cron begins with the seconds, which must be 0."""
    return f"0 {retention.schedule}" if retention.schedule else ""
