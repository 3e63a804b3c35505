"""Declares a live Harbor project: its settings, groups, and rules about tags."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.harbor_project import HarborProject, ImmutableTags, Retention
from tenantry.importing.notes import Note, quoted
from tenantry.importing.snapshot import Project
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.members import ROLES
from tenantry.systems.harbor.project import observed_fields
from tenantry.systems.harbor.tags import TEMPLATES, observed_retention, retention_fields, selectors

Data = dict[str, Any]

_ROLE_NAMES = {number: name for name, number in ROLES.items()}
_UNKNOWN = {
    "auto_sbom_generation": ("", "false"),
    "enable_content_trust": ("", "false"),
    "reuse_sys_cve_allowlist": ("", "true"),
    "max_upstream_conn": ("", "-1"),
    "proxy_speed_kb": ("", "-1"),
}
"""The metadata of a project that no field declares, with the values that need no mention."""
_RETENTION = TypeAdapter(Retention)
_IMMUTABLE = TypeAdapter(ImmutableTags)


def project(client: HarborClient, found: Project, group: str) -> tuple[Data, list[Note]]:
    """Return the declaration of a project, and notes.

    Args:
        client: Harbor.
        found: the project.
        group: the team's own OIDC group.
    """
    notes: list[Note] = []
    data = _settings(client, found, notes)
    data |= _members(client, found, group, notes)
    data["retention"] = _retention(found, notes)
    data["immutable_tags"] = list(_immutable(found, notes))
    return data, notes


def _settings(client: HarborClient, found: Project, notes: list[Note]) -> Data:
    data: Data = {}
    for field, value in observed_fields(client, found.row).items():
        try:
            HarborProject.model_validate({field: value})
        except ValidationError:
            text = f"'{field}' of the project stays as it is: {quoted(value)}"
            notes.append(Note("not expressed", ("harbor", field), text))
        else:
            data[field] = value
    if data.get("prevent_vulnerable") and data.get("severity") is None:
        del data["prevent_vulnerable"]
        text = "'prevent_vulnerable' is true, and the project has no severity"
        notes.append(Note("not expressed", ("harbor", "prevent_vulnerable"), text))
    for key, usual in _UNKNOWN.items():
        value = (found.row.get("metadata") or {}).get(key, "")
        if str(value) not in usual:
            text = f"the setting '{key}' of the project stays as it is: {quoted(value)}"
            notes.append(Note("not expressed", ("harbor",), text))
    if found.row.get("registry_id"):
        text = "the project is a proxy cache, which no field declares"
        notes.append(Note("not expressed", ("harbor",), text))
    if (found.row.get("cve_allowlist") or {}).get("items"):
        text = "the CVE allowlist of the project stays as it is"
        notes.append(Note("not expressed", ("harbor",), text))
    return data


def _members(client: HarborClient, found: Project, group: str, notes: list[Note]) -> Data:
    data: Data = {"groups": {}}
    creators = (found.row.get("owner_name"), client.account.username)
    for row in found.members:
        name, role = str(row["entity_name"]), _ROLE_NAMES.get(row["role_id"])
        if row["entity_type"] != "g":
            if name not in creators:
                text = f"user {quoted(name)} is a member ({row['role_name']}); Tenantry adds groups only"
                notes.append(Note("not expressed", ("harbor", "groups"), text))
        elif role is None:
            text = f"group {quoted(name)} has a role that Tenantry does not know: {row['role_id']}"
            notes.append(Note("not expressed", ("harbor", "groups"), text))
        elif name == group:
            data["role"] = role
        else:
            data["groups"][name] = role
    return data


def _retention(found: Project, notes: list[Note]) -> Data | None:
    policy = found.retention
    if not policy or not policy.get("rules"):
        return None
    fields = {theirs: ours for ours, theirs in TEMPLATES.items()}
    rules = []
    for rule in policy["rules"]:
        ours = fields.get(rule.get("template", ""))
        patterns = _patterns(rule)
        if ours is not None and patterns is not None:
            extras = (rule.get("tag_selectors") or [{}])[0].get("extras") or ""
            count = (rule.get("params") or {}).get(rule["template"])
            rules.append({ours: count, **patterns, "untagged": "true" in extras})
    cron = ((policy.get("trigger") or {}).get("settings") or {}).get("cron") or ""
    data: Data = {"rules": rules, "schedule": cron.removeprefix("0 ") or None}
    try:
        if retention_fields(_RETENTION.validate_python(data)) == observed_retention(policy):
            return data
    except ValidationError:
        pass
    text = f"the retention policy stays as it is: {quoted(observed_retention(policy))}"
    notes.append(Note("not expressed", ("harbor", "retention"), text))
    return None


def _immutable(found: Project, notes: list[Note]) -> Iterator[Data]:
    for row in found.immutable:
        data = _patterns(row)
        if data is not None and not row.get("disabled") and _is_rule(data):
            yield data
        else:
            text = f"an immutable-tag rule stays as it is: {quoted(_shown(row))}"
            notes.append(Note("not expressed", ("harbor", "immutable_tags"), text))


def _is_rule(data: Data) -> bool:
    try:
        _IMMUTABLE.validate_python(data)
    except ValidationError:
        return False
    return True


def _patterns(row: Row) -> Data | None:
    """Return the selectors of a rule as declared fields; None if no fields can express them."""
    repositories = (row.get("scope_selectors") or {}).get("repository") or []
    tags = row.get("tag_selectors") or []
    if len(repositories) != 1 or len(tags) != 1:
        return None
    data = {
        "repositories": repositories[0].get("pattern") or "",
        "tags": tags[0].get("pattern") or "",
    }
    wanted = selectors(data["repositories"], data["tags"])
    parts = (
        (wanted["scope_selectors"]["repository"][0], repositories[0]),
        (wanted["tag_selectors"][0], tags[0]),
    )
    same = all(theirs.get(key) == value for ours, theirs in parts for key, value in ours.items())
    return data if same else None


def _shown(row: Row) -> Data:
    return {key: row.get(key) for key in ("disabled", "scope_selectors", "tag_selectors")}
