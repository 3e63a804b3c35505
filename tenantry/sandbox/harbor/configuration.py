"""The configuration of Harbor 2.15.2. Not simulated: the effects of the LDAP settings."""

from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.model import ADMIN_ID
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, done

_AUTH_MODES = ("db_auth", "ldap_auth", "uaa_auth", "http_auth", "oidc_auth")
_POSITIVE = ("robot_token_duration", "token_expiration", "session_timeout")
# The API never shows these, not even masked, so their drift cannot be detected.
_HIDDEN = ("oidc_client_secret", "ldap_search_password")
_DEFAULTS: dict[str, Any] = {
    "audit_log_forward_endpoint": "",
    "auth_mode": "oidc_auth",  # Harbor's default is db_auth, but the sandbox has an IdP
    "banner_message": "",
    "disabled_audit_log_event_types": "",
    "http_authproxy_admin_groups": "",
    "http_authproxy_admin_usernames": "",
    "http_authproxy_endpoint": "",
    "http_authproxy_server_certificate": "",
    "http_authproxy_skip_search": False,
    "http_authproxy_tokenreview_endpoint": "",
    "http_authproxy_verify_cert": True,
    "ldap_base_dn": "",
    "ldap_filter": "",
    "ldap_group_admin_dn": "",
    "ldap_group_attach_parallel": False,
    "ldap_group_attribute_name": "",
    "ldap_group_base_dn": "",
    "ldap_group_membership_attribute": "memberof",
    "ldap_group_search_filter": "",
    "ldap_group_search_scope": 2,
    "ldap_scope": 2,
    "ldap_search_dn": "",
    "ldap_search_password": "",
    "ldap_timeout": 5,
    "ldap_uid": "cn",
    "ldap_url": "",
    "ldap_verify_cert": True,
    "notification_enable": True,
    "oidc_admin_group": "",
    "oidc_auto_onboard": False,
    "oidc_client_id": "",
    "oidc_client_secret": "",
    "oidc_endpoint": "",
    "oidc_extra_redirect_parms": "{}",  # JSON, as a string
    "oidc_group_filter": "",
    "oidc_groups_claim": "",
    "oidc_logout": False,
    "oidc_name": "",
    "oidc_scope": "",
    "oidc_user_claim": "",
    "oidc_verify_cert": True,
    "primary_auth_mode": False,
    "project_creation_restriction": "everyone",
    "quota_per_project_enable": True,
    "read_only": False,
    "robot_name_prefix": "robot$",
    "robot_token_duration": 30,
    "scan_all_policy": {},
    "scanner_skip_update_pulltime": False,
    "self_registration": False,
    "session_timeout": 60,
    "skip_audit_log_database": False,
    "storage_per_project": -1,
    "token_expiration": 30,
    "uaa_client_id": "",
    "uaa_client_secret": "",
    "uaa_endpoint": "",
    "uaa_verify_cert": False,
}
_SHAPE: Shape = {name: type(value) for name, value in _DEFAULTS.items()}


def defaults() -> dict[str, Any]:
    """Return the configuration of a new installation."""
    return dict(_DEFAULTS)


@routes.api("GET", "/configurations")
def get_configurations(call: Call) -> Response:
    """Return all settings with their values, and whether each can be changed now."""
    _require_admin(call)
    read_only = call.harbor.read_only_configuration
    shown: dict[str, Any] = {
        name: {
            "editable": not read_only and (name != "auth_mode" or not _has_users(call)),
            "value": value,
        }
        for name, value in call.harbor.configuration.items()
        if name not in _HIDDEN
    }
    # Harbor's model for this setting has no members, so it is always empty.
    shown["scan_all_policy"] = {}
    return answer(shown)


@routes.api("PUT", "/configurations")
def update_configurations(call: Call) -> Response:
    """Change the given settings. Unknown settings are ignored."""
    body = call.body("configurations", _SHAPE)
    _require_admin(call)
    if call.harbor.read_only_configuration:
        raise Refusal(
            403,
            "current config is init by env variable: CONFIG_OVERWRITE_JSON, it cannot be updated",
        )
    current = call.harbor.configuration
    changes = {k: v for k, v in body.items() if k in _DEFAULTS and v is not None}
    mode = changes.get("auth_mode", current["auth_mode"])
    if mode not in _AUTH_MODES:
        raise Refusal(
            400,
            "bad request: item name auth_mode: invalid auth_mode, shoud be one of "
            + ", ".join(_AUTH_MODES),
        )
    if mode != current["auth_mode"] and _has_users(call):
        raise Refusal(
            400, "the auth mode cannot be modified as new users have been inserted into database"
        )
    for name in _POSITIVE:
        if changes.get(name, 1) <= 0:
            raise Refusal(400, f"the {name} value must be positive")
    current.update(changes)
    if secret := changes.get("oidc_client_secret"):
        call.harbor.issued_secrets.append(secret)
    return done()


def _require_admin(call: Call) -> None:
    access.require_known(call.caller)
    if not call.caller.admin:  # no permission of a robot includes this
        raise Refusal(403, call.caller.name)


def _has_users(call: Call) -> bool:
    return any(user_id > ADMIN_ID for user_id in call.harbor.users)
