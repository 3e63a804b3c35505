"""Checks of the groups in logins to Harbor: their type, the filter, and the administrators."""

from collections.abc import Iterator

from tenantry.checks.login import Login
from tenantry.declared.expressions import Expression
from tenantry.drift.findings import Finding
from tenantry.resources import Id
from tenantry.systems.harbor.kinds import USER_GROUP
from tenantry.systems.harbor.platform import SINGLE_SIGN_ON
from tenantry.systems.keycloak.kinds import GROUP

_OIDC_GROUP = 3


def group_type(login: Login) -> Iterator[Finding]:
    """Check that Harbor stores no team's group with another type than OIDC."""
    owners = {team.oidc_group: team.name for team in login.systems.state.teams.values()}
    for group in login.harbor.pages("/usergroups"):
        name = group["group_name"]
        if name in owners and group["group_type"] != _OIDC_GROUP:
            yield login.finding(
                "group type",
                "critical",
                Id(USER_GROUP, name),
                f"Harbor stores it as type {group['group_type']}, and group names are unique across "
                "types: its members get no role in Harbor",
                "Note the group's project memberships and delete the group in Harbor, which deletes "
                "the memberships as well. Then onboard the team again.",
                owners[name],
            )


def group_filter(login: Login) -> Iterator[Finding]:
    """Check that Harbor's filter excludes no team's group."""
    text = str(login.settings.get("oidc_group_filter") or "")
    if not text:
        return
    try:
        pattern = Expression(text)
    except ValueError:
        yield login.finding(
            "group filter",
            "warning",
            SINGLE_SIGN_ON,
            f"oidc_group_filter '{text}' is not a regular expression, and Harbor ignores it",
            "Correct harbor.single_sign_on.group_filter.",
        )
        return
    for team in login.systems.state.teams.values():
        if not pattern.is_in(team.oidc_group):
            yield login.finding(
                "group filter",
                "critical",
                SINGLE_SIGN_ON,
                f"oidc_group_filter '{text}' excludes '{team.oidc_group}'",
                "Extend harbor.single_sign_on.group_filter.",
                team.name,
            )


def admin_group(login: Login) -> Iterator[Finding]:
    """Check that the group of Harbor's administrators has a member."""
    name = str(login.settings.get("oidc_admin_group") or "")
    if not name:
        return
    group = login.group(name)
    members = login.realm.rows(f"groups/{group['id']}/members", max=1) if group else None
    if not members:
        reason = "it has no members" if group else "the realm has no such group"
        yield login.finding(
            "admin group",
            "warning",
            Id(GROUP, name),
            f"it is Harbor's oidc_admin_group, and {reason}",
            "Add a member, or set harbor.single_sign_on.admin_group to another group.",
        )
