"""The groups that logins bring to Harbor: their type, the filter, and the administrators."""

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
    """Harbor knows no team's group under another type than OIDC."""
    owners = {team.oidc_group: team.name for team in login.systems.state.teams.values()}
    for group in login.harbor.pages("/usergroups"):
        name = group["group_name"]
        if name in owners and group["group_type"] != _OIDC_GROUP:
            yield login.finding(
                "group type",
                "critical",
                Id(USER_GROUP, name),
                f"Harbor knows it as type {group['group_type']}, and names are unique over all "
                "types: its members get no role in Harbor",
                "Delete it in Harbor once you have noted its memberships, which go with it in "
                "every project; then onboard the team again.",
                owners[name],
            )


def group_filter(login: Login) -> Iterator[Finding]:
    """Harbor's filter hides no team's group."""
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
            f"oidc_group_filter '{text}' is not a regular expression: Harbor ignores it silently",
            "Correct harbor.single_sign_on.group_filter.",
        )
        return
    for team in login.systems.state.teams.values():
        if not pattern.is_in(team.oidc_group):
            yield login.finding(
                "group filter",
                "critical",
                SINGLE_SIGN_ON,
                f"oidc_group_filter '{text}' hides '{team.oidc_group}'",
                "Widen harbor.single_sign_on.group_filter.",
                team.name,
            )


def admin_group(login: Login) -> Iterator[Finding]:
    """The group of Harbor's administrators has a member."""
    name = str(login.settings.get("oidc_admin_group") or "")
    if not name:
        return
    group = login.group(name)
    members = login.realm.rows(f"groups/{group['id']}/members", max=1) if group else None
    if not members:
        what = "it has no members" if group else "the realm has no such group"
        yield login.finding(
            "admin group",
            "warning",
            Id(GROUP, name),
            f"it is Harbor's oidc_admin_group, and {what}",
            "Add a member, or name another group in harbor.single_sign_on.admin_group.",
        )
