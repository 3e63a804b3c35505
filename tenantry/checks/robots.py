"""Checks of robots: expiry, permissions beyond the declared ones, and changed name prefixes."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from tenantry.checks.login import Login
from tenantry.declared import Team
from tenantry.drift.findings import Finding
from tenantry.resources import Id, Live
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.pairs import GRACE, live_robot, pair, short_of
from tenantry.systems.credentials.places import annotations_of, places
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.kinds import ROBOT
from tenantry.systems.harbor.robots import (
    FAR_OFF,
    expires_at,
    robot_fields,
    robot_id,
    short_name,
)
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.kinds import SECRET


def robots(login: Login) -> Iterator[Finding]:
    """Check the expiry and the permissions of each team's robots."""
    teams = login.systems.state.teams.values()
    yield from login.check_items(
        "robot expiry", teams, lambda team: _robots(login, team), _describe
    )


def _describe(team: Team) -> tuple[Id, str]:
    return Id(ROBOT, f"{team.project}/*"), team.name


def _robots(login: Login, team: Team) -> Iterator[Finding]:
    project = login.harbor.find(f"/projects/{team.project}", by_name=True)
    if project is None:
        return
    query = f"Level=project,ProjectID={project['project_id']}"
    found = {short_name(row): row for row in login.harbor.pages("/robots", q=query)}
    for purpose in team.active_robots:
        rows = {name: found[name] for name in pair(purpose) if name in found}
        live = _live(login, team, purpose, rows)
        for name, row in rows.items():
            if name == live:  # the other robot of the pair is being retired
                yield from _expiry(login, team, purpose, row)
            yield from _access(login, team, purpose, row)


def _live(login: Login, team: Team, purpose: str, rows: Mapping[str, Row]) -> str:
    first = login.systems.credentials.secrets.read(places(team, purpose)[0])
    held: Credential | None = first.handle["credential"] if first else None
    names = [short_of(held.username)] if held else []
    robot, now = team.active_robots[purpose], login.systems.clock()
    return live_robot(purpose, robot, annotations_of(first), names, rows, now)


def _expiry(login: Login, team: Team, purpose: str, row: Row) -> Iterator[Finding]:
    now = login.systems.clock()
    expiry: str = robot_fields(row, now)["expiry"]
    rotation, expires = team.active_robots[purpose].rotation, expires_at(row)
    if expiry == FAR_OFF or expires is None:
        return
    remedy = "Onboard the team again, which renews the credential."
    if rotation and expires > now:
        if expires - timedelta(days=rotation.before_expiry_days) + GRACE > now:
            return  # the next rotation renews it in time
        remedy = "Run rotate-robots, which should already have rotated the credential."
    yield login.finding(
        "robot expiry",
        "critical" if expires <= now else "warning",
        robot_id(team.project, short_name(row)),
        f"its credential {'expired' if expires <= now else 'expires'} {expiry}",
        remedy,
        team.name,
    )


def _access(login: Login, team: Team, purpose: str, row: Row) -> Iterator[Finding]:
    fields = robot_fields(row, login.systems.clock())
    more = sorted({*fields["access"]} - {*team.active_robots[purpose].access})
    if more and not fields["disabled"]:
        yield login.finding(
            "robot access",
            "critical",
            robot_id(team.project, short_name(row)),
            f"it has permissions that are not declared: {', '.join(more)}",
            "Onboard the team again, which removes them, or declare them.",
            team.name,
        )


def robot_prefix(login: Login) -> Iterator[Finding]:
    """Check that the user names in the robots' Secrets begin with Harbor's prefix for robots."""
    teams = login.systems.state.teams.values()
    yield from login.check_items(
        "robot prefix", teams, lambda team: _prefix(login, team), _describe
    )


def _prefix(login: Login, team: Team) -> Iterator[Finding]:
    prefix = str(login.settings["robot_name_prefix"])
    for place in (place for purpose in team.active_robots for place in places(team, purpose)):
        name = _username(login.systems.credentials.secrets.read(place))
        # An adopted Secret may hold the credential of another owner's robot, of any level.
        begins = f"{prefix}{team.project}+" if name and place.is_own(name) else prefix
        if name is not None and not name.startswith(begins):
            yield login.finding(
                "robot prefix",
                "critical",
                objects.id_of(SECRET, place.name, place.namespace),
                f"it contains the user name '{name}', and Harbor's robot_name_prefix is '{prefix}': "
                "this user can no longer log in to Harbor",
                "Restore the prefix, or onboard the team again, which rewrites the Secret.",
                team.name,
            )


def _username(secret: Live | None) -> str | None:
    return secret.fields["username"] if secret else None
