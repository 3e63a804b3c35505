"""Robots that soon stop working, may do more than declared, or are called otherwise than written."""

import base64
import json
from collections.abc import Iterator

from tenantry.checks.findings import Finding
from tenantry.checks.login import Login
from tenantry.declared import Team
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.configuration import SETTINGS
from tenantry.systems.harbor.robots import FAR_OFF, robot_fields, robot_id


def robots(login: Login) -> Iterator[Finding]:
    """Each team's robots: how long they live, and what they may do."""
    for team in login.systems.state.teams.values():
        project = login.harbor.find(f"/projects/{team.slug}", by_name=True)
        if project is None:
            continue
        query = f"Level=project,ProjectID={project['project_id']}"
        for row in login.harbor.pages("/robots", q=query):
            yield from _robot(team, row)


def _robot(team: Team, row: Row) -> Iterator[Finding]:
    short = row["name"].rsplit("+", 1)[-1]
    declared = team.active_robots.get(short.rpartition("-")[0])
    if declared is None:
        return  # one that nobody declared is drift's
    id, fields = robot_id(team.slug, short), robot_fields(row)
    if fields["expiry"] != FAR_OFF:
        yield Finding(
            "robot expiry",
            "critical" if fields["expiry"].endswith("ago") else "warning",
            id,
            f"its credential expires or expired {fields['expiry']}",
            "Onboard the team again: that renews it.",
            team.name,
        )
    more = sorted({*fields["access"]} - {*declared.access})
    if more:
        yield Finding(
            "robot access",
            "critical",
            id,
            f"it may do more than is declared: {', '.join(more)}",
            "Onboard the team again: that takes it away; or declare it.",
            team.name,
        )


def robot_prefix(login: Login) -> Iterator[Finding]:
    """The names in the pull Secrets begin with Harbor's prefix for robots."""
    prefix = str(login.settings["robot_name_prefix"])
    for team in login.systems.state.teams.values():
        for purpose in team.active_robots:
            secret = login.systems.kubernetes_client.get("Secret", f"harbor-{purpose}", team.slug)
            name = _username((secret or {}).get("data") or {})
            if name is not None and not name.startswith(f"{prefix}{team.slug}+"):
                yield Finding(
                    "robot prefix",
                    "critical",
                    SETTINGS,
                    f"robot_name_prefix is '{prefix}', and Secret {team.slug}/harbor-{purpose} "
                    f"was written for '{name}': that name no longer opens Harbor",
                    "Set the prefix back, or onboard the team again, which writes the Secret anew.",
                    team.name,
                )


def _username(data: dict[str, str]) -> str | None:
    try:
        auths = json.loads(base64.b64decode(data[".dockerconfigjson"]))["auths"]
        return str(next(iter(auths.values()))["username"])
    except (LookupError, ValueError, TypeError, StopIteration, AttributeError):
        return None  # no credential of ours: onboarding says so
