"""The kinds of resources in Harbor."""

from tenantry.declared import Platform, Team
from tenantry.declared.faults import Place
from tenantry.kinds import Kind
from tenantry.resources import Live


def _project(team: Team, key: str, field: str) -> Place:
    return ("harbor", field) if field else ("harbor",)


def _member(team: Team, key: str, field: str) -> Place:
    name = key.partition("/")[2]
    return ("harbor", "role") if name == team.oidc_group else ("harbor", "groups", name)


def _in_harbor(team: Team, key: str, field: str) -> Place:
    return ("harbor",)


def _retention(team: Team, key: str, field: str) -> Place:
    return ("harbor", "retention", "schedule" if field == "schedule" else "rules")


def _immutable_tags(team: Team, key: str, field: str) -> Place:
    return ("harbor", "immutable_tags")


def _robot(team: Team, key: str, field: str) -> Place:
    purpose = key.partition("/")[2].rpartition("-")[0]
    return ("robots", purpose, "access" if field == "access" else "expiry_days")


def _configuration(key: str) -> Place:
    return ("harbor", "configuration" if key == "settings" else "single_sign_on")


def _retired_robot(owner: Team | Platform, key: str, live: Live) -> str:
    """Return how rotation retires a robot, if its team no longer declares the robot's purpose."""
    purpose, _, side = key.partition("/")[2].rpartition("-")
    if isinstance(owner, Platform) or purpose in owner.active_robots or side not in ("a", "b"):
        return ""
    lifetime = live.fields["lifetime"]
    if live.fields["disabled"] or lifetime.has_ended:
        return "rotate-robots retires it: it no longer works, and is deleted a week after it is disabled"
    end = f", and until {lifetime.end:%Y-%m-%d %H:%M} UTC at the latest" if lifetime.end else ""
    return (
        "rotate-robots retires it: it works for 24 to 48 hours after the next daily run"
        f"{end}; it is deleted a week later, with its Secrets"
    )


PROJECT = Kind(
    "harbor",
    "project",
    "Harbor",
    needed_for_access=True,
    access_fields=("public",),
    removal_step="Harbor",
    place=_project,
)
MEMBER = Kind(
    "harbor",
    "member",
    "Harbor",
    removal="at once",
    is_recorded=True,
    hashed_in_record=True,
    needed_for_access=True,
    grants_access=True,
    access_fields=("role",),
    container=PROJECT,
    revocation="delete",
    removal_step="Harbor",
    place=_member,
)
"""A group that is a member of a project."""
USER_MEMBER = Kind(
    "harbor",
    "user member",
    deletion_stage="Harbor",
    removal="on request",
    needed_for_access=True,
    grants_access=True,
    container=PROJECT,
    place=_in_harbor,
)
"""A user who is a member of a project. Tenantry adds groups only."""
ROBOT = Kind(
    "harbor",
    "robot",
    "Credentials",
    removal="retired",
    explain_left=_retired_robot,
    needed_for_access=True,
    grants_access=True,
    access_fields=("access", "disabled"),
    mark_fields=("description",),
    health_fields=("disabled", "expiry"),
    container=PROJECT,
    revocation={"disabled": True},
    removal_step="Harbor",
    place=_robot,
)
SYSTEM_ROBOT = Kind(
    "harbor",
    "system robot",
    deletion_stage="Harbor",
    removal="on request",
    grants_access=True,
    place=_in_harbor,
)
"""A robot of Harbor's system level whose permissions are limited to the project of one team. Tenantry
creates robots of projects only."""
RETENTION_POLICY = Kind(
    "harbor",
    "retention policy",
    "Harbor",
    removal="at once",
    is_recorded=True,
    container=PROJECT,
    place=_retention,
)
IMMUTABLE_TAG_RULE = Kind(
    "harbor",
    "immutable-tag rule",
    "Harbor",
    removal="at once",
    is_recorded=True,
    hashed_in_record=True,
    container=PROJECT,
    place=_immutable_tags,
)
REPOSITORY = Kind("harbor", "repository", deletion_stage="Harbor", container=PROJECT)
"""A repository with its images. Only the removal of a team deletes it."""
CONFIGURATION = Kind(
    "harbor",
    "configuration",
    "Harbor",
    access_fields=("auth_mode", "oidc_*", "project_creation_restriction", "self_registration"),
    health_fields=("oidc_client_secret",),
    platform_place=_configuration,
)
USER_GROUP = Kind("harbor", "user group", place=_in_harbor)
