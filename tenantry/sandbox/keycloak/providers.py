"""Identity providers and their mappers."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import Response

from .answers import (
    JSON,
    Call,
    Routes,
    answer,
    created,
    done,
    duplicate,
    exists,
    invalid,
    not_found,
)
from .state import Realm, new_id

routes = Routes()

_MASK = "**********"
_OIDC_TYPES = [
    "USER_AUTHENTICATION",
    "CLIENT_ASSERTION",
    "EXCHANGE_EXTERNAL_TOKEN",
    "JWT_AUTHORIZATION_GRANT",
]
_TYPES = {
    "oidc": _OIDC_TYPES,
    "keycloak-oidc": _OIDC_TYPES,
    "saml": ["USER_AUTHENTICATION"],
    "kubernetes": ["CLIENT_ASSERTION"],
}
_PROVIDER_IDS = {
    *_TYPES,
    *(
        "bitbucket",
        "facebook",
        "github",
        "gitlab",
        "google",
        "instagram",
        "linkedin-openid-connect",
    ),
    *("microsoft", "oauth2", "openshift-v4", "paypal", "stackoverflow", "twitter"),
}
_FIELDS = (
    "displayName",
    "enabled",
    "trustEmail",
    "storeToken",
    "addReadTokenRoleOnCreate",
    "authenticateByDefault",
    "linkOnly",
    "hideOnLogin",
    "firstBrokerLoginFlowAlias",
)
_BRIEF = ("alias", "displayName", "internalId", "providerId", "enabled")
_URLS = {
    "authorizationUrl": "authorization_url",
    "tokenUrl": "token_url",
    "userInfoUrl": "userinfo_url",
    "logoutUrl": "logout_url",
    "jwksUrl": "jwks_url",
}


def provider_json(provider: JSON) -> JSON:
    """Return the representation of a provider, with a masked secret."""
    config = dict(provider["config"])
    # A reference to a vault is not a secret.
    if config.get("clientSecret") and not config["clientSecret"].startswith("${vault."):
        config["clientSecret"] = _MASK
    return {**provider, "config": config, "types": _TYPES.get(provider["providerId"], [])}


def _find_provider(realm: Realm, alias: str) -> JSON:
    if alias in realm.providers:
        return realm.providers[alias]
    for provider in realm.providers.values():
        if provider["internalId"] == alias and "alias" in provider:
            return provider
    raise not_found()


def _parse_provider(realm: Realm, rep: JSON, internal_id: str) -> JSON:
    """Return the provider of a representation. Missing fields are not taken from an older one.

    Raises:
        Refused: the representation is invalid.
    """
    if rep.get("providerId") not in _PROVIDER_IDS:
        raise invalid(f"Invalid identity provider id [{rep.get('providerId') or 'null'}]")
    config = {key: value for key, value in (rep.get("config") or {}).items() if value is not None}
    for key, name in _URLS.items():
        _check_url(realm, name, config.get(key))
    provider: JSON = {"internalId": internal_id, "providerId": rep["providerId"], "enabled": True}
    if rep.get("alias"):
        provider = {"alias": rep["alias"], **provider}
    provider |= {key: rep[key] for key in _FIELDS if rep.get(key) is not None}
    if "hideOnLogin" not in provider and config.get("hideOnLoginPage"):
        provider["hideOnLogin"] = config["hideOnLoginPage"] == "true"
    return {**provider, "config": config}


def _check_url(realm: Realm, name: str, url: str | None) -> None:
    required = realm.settings["sslRequired"].lower()
    if not url or required == "none":
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise invalid(f"The url [{name}] is malformed")
    if parts.scheme == "https" or (required == "external" and _is_local(parts.hostname or "")):
        return
    raise invalid(f"The url [{name}] requires secure connections")


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


@routes("GET", "identity-provider/instances")
def list_providers(realm: Realm, call: Call) -> Response:
    """Return the providers by alias; by default, at most 100."""
    providers = sorted(realm.providers.values(), key=lambda row: str(row.get("alias", "")))
    search = call.query.get("search", "").strip()
    if search:
        pattern = _pattern(search)
        providers = [row for row in providers if pattern.match(row.get("alias", "").lower())]
    page = call.page(providers, 100)
    if call.flag("briefRepresentation"):
        brief = [{key: row[key] for key in _BRIEF if key in row} for row in page]
        return answer([{**row, "config": {}} for row in brief])
    return answer([provider_json(row) for row in page])


def _pattern(search: str) -> re.Pattern[str]:
    if len(search) > 1 and search[0] == search[-1] == '"':
        return re.compile(re.escape(search[1:-1].lower()) + "$")
    return re.compile(".*".join(re.escape(part) for part in search.lower().split("*")))


@routes("POST", "identity-provider/instances")
def create_provider(realm: Realm, call: Call) -> Response:
    """Create a provider."""
    rep = call.body
    provider = _parse_provider(realm, rep, rep.get("internalId") or new_id())
    alias = provider.get("alias")
    if not alias:
        raise invalid("path is null")
    if alias in realm.providers:
        raise exists(f"Identity Provider {alias} already exists")
    realm.providers[alias] = provider
    return created(f"{call.base}/{'/'.join(call.segments)}/{alias}")


@routes("GET", "identity-provider/instances/{alias}")
def get_provider(realm: Realm, call: Call, alias: str) -> Response:
    """Return one provider."""
    return answer(provider_json(_find_provider(realm, alias)))


@routes("PUT", "identity-provider/instances/{alias}")
def update_provider(realm: Realm, call: Call, alias: str) -> Response:
    """Replace a provider. The secret is kept if the request has the mask instead."""
    old, rep = _find_provider(realm, alias), call.body
    alias = old["alias"]
    if rep.get("alias") not in (None, alias):
        raise invalid("Identity Provider alias cannot be changed")
    provider = _parse_provider(realm, rep, old["internalId"])
    if provider["config"].get("clientSecret") == _MASK:
        provider["config"]["clientSecret"] = old["config"].get("clientSecret")
    # Without an alias, a real server also answers 204, and the provider cannot be found again.
    del realm.providers[alias]
    realm.providers[provider.get("alias", f"\0{old['internalId']}")] = provider
    return done()


@routes("DELETE", "identity-provider/instances/{alias}")
def delete_provider(realm: Realm, call: Call, alias: str) -> Response:
    """Delete a provider with its mappers and the users' links to it. The users remain."""
    alias = _find_provider(realm, alias)["alias"]
    del realm.providers[alias]
    for user in realm.users.values():
        user.links.pop(alias, None)
    realm.provider_mappers = {
        key: mapper
        for key, mapper in realm.provider_mappers.items()
        if mapper["identityProviderAlias"] != alias
    }
    return done()


@routes("GET", "identity-provider/instances/{alias}/mappers")
def list_mappers(realm: Realm, call: Call, alias: str) -> Response:
    """Return all mappers of a provider."""
    alias = _find_provider(realm, alias)["alias"]
    mappers = realm.provider_mappers.values()
    return answer([mapper for mapper in mappers if mapper["identityProviderAlias"] == alias])


@routes("POST", "identity-provider/instances/{alias}/mappers")
def create_mapper(realm: Realm, call: Call, alias: str) -> Response:
    """Create a mapper. Its type and the alias in the body are not checked."""
    provider, rep = _find_provider(realm, alias), call.body
    if not rep.get("name"):
        raise duplicate()
    _check_name_is_free(realm, provider, rep, None)
    mapper = _parse_mapper(rep, rep.get("id") or new_id())
    realm.provider_mappers[mapper["id"]] = mapper
    return created(f"{call.base}/{'/'.join(call.segments)}/{mapper['id']}")


@routes("GET", "identity-provider/instances/{alias}/mappers/{mapper}")
def get_mapper(realm: Realm, call: Call, alias: str, mapper_id: str) -> Response:
    """Return one mapper. The alias in the path must exist, but need not be that of the mapper."""
    _find_provider(realm, alias)
    return answer(_find_mapper(realm, mapper_id))


@routes("PUT", "identity-provider/instances/{alias}/mappers/{mapper}")
def update_mapper(realm: Realm, call: Call, alias: str, mapper_id: str) -> Response:
    """Replace the mapper whose id is in the body, or the one in the path if the body has no id."""
    provider, rep = _find_provider(realm, alias), call.body
    _find_mapper(realm, mapper_id)
    target = _find_mapper(realm, rep.get("id") or mapper_id)
    _check_name_is_free(realm, provider, rep, target["id"])
    realm.provider_mappers[target["id"]] = _parse_mapper(rep, target["id"])
    return done()


@routes("DELETE", "identity-provider/instances/{alias}/mappers/{mapper}")
def delete_mapper(realm: Realm, call: Call, alias: str, mapper_id: str) -> Response:
    """Delete a mapper."""
    _find_provider(realm, alias)
    del realm.provider_mappers[_find_mapper(realm, mapper_id)["id"]]
    return done()


def _parse_mapper(rep: JSON, mapper_id: str) -> JSON:
    return {
        "id": mapper_id,
        "name": rep.get("name"),
        "identityProviderAlias": rep.get("identityProviderAlias"),
        "identityProviderMapper": rep.get("identityProviderMapper"),
        "config": dict(rep.get("config") or {}),
    }


def _find_mapper(realm: Realm, mapper_id: str) -> JSON:
    mapper: JSON | None = realm.provider_mappers.get(mapper_id)
    if mapper is None:
        raise not_found("Model not found")
    return mapper


def _check_name_is_free(realm: Realm, provider: JSON, rep: JSON, own: str | None) -> None:
    for mapper in realm.provider_mappers.values():
        same = mapper["name"] == rep.get("name") and mapper["id"] != own
        if same and mapper["identityProviderAlias"] == rep.get("identityProviderAlias"):
            raise invalid(
                f"Failed to add mapper '{rep['name']}' to identity provider "
                f"[{provider['providerId']}]."
            )
