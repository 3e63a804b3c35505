"""Changes to the declared state, and to Harbor's login redirect, that a migration makes."""

import json
from typing import Any

from tenantry.answers import understood
from tenantry.declared.edit import Edit
from tenantry.locks import Lock
from tenantry.systems.harbor.client import HarborClient

_HINT = "kc_idp_hint"


def show_provider(alias: str, instead_of: str) -> Edit:
    """Return an edit that shows one provider on the login page and hides another.

    The edit changes providers with a declared connection only.
    """

    def change(name: str, document: Any) -> None:
        if name != "platform.yaml":
            return
        providers = _get(document, "keycloak", "external_providers")
        for provider, hidden in ((alias, False), (instead_of, True)):
            connection = _get(providers, provider, "connection")
            if connection and bool(connection.get("hidden")) != hidden:
                connection["hidden"] = hidden
        parameters = _get(document, "harbor", "single_sign_on", "redirect_parameters")
        if parameters and parameters.get(_HINT) == instead_of:
            parameters[_HINT] = alias

    return change


def use_realm(name: str) -> Edit:
    """Return an edit that declares another realm for the platform."""

    def change(file: str, document: Any) -> None:
        if file == "platform.yaml":
            document.setdefault("keycloak", {})["realm"] = name

    return change


def remove_provider(old: str, replacement: str) -> Edit:
    """Return an edit that removes a provider, and the names that groups have there."""

    def change(name: str, document: Any) -> None:
        if name != "platform.yaml":
            _remove_group_name(document, old)
            return
        providers = _get(document, "keycloak", "external_providers")
        providers.pop(old, None)
        if replacement in providers and providers[replacement].get("replaces") == old:
            del providers[replacement]["replaces"]
        for group in (_get(document, "keycloak", "groups") or {}).values():
            _remove_group_name(group, old)
        _remove_group_name(document.get("defaults"), old)
        for profile in (document.get("profiles") or {}).values():
            _remove_group_name(profile, old)

    return change


def _remove_group_name(part: Any, alias: str) -> None:
    names = _get(part, "external_groups")
    if names and alias in names:
        del names[alias]
        if not names:
            del part["external_groups"]


def _get(value: Any, *keys: str) -> Any:
    """Return the value at a path of keys; an empty mapping if it does not exist."""
    for key in keys:
        value = (value or {}).get(key)
    return value or {}


def redirect_harbor_logins(client: HarborClient, alias: str, instead_of: str, lock: Lock) -> None:
    """Redirect Harbor's logins to another provider, if Harbor skips Keycloak's login page."""
    with understood("harbor", "read the setting oidc_extra_redirect_parms"):
        parameters = dict(json.loads(client.settings().get("oidc_extra_redirect_parms") or "{}"))
    if parameters.get(_HINT) == instead_of:
        lock.check()
        changed = json.dumps({**parameters, _HINT: alias})
        client.put("/configurations", {"oidc_extra_redirect_parms": changed})
