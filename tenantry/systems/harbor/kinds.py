"""The kinds of resources in Harbor."""

from tenantry.declared import Team
from tenantry.declared.faults import Place
from tenantry.kinds import Kind


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


PROJECT = Kind(
    "harbor",
    "project",
    "Harbor",
    needed_for_access=True,
    access_fields=("public",),
    place=_project,
)
MEMBER = Kind(
    "harbor",
    "member",
    "Harbor",
    removable=True,
    needed_for_access=True,
    grants_access=True,
    access_fields=("role",),
    place=_member,
)
"""A group that is a member of a project."""
USER_MEMBER = Kind(
    "harbor",
    "user member",
    deletion_stage="Harbor",
    removable=True,
    needed_for_access=True,
    grants_access=True,
    place=_in_harbor,
)
"""A user who is a member of a project. Tenantry adds groups only."""
ROBOT = Kind(
    "harbor",
    "robot",
    "Credentials",
    removable=True,
    needed_for_access=True,
    grants_access=True,
    access_fields=("access", "disabled"),
    mark_fields=("description",),
    health_fields=("disabled", "expiry"),
    place=_robot,
)
RETENTION_POLICY = Kind("harbor", "retention policy", "Harbor", place=_retention)
IMMUTABLE_TAG_RULE = Kind(
    "harbor", "immutable-tag rule", "Harbor", removable=True, place=_immutable_tags
)
CONFIGURATION = Kind(
    "harbor",
    "configuration",
    "Harbor",
    access_fields=("auth_mode", "oidc_*", "project_creation_restriction", "self_registration"),
    health_fields=("oidc_client_secret",),
    platform_place=_configuration,
)
USER_GROUP = Kind("harbor", "user group", place=_in_harbor)
