"""Harbor's rules about several fields, and rules that Harbor's API would apply too late."""

import difflib
from collections.abc import Iterator

from tenantry.declared.faults import Place
from tenantry.declared.harbor_project import ImmutableTags, RetentionRule
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.declared.types import MAX_INT

_CHOICES = {"project_creation_restriction": ("everyone", "adminonly")}
_POSITIVE = ("robot_token_duration", "token_expiration", "session_timeout")
_NUMBERS = (
    *_POSITIVE,
    "ldap_group_search_scope",
    "ldap_scope",
    "ldap_timeout",
    "storage_per_project",
)
_SWITCHES = (
    "http_authproxy_skip_search",
    "http_authproxy_verify_cert",
    "ldap_group_attach_parallel",
    "ldap_verify_cert",
    "notification_enable",
    "primary_auth_mode",
    "quota_per_project_enable",
    "read_only",
    "scanner_skip_update_pulltime",
    "self_registration",
    "skip_audit_log_database",
    "uaa_verify_cert",
)
_TEXTS = (
    "audit_log_forward_endpoint",
    "banner_message",
    "disabled_audit_log_event_types",
    "http_authproxy_admin_groups",
    "http_authproxy_admin_usernames",
    "http_authproxy_endpoint",
    "http_authproxy_server_certificate",
    "http_authproxy_tokenreview_endpoint",
    "ldap_base_dn",
    "ldap_filter",
    "ldap_group_admin_dn",
    "ldap_group_attribute_name",
    "ldap_group_base_dn",
    "ldap_group_membership_attribute",
    "ldap_group_search_filter",
    "ldap_search_dn",
    "ldap_uid",
    "ldap_url",
    "project_creation_restriction",
    "robot_name_prefix",
    "uaa_client_id",
    "uaa_endpoint",
)
"""Harbor's settings by type, from the API description of Harbor 2.15.2, without secrets and without
the settings of `single_sign_on`."""


def check_settings(platform: Platform) -> Iterator[tuple[Place, str]]:
    """Return the settings of `harbor.configuration` that Harbor would refuse or ignore."""
    known = (*_NUMBERS, *_SWITCHES, *_TEXTS)
    for name, value in platform.harbor.configuration.items():
        place = ("harbor", "configuration", name)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if name in _CHOICES and value not in _CHOICES[name]:
            yield place, f"'{value}': must be one of {', '.join(_CHOICES[name])}"
        elif name in _POSITIVE and (isinstance(value, bool | str) or value < 1):
            yield place, f"'{value}' must be a whole number greater than 0"
        elif name == "storage_per_project" and (isinstance(value, bool | str) or value < -1):
            yield place, f"'{value}' must be a number of bytes, or -1 for no limit"
        elif name in _NUMBERS and not is_number:
            yield place, f"'{value}' must be a whole number"
        elif name in _POSITIVE and isinstance(value, int) and value > MAX_INT:
            yield place, f"'{value}' must be at most {MAX_INT}"
        elif name in _SWITCHES and not isinstance(value, bool):
            yield place, f"'{value}' must be true or false"
        elif name == "robot_name_prefix" and not (isinstance(value, str) and value):
            yield place, f"'{value}' must be a text"
        elif name in _TEXTS and not isinstance(value, str):
            yield place, f"'{value}' must be a text; put it in quotes"
        elif name not in known:
            # Unknown names are accepted: other versions of Harbor have other settings.
            for near in difflib.get_close_matches(name, known, n=1, cutoff=0.85):
                yield place, f"Harbor has no such setting; did you mean '{near}'?"


def check_project(team: Team) -> Iterator[tuple[Place, str]]:
    """Return the faults of a team's Harbor project."""
    if team.oidc_group in team.harbor.groups:
        text = f"'{team.oidc_group}' is the team's own group: set its role in 'harbor.role'"
        yield ("harbor", "groups", team.oidc_group), text
    if team.harbor.prevent_vulnerable and team.harbor.severity is None:
        yield (
            ("harbor", "prevent_vulnerable"),
            "blocks vulnerable images, but has no severity: set 'severity'",
        )
    yield from _check_retention(team)
    immutable: set[ImmutableTags] = set()
    for index, rule in enumerate(team.harbor.immutable_tags):
        if rule in immutable:
            text = "is given twice; Harbor refuses identical rules"
            yield ("harbor", "immutable_tags", index), text
        immutable.add(rule)


def _check_retention(team: Team) -> Iterator[tuple[Place, str]]:
    retention = team.harbor.retention
    if retention is None:
        return
    counts = ("latest_pushed", "latest_pulled", "pushed_within_days", "pulled_within_days")
    seen: list[RetentionRule] = []
    for index, rule in enumerate(retention.rules):
        place = ("harbor", "retention", "rules", index)
        given = [name for name in counts if getattr(rule, name) is not None]
        if len(given) != 1:
            text = f"gives {' and '.join(given) or 'none'}; give exactly one of {', '.join(counts)}"
            yield place, text
        if rule in seen:
            yield place, "is given twice; Harbor refuses identical rules"
        seen.append(rule)
