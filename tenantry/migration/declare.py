"""What a migration writes to the declared state, and Harbor's own word for where logins go."""

import json
from typing import Any

from tenantry.answers import understood
from tenantry.declared.edit import Edit
from tenantry.locks import Lock
from tenantry.systems.harbor.client import HarborClient

_HINT = "kc_idp_hint"


def shown(alias: str, instead_of: str) -> Edit:
    """Shows one provider and hides the other, where the declared state has a word in it."""

    def change(name: str, document: Any) -> None:
        if name != "platform.yaml":
            return
        providers = _at(document, "keycloak", "external_providers")
        for each, hidden in ((alias, False), (instead_of, True)):
            connection = _at(providers, each, "connection")
            if connection and bool(connection.get("hidden")) != hidden:
                connection["hidden"] = hidden
        parameters = _at(document, "harbor", "single_sign_on", "redirect_parameters")
        if parameters and parameters.get(_HINT) == instead_of:
            parameters[_HINT] = alias

    return change


def realm(name: str) -> Edit:
    """Makes another realm the platform's."""

    def change(file: str, document: Any) -> None:
        if file == "platform.yaml":
            document.setdefault("keycloak", {})["realm"] = name

    return change


def replaced(old: str, by: str) -> Edit:
    """Takes a provider out, and every name that groups have there."""

    def change(name: str, document: Any) -> None:
        if name != "platform.yaml":
            _forget(document, old)
            return
        providers = _at(document, "keycloak", "external_providers")
        providers.pop(old, None)
        if by in providers and providers[by].get("replaces") == old:
            del providers[by]["replaces"]
        for group in (_at(document, "keycloak", "groups") or {}).values():
            _forget(group, old)
        _forget(document.get("defaults"), old)
        for profile in (document.get("profiles") or {}).values():
            _forget(profile, old)

    return change


def _forget(part: Any, alias: str) -> None:
    names = _at(part, "external_groups")
    if names and alias in names:
        del names[alias]
        if not names:
            del part["external_groups"]


def _at(value: Any, *keys: str) -> Any:
    """What lies there; an empty mapping if nothing does."""
    for key in keys:
        value = (value or {}).get(key)
    return value or {}


def hint_harbor(client: HarborClient, alias: str, instead_of: str, lock: Lock) -> None:
    """Where Harbor sends logins to the one provider straight away, sends them to the other."""
    with understood("harbor", "read the setting oidc_extra_redirect_parms"):
        parameters = dict(json.loads(client.settings().get("oidc_extra_redirect_parms") or "{}"))
    if parameters.get(_HINT) == instead_of:
        lock.check()
        told = json.dumps({**parameters, _HINT: alias})
        client.put("/configurations", {"oidc_extra_redirect_parms": told})
