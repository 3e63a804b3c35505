"""Rules that concern several fields, or several teams: checked on the teams as they will be."""

import re
from collections.abc import Iterator

from tenantry.declared.claims import claims_of
from tenantry.declared.faults import Place
from tenantry.declared.platform import Platform
from tenantry.declared.team import SOONEST, RetentionRule, Team

Fault = tuple[Place, str]


def check_team(team: Team) -> Iterator[Fault]:
    """What is wrong with one team, its defaults filled in."""
    if len(team.slug) > 63:
        yield ("name",), f"'{team.slug}' is longer than the 63 characters of a namespace's name"
    for name in team.namespaces:
        if len(name) > 63:
            key = name.removeprefix(f"{team.slug}-")
            text = f"the namespace '{name}' would have over 63 characters"
            yield ("further_namespaces", key), text
    for name in team.active_robots:
        yield from _check_robot(team, name)
    claimed: set[tuple[str, str]] = set()
    for claim in claims_of(team):
        if claim[1:3] in claimed:
            yield claim.place, f"{claim.what} '{claim.name}' is declared twice"
        claimed.add((claim.what, claim.name))
    if team.oidc_group in team.harbor.groups:
        text = f"'{team.oidc_group}' is the team's own group: give its role in 'harbor.role'"
        yield ("harbor", "groups", team.oidc_group), text
    if team.harbor.prevent_vulnerable and team.harbor.severity is None:
        yield (
            ("harbor", "prevent_vulnerable"),
            "says to refuse vulnerable images, but not from which severity on: give 'severity'",
        )
    yield from _check_retention(team)
    yield from _check_routes(team)


_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def _check_robot(team: Team, name: str) -> Iterator[Fault]:
    robot = team.active_robots[name]
    rotation = robot.rotation
    place: Place = ("robots", name, "rotation")
    if rotation and robot.expiry_days != "never":
        age, before = rotation.max_age_days, rotation.before_expiry_days
        if age >= robot.expiry_days:
            text = (
                f"{age} days is not before the robot's expiry after {robot.expiry_days} days: it "
                "must be less, or the credential dies unrotated"
            )
            yield (*place, "max_age_days"), text
        elif age + before > robot.expiry_days:
            text = (
                f"{age} days and the {before} of 'before_expiry_days' are more than the robot's "
                f"{robot.expiry_days} days: the credential would be exchanged before it is so old"
            )
            yield (*place, "max_age_days"), text
        if rotation.overlap_hours > before * 24:
            text = (
                f"{rotation.overlap_hours} hours is longer than the {before} days of "
                "'before_expiry_days': the old credential would expire while it is still in use"
            )
            yield (*place, "overlap_hours"), text
    if rotation and rotation.overlap_hours > SOONEST * rotation.max_age_days * 24:
        text = (
            f"{rotation.overlap_hours} hours is longer than three quarters of the "
            f"{rotation.max_age_days} days of 'max_age_days': the next rotation would be due "
            "while the last one's old credential is still in use"
        )
        yield (*place, "overlap_hours"), text
    for index, sink in enumerate(team.sinks(name)):
        if not (_NAMESPACE.fullmatch(sink.namespace) and _SECRET.fullmatch(sink.name)):
            text = f"'{sink.namespace}/{sink.name}' is no name of a Secret"
            yield ("robots", name, "sinks", index), text


def check_hosts(platform: Platform, team: Team) -> Iterator[Fault]:
    """Which routes would take Harbor's own traffic: of two for a host, which goes first is open."""
    harbor = platform.mesh.harbor
    for name, route in team.routes.items():
        if harbor is not None and route.host == harbor.host:
            yield ("routes", name, "host"), f"'{route.host}' is Harbor's own (mesh.harbor.host)"


def check_platform(platform: Platform) -> Iterator[Fault]:
    """What is wrong with the platform by itself."""
    sign_on = platform.harbor.single_sign_on
    if sign_on and "openid" not in sign_on.scopes:
        text = "lacks 'openid', without which no login has an ID token"
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
                "counts for nothing while brute_force_protection is off",
            )
    yield from _check_replaced(platform)
    if platform.keycloak.parent_group in platform.keycloak.groups:
        text = f"'{platform.keycloak.parent_group}' is the teams' parent_group"
        yield ("keycloak", "groups", platform.keycloak.parent_group or ""), text
    yield from _check_settings(platform)
    harbor = platform.mesh.harbor
    if harbor and harbor.host.startswith("*"):
        yield ("mesh", "harbor", "host"), f"'{harbor.host}' must be one host name"


def _check_replaced(platform: Platform) -> Iterator[Fault]:
    """A provider that replaces another, which must be there, and only one of them."""
    providers = platform.keycloak.external_providers
    first: str | None = None
    for alias, provider in providers.items():
        place = ("keycloak", "external_providers", alias, "replaces")
        if provider.replaces is None:
            continue
        if provider.replaces == alias or provider.replaces not in providers:
            yield place, f"'{provider.replaces}' is no other of keycloak.external_providers"
        elif provider.connection is None:
            yield place, "needs a 'connection': the provider is shown and hidden by it"
        elif first:
            yield place, f"'{first}' replaces a provider already: one after the other"
        first = first or alias


_CHOICES = {"project_creation_restriction": ("everyone", "adminonly")}
_POSITIVE = ("robot_token_duration", "token_expiration", "session_timeout")
_SWITCHES = ("self_registration", "read_only", "quota_per_project_enable", "primary_auth_mode")


def _check_settings(platform: Platform) -> Iterator[Fault]:
    """Values that Harbor would refuse."""
    for name, value in platform.harbor.configuration.items():
        place = ("harbor", "configuration", name)
        if name in _CHOICES and value not in _CHOICES[name]:
            yield place, f"'{value}' is none of {', '.join(_CHOICES[name])}"
        elif name in _POSITIVE and (isinstance(value, bool | str) or value < 1):
            yield place, f"'{value}' must be a whole number greater than 0"
        elif name in _SWITCHES and not isinstance(value, bool):
            yield place, f"'{value}' must be true or false"
        elif name == "robot_name_prefix" and not (isinstance(value, str) and value):
            yield place, f"'{value}' must be a text"


def _check_retention(team: Team) -> Iterator[Fault]:
    retention = team.harbor.retention
    if retention is None:
        return
    counts = ("latest_pushed", "latest_pulled", "pushed_within_days", "pulled_within_days")
    seen: list[RetentionRule] = []
    for index, rule in enumerate(retention.rules):
        place = ("harbor", "retention", "rules", index)
        given = [name for name in counts if getattr(rule, name) is not None]
        if len(given) != 1:
            text = f"gives {' and '.join(given) or 'none'}; exactly one of {', '.join(counts)}"
            yield place, text
        if rule in seen:
            yield place, "is there twice; Harbor refuses identical rules"
        seen.append(rule)


def _check_routes(team: Team) -> Iterator[Fault]:
    for name, route in team.routes.items():
        for index, path in enumerate(route.paths):
            for earlier in route.paths[:index]:
                if path.prefix.startswith(earlier.prefix):
                    text = (
                        f"'{path.prefix}' is never reached: '{earlier.prefix}' before it takes "
                        "what begins so; put the longer prefix first"
                    )
                    yield ("routes", name, "paths", index, "prefix"), text
