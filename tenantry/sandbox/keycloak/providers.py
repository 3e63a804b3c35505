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
_KNOWN = {
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
_KEPT = (
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


def shown(provider: JSON) -> JSON:
    """A provider's representation, its secret masked."""
    config = dict(provider["config"])
    # A reference to a vault is no secret.
    if config.get("clientSecret") and not config["clientSecret"].startswith("${vault."):
        config["clientSecret"] = _MASK
    return {**provider, "config": config, "types": _TYPES.get(provider["providerId"], [])}


def _found(realm: Realm, alias: str) -> JSON:
    if alias in realm.providers:
        return realm.providers[alias]
    for provider in realm.providers.values():
        if provider["internalId"] == alias and "alias" in provider:
            return provider
    raise not_found()


def _made(realm: Realm, rep: JSON, internal_id: str) -> JSON:
    """The provider a representation describes: what it doesn't say, the provider doesn't have."""
    if rep.get("providerId") not in _KNOWN:
        raise invalid(f"Invalid identity provider id [{rep.get('providerId') or 'null'}]")
    config = {key: value for key, value in (rep.get("config") or {}).items() if value is not None}
    for key, name in _URLS.items():
        _check_url(realm, name, config.get(key))
    provider: JSON = {"internalId": internal_id, "providerId": rep["providerId"], "enabled": True}
    if rep.get("alias"):
        provider = {"alias": rep["alias"], **provider}
    provider |= {key: rep[key] for key in _KEPT if rep.get(key) is not None}
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
    """Providers by alias: a hundred of them, unless `max` says otherwise."""
    providers = sorted(realm.providers.values(), key=lambda each: str(each.get("alias", "")))
    search = call.query.get("search", "").strip()
    if search:
        pattern = _pattern(search)
        providers = [each for each in providers if pattern.match(each.get("alias", "").lower())]
    page = call.page(providers, 100)
    if call.flag("briefRepresentation"):
        brief = [{key: each[key] for key in _BRIEF if key in each} for each in page]
        return answer([{**each, "config": {}} for each in brief])
    return answer([shown(each) for each in page])


def _pattern(search: str) -> re.Pattern[str]:
    if len(search) > 1 and search[0] == search[-1] == '"':
        return re.compile(re.escape(search[1:-1].lower()) + "$")
    return re.compile(".*".join(re.escape(part) for part in search.lower().split("*")))


@routes("POST", "identity-provider/instances")
def create_provider(realm: Realm, call: Call) -> Response:
    """Make a provider."""
    rep = call.body
    provider = _made(realm, rep, rep.get("internalId") or new_id())
    alias = provider.get("alias")
    if not alias:
        raise invalid("path is null")
    if alias in realm.providers:
        raise exists(f"Identity Provider {alias} already exists")
    realm.providers[alias] = provider
    return created(f"{call.base}/{'/'.join(call.segments)}/{alias}")


@routes("GET", "identity-provider/instances/{alias}")
def get_provider(realm: Realm, call: Call, alias: str) -> Response:
    """One provider."""
    return answer(shown(_found(realm, alias)))


@routes("PUT", "identity-provider/instances/{alias}")
def update_provider(realm: Realm, call: Call, alias: str) -> Response:
    """Replace a provider; only a secret sent as the mask stays what it was."""
    old, rep = _found(realm, alias), call.body
    alias = old["alias"]
    if rep.get("alias") not in (None, alias):
        raise invalid("Identity Provider alias cannot be changed")
    provider = _made(realm, rep, old["internalId"])
    if provider["config"].get("clientSecret") == _MASK:
        provider["config"]["clientSecret"] = old["config"].get("clientSecret")
    # Without an alias the real server also says 204, and nothing finds the provider again.
    del realm.providers[alias]
    realm.providers[provider.get("alias", f"\0{old['internalId']}")] = provider
    return done()


@routes("DELETE", "identity-provider/instances/{alias}")
def delete_provider(realm: Realm, call: Call, alias: str) -> Response:
    """Remove a provider with its mappers and everybody's links to it; the users stay."""
    alias = _found(realm, alias)["alias"]
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
    """The provider's mappers, all of them."""
    alias = _found(realm, alias)["alias"]
    mappers = realm.provider_mappers.values()
    return answer([each for each in mappers if each["identityProviderAlias"] == alias])


@routes("POST", "identity-provider/instances/{alias}/mappers")
def create_mapper(realm: Realm, call: Call, alias: str) -> Response:
    """Make a mapper; whether its type exists is not checked, nor the alias in the body."""
    provider, rep = _found(realm, alias), call.body
    if not rep.get("name"):
        raise duplicate()
    _refuse_twin(realm, provider, rep, None)
    mapper = _mapper(rep, rep.get("id") or new_id())
    realm.provider_mappers[mapper["id"]] = mapper
    return created(f"{call.base}/{'/'.join(call.segments)}/{mapper['id']}")


@routes("GET", "identity-provider/instances/{alias}/mappers/{mapper}")
def get_mapper(realm: Realm, call: Call, alias: str, mapper_id: str) -> Response:
    """One mapper; the alias only has to exist."""
    _found(realm, alias)
    return answer(_found_mapper(realm, mapper_id))


@routes("PUT", "identity-provider/instances/{alias}/mappers/{mapper}")
def update_mapper(realm: Realm, call: Call, alias: str, mapper_id: str) -> Response:
    """Replace the mapper that the body's id names, else the one the path names."""
    provider, rep = _found(realm, alias), call.body
    _found_mapper(realm, mapper_id)
    target = _found_mapper(realm, rep.get("id") or mapper_id)
    _refuse_twin(realm, provider, rep, target["id"])
    realm.provider_mappers[target["id"]] = _mapper(rep, target["id"])
    return done()


@routes("DELETE", "identity-provider/instances/{alias}/mappers/{mapper}")
def delete_mapper(realm: Realm, call: Call, alias: str, mapper_id: str) -> Response:
    """Remove a mapper."""
    _found(realm, alias)
    del realm.provider_mappers[_found_mapper(realm, mapper_id)["id"]]
    return done()


def _mapper(rep: JSON, mapper_id: str) -> JSON:
    return {
        "id": mapper_id,
        "name": rep.get("name"),
        "identityProviderAlias": rep.get("identityProviderAlias"),
        "identityProviderMapper": rep.get("identityProviderMapper"),
        "config": dict(rep.get("config") or {}),
    }


def _found_mapper(realm: Realm, mapper_id: str) -> JSON:
    mapper: JSON | None = realm.provider_mappers.get(mapper_id)
    if mapper is None:
        raise not_found("Model not found")
    return mapper


def _refuse_twin(realm: Realm, provider: JSON, rep: JSON, own: str | None) -> None:
    for mapper in realm.provider_mappers.values():
        same = mapper["name"] == rep.get("name") and mapper["id"] != own
        if same and mapper["identityProviderAlias"] == rep.get("identityProviderAlias"):
            raise invalid(
                f"Failed to add mapper '{rep['name']}' to identity provider "
                f"[{provider['providerId']}]."
            )
