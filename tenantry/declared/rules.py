"""Rules about several fields, or several teams, checked on teams with all defaults."""

import re
from collections.abc import Iterator

from tenantry.declared import harbor_rules, kubernetes_rules, labels, mesh_rules, name_rules
from tenantry.declared.claims import claims_of
from tenantry.declared.faults import Place
from tenantry.declared.harbor_project import EARLIEST_ROTATION
from tenantry.declared.kubernetes_values import is_subdomain
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team

Fault = tuple[Place, str]


def check_team(team: Team) -> Iterator[Fault]:
    """Return the faults of one team with all defaults."""
    yield from kubernetes_rules.check_namespaces(team)
    for name in team.active_robots:
        yield from _check_robot(team, name)
    claimed: set[tuple[str, str]] = set()
    for claim in claims_of(team):
        if claim[1:3] in claimed:
            yield claim.place, f"{claim.kind} '{claim.name}' is declared twice"
        claimed.add((claim.kind, claim.name))
    yield from harbor_rules.check_project(team)
    yield from labels.check(team)


_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _check_robot(team: Team, name: str) -> Iterator[Fault]:
    robot = team.active_robots[name]
    rotation = robot.rotation
    place: Place = ("robots", name, "rotation")
    if rotation and robot.expiry_days != "never":
        age, before = rotation.max_age_days, rotation.before_expiry_days
        if age >= robot.expiry_days:
            text = (
                f"{age} days is not before the robot's expiry after {robot.expiry_days} days: it "
                "must be less, or the credential expires before it is rotated"
            )
            yield (*place, "max_age_days"), text
        elif age + before > robot.expiry_days:
            text = (
                f"{age} days and the {before} of 'before_expiry_days' are more than the robot's "
                f"{robot.expiry_days} days: the credential would always be rotated before that age"
            )
            yield (*place, "max_age_days"), text
        if rotation.overlap_hours > before * 24:
            text = (
                f"{rotation.overlap_hours} hours is longer than the {before} days of "
                "'before_expiry_days': the old credential would expire while it is still in use"
            )
            yield (*place, "overlap_hours"), text
    if rotation and rotation.overlap_hours > EARLIEST_ROTATION * rotation.max_age_days * 24:
        text = (
            f"{rotation.overlap_hours} hours is longer than three quarters of the "
            f"{rotation.max_age_days} days of 'max_age_days': the next rotation would be due "
            "while the last one's old credential is still in use"
        )
        yield (*place, "overlap_hours"), text
    for index, sink in enumerate(team.sinks(name)):
        if not (_NAMESPACE.fullmatch(sink.namespace) and is_subdomain(sink.name)):
            text = f"'{sink.namespace}/{sink.name}' is not the name of a Secret"
            yield ("robots", name, "sinks", index), text


def check_on_platform(platform: Platform, team: Team) -> Iterator[Fault]:
    """Return the faults of a team's names and routes on this platform."""
    yield from name_rules.check(platform, team)
    yield from mesh_rules.check_routes(platform, team)


def check_platform(platform: Platform) -> Iterator[Fault]:
    """Return the faults of the platform alone."""
    sign_on = platform.harbor.single_sign_on
    if sign_on and "openid" not in sign_on.scopes:
        text = "must include 'openid'; without it, logins return no ID token"
        yield ("harbor", "single_sign_on", "scopes"), text
    realm = platform.keycloak.realm_settings
    if realm:
        idle, most = realm.session_idle_minutes, realm.session_max_minutes
        if idle and most and idle > most:
            text = f"{idle} is longer than session_max_minutes, {most}"
            yield ("keycloak", "realm_settings", "session_idle_minutes"), text
        if realm.login_failures and realm.brute_force_protection is False:
            yield (
                ("keycloak", "realm_settings", "login_failures"),
                "has no effect while brute_force_protection is false",
            )
    yield from _check_replaced(platform)
    if platform.keycloak.parent_group in platform.keycloak.groups:
        text = f"'{platform.keycloak.parent_group}' is the teams' parent_group"
        yield ("keycloak", "groups", platform.keycloak.parent_group or ""), text
    yield from harbor_rules.check_settings(platform)
    yield from mesh_rules.check_gateways(platform)


def _check_replaced(platform: Platform) -> Iterator[Fault]:
    """Check that at most one provider replaces another one, and that the other one exists."""
    providers = platform.keycloak.external_providers
    first: str | None = None
    for alias, provider in providers.items():
        place = ("keycloak", "external_providers", alias, "replaces")
        if provider.replaces is None:
            continue
        if provider.replaces == alias or provider.replaces not in providers:
            text = f"'{provider.replaces}' is not another provider of keycloak.external_providers"
            yield place, text
        elif provider.connection is None:
            text = "needs a 'connection', through which the migration shows or hides the provider"
            yield place, text
        elif first:
            text = f"provider '{first}' already replaces another one; migrate one at a time"
            yield place, text
        first = first or alias
