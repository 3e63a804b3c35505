"""Keycloak's part of what is the platform's: realm, groups, external providers, Harbor's client.

A realm, a group, a client and a provider carry our mark; what lies in one of them
shares its owner.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from tenantry.declared import Declaration, ExternalProvider
from tenantry.declared.single_sign_on import ProviderConnection, SecretReference
from tenantry.errors import ChangedMeanwhile, SystemRefused, TenantryError
from tenantry.plan import Change
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import (
    ADOPTED,
    MANAGED_BY,
    apply_client,
    client_fields,
    groups_mapper,
    named,
    observed_fields,
)
from tenantry.systems.keycloak.discovery import discover
from tenantry.systems.kubernetes.client import KubernetesClient

_MARKS = {MANAGED_BY: "tenantry"}
_SECRET_VERSION = "tenantry.io/secret-version"  # noqa: S105 no secret
"""Which version of the Kubernetes Secret a provider's secret was read from."""
MIGRATION = "tenantry.io/migration"
"""Which migration has a provider in hand: what it shows and hides is nobody else's business."""
_PKCE_SINCE = (2, 13)
"""The first Harbor that protects its login with PKCE; older ones fail where it is asked for."""
_POLICIES = {
    "refused": None,
    "admin-view": "ADMIN_VIEW",
    "admin-edit": "ADMIN_EDIT",
    "enabled": "ENABLED",
}
_MINUTES = {
    "access_token_minutes": "accessTokenLifespan",
    "session_idle_minutes": "ssoSessionIdleTimeout",
    "session_max_minutes": "ssoSessionMaxLifespan",
    "offline_session_idle_minutes": "offlineSessionIdleTimeout",
}
_AS_IS = {
    "display_name": "displayName",
    "brute_force_protection": "bruteForceProtected",
    "login_failures": "failureFactor",
}
_GROUPS_MAPPER = "oidc-group-membership-mapper"


class KeycloakPlatform:
    """The realm's part of what is the platform's."""

    def __init__(
        self,
        client: KeycloakClient,
        harbor: HarborClient,
        kubernetes: KubernetesClient,
        state: Declaration,
    ) -> None:
        """
        Args:
            client: the realm.
            harbor: tells where its client's logins return to, and which Harbor it is.
            kubernetes: holds the secrets of external providers.
            state: what is declared.
        """
        self._client = client
        self._harbor = harbor
        self._kubernetes = kubernetes
        self._declared = state.platform.keycloak
        self._sign_on = state.platform.harbor.single_sign_on

    @property
    def _connections(self) -> dict[str, ProviderConnection]:
        providers = self._declared.external_providers.items()
        return {alias: each.connection for alias, each in providers if each.connection}

    # Desired

    def desired(self, observed: Observed) -> list[Resource]:
        """Every resource of the platform's in Keycloak."""
        return [
            *self._realm(),
            *(
                Resource(_group_id(name), "Keycloak", {"attributes": {MANAGED_BY: ["tenantry"]}})
                for name in self._declared.groups
            ),
            *self._providers(observed),
            *self._group_mappers(),
            *self._harbors_client(),
        ]

    def _realm(self) -> Iterator[Resource]:
        settings, id = self._declared.realm_settings, self._id("realm")
        if settings is None:
            return
        given = settings.model_dump(exclude_none=True)
        fields: dict[str, Any] = {"enabled": True, "attributes": dict(_MARKS)}
        fields |= {key: given[name] * 60 for name, key in _MINUTES.items() if name in given}
        fields |= {key: given[name] for name, key in _AS_IS.items() if name in given}
        yield Resource(id, "Keycloak", fields)
        if settings.unmanaged_attributes is not None:
            policy = {"unmanagedAttributePolicy": _POLICIES[settings.unmanaged_attributes]}
            yield Resource(self._id("user profile"), "Keycloak", policy, shares=id)

    def _id(self, kind: str) -> Id:
        return Id("keycloak", kind, self._client.realm)

    def _providers(self, observed: Observed) -> Iterator[Resource]:
        for alias, connection in self._connections.items():
            id = _provider_id(alias)
            document = observed.live.get(_discovery_id(alias))
            secret = observed.live.get(_secret_id(connection.client_secret))
            if document and secret:
                fields = _provider_fields(connection, document.fields, secret.fields["version"])
                if id in observed.live and _in_migration(observed.live[id]):
                    del fields["hideOnLogin"]
                yield Resource(id, "Keycloak", fields, body=connection.client_secret)
            else:  # it waits, and says for what
                yield Resource(id, "Keycloak", {})
            for name, kind, config in (
                (
                    "username",
                    "oidc-username-idp-mapper",
                    {"template": f"${{CLAIM.{connection.username_claim}}}", "target": "LOCAL"},
                ),
                (
                    "email",
                    "oidc-user-attribute-idp-mapper",
                    {"claim": connection.email_claim, "user.attribute": "email"},
                ),
            ):
                yield _mapper(alias, name, kind, config, shares=id)

    def _group_mappers(self) -> Iterator[Resource]:
        for name, group in self._declared.groups.items():
            for alias, names in group.external_groups.items():
                provider = self._declared.external_providers[alias]
                config = _group_config(provider, name, names)
                kind = "oidc-advanced-group-idp-mapper"
                inside = (_group_id(name),)
                shares = _provider_id(alias) if provider.connection else None
                yield _mapper(alias, f"group {name}", kind, config, shares=shares, inside=inside)

    def _harbors_client(self) -> Iterator[Resource]:
        sign_on = self._sign_on
        if sign_on is None:
            return
        info = self._harbor.info()
        url = str(info["external_url"]).rstrip("/")
        origin = urlsplit(url)
        id = Id("keycloak", "client", sign_on.client_id)
        fields = client_fields(
            _MARKS,
            redirect_uris=[f"{url}/c/oidc/callback"],
            post_logout_redirect_uris=[f"{url}/account/sign-in"],
            web_origins=[f"{origin.scheme}://{origin.netloc}"],
            public=False,
            pkce=self._harbor.version() >= _PKCE_SINCE,
        )
        yield Resource(id, "Keycloak", fields)
        claim = Id("keycloak", "claim", f"{sign_on.client_id}/{sign_on.groups_claim}")
        yield Resource(claim, "Keycloak", groups_mapper(sign_on.groups_claim), shares=id)
        scopes = dict.fromkeys(("basic", *sign_on.scopes), "default")
        scopes.pop("openid", None)
        if (
            "offline_access" in scopes
        ):  # as a default one it would make every session an offline one
            scopes["offline_access"] = "optional"
        scopes_id = Id("keycloak", "client scopes", sign_on.client_id)
        yield Resource(scopes_id, "Keycloak", scopes, shares=id)

    # Observed

    def observe(self) -> Observed:
        """What the realm holds of the platform's."""
        seen = Observed()
        if not (
            self._declared.realm_settings
            or self._declared.groups
            or self._connections
            or self._sign_on
        ):
            return seen
        realm = self._client.get("")
        if realm is not None:
            self._observe_realm(realm, seen)
            self._observe_groups(seen)
            self._observe_client(seen)
        elif self._declared.realm_settings is None:
            raise SystemRefused(
                "keycloak",
                f"GET /admin/realms/{self._client.realm}",
                f"there is no realm '{self._client.realm}'",
                status=404,
                advice="Create it, or declare keycloak.realm_settings (if only {}) in "
                "platform.yaml to have it made.",
            )
        self._observe_providers(seen, there=realm is not None)
        return seen

    def _observe_realm(self, realm: Representation, seen: Observed) -> None:
        attributes = realm.get("attributes") or {}
        ours = attributes.get(MANAGED_BY) == "tenantry"
        marked = ours and ADOPTED not in attributes
        seen.live[self._id("realm")] = Live(realm, ours, marked=marked, handle=realm)
        settings = self._declared.realm_settings
        if settings and settings.unmanaged_attributes:
            profile = self._client.get("users/profile")
            seen.live[self._id("user profile")] = Live(profile, ours, handle=profile)

    def _observe_groups(self, seen: Observed) -> None:
        for name in self._declared.groups:
            query = {"search": name, "exact": "true", "briefRepresentation": "false"}
            found = named(self._client.get("groups", **query), name)
            if found is not None:
                attributes = found.get("attributes") or {}
                ours = attributes.get(MANAGED_BY) == ["tenantry"]
                seen.live[_group_id(name)] = Live({"attributes": attributes}, ours, handle=found)

    def _observe_client(self, seen: Observed) -> None:
        if self._sign_on is None:
            return
        name = self._sign_on.client_id
        found = named(self._client.get("clients", clientId=name), name, key="clientId")
        if found is not None:
            fields = observed_fields(found)
            ours = fields["attributes"].get(MANAGED_BY) == "tenantry"
            marked = ours and ADOPTED not in fields["attributes"]
            client = Id("keycloak", "client", name)
            seen.live[client] = Live(fields, ours, marked=marked, handle=found)
            for mapper in found.get("protocolMappers") or ():
                if mapper["protocolMapper"] == _GROUPS_MAPPER:
                    claim = (mapper.get("config") or {}).get("claim.name")
                    id = Id("keycloak", "claim", f"{name}/{claim}")
                    path = f"clients/{found['id']}/protocol-mappers/models/{mapper['id']}"
                    seen.live[id] = Live(mapper, ours, marked=marked, team=PLATFORM, handle=path)
            assigned = dict.fromkeys(found.get("defaultClientScopes") or (), "default")
            assigned |= dict.fromkeys(found.get("optionalClientScopes") or (), "optional")
            scopes = Id("keycloak", "client scopes", name)
            seen.live[scopes] = Live(assigned, ours, handle=found["id"])
        known = {scope["name"] for scope in self._client.get("client-scopes") or ()}
        missing = sorted({*self._sign_on.scopes} - known - {"openid"})
        if missing:
            seen.waiting[Id("keycloak", "client scopes", name)] = (
                f"realm '{self._client.realm}' has no client scope {', '.join(missing)}"
            )

    def _observe_providers(self, seen: Observed, *, there: bool) -> None:
        used = {
            alias for group in self._declared.groups.values() for alias in group.external_groups
        }
        for alias in self._declared.external_providers:
            connection = self._connections.get(alias)
            if connection is None and alias not in used:
                continue
            path = f"identity-provider/instances/{alias}"
            found = self._client.get(path) if there else None
            if found is None and connection is None:
                for name, group in self._declared.groups.items():
                    if alias in group.external_groups:
                        text = f"identity provider '{alias}' is not in the realm yet"
                        seen.waiting[_mapper_id(alias, f"group {name}")] = text
            if connection is not None:
                self._observe_origin(alias, connection, seen)
            if found is not None:
                self._observe_provider(alias, found, connection, seen)

    def _observe_provider(
        self,
        alias: str,
        found: Representation,
        connection: ProviderConnection | None,
        seen: Observed,
    ) -> None:
        config = found.get("config") or {}
        ours = config.get(MANAGED_BY) == "tenantry"
        locked = self._locked(alias, config, connection)
        seen.live[_provider_id(alias)] = Live(found, ours, handle=found, locked=locked)
        for mapper in self._client.get(f"identity-provider/instances/{alias}/mappers") or ():
            own = ours or mapper["name"].startswith("tenantry ")
            id = Id("keycloak", "identity provider mapper", f"{alias}/{mapper['name']}")
            seen.live[id] = Live(mapper, own, handle=mapper["id"])

    def _locked(
        self, alias: str, config: Mapping[str, str], connection: ProviderConnection | None
    ) -> dict[str, str]:
        """Whose issuer changes while people are linked to it: none of them would be known again."""
        before = config.get("issuer")
        if connection is None or before in (None, connection.issuer):
            return {}
        if not self._client.get("users", idpAlias=alias, max=1):
            return {}
        text = (
            f"people are linked to '{before}' under this alias, and at '{connection.issuer}' they "
            "have other ids: none could log in any more. Declare the new provider under an alias "
            "of its own, beside this one"
        )
        return {"config": text}

    def _observe_origin(self, alias: str, connection: ProviderConnection, seen: Observed) -> None:
        """The provider's discovery document, and the version of the Secret for it."""
        id = _provider_id(alias)
        try:
            seen.live[_discovery_id(alias)] = Live(discover(connection.issuer))
        except TenantryError as error:  # one provider that is down costs its own part only
            seen.waiting[id] = str(error)
        reference = connection.client_secret
        found = self._kubernetes.get("Secret", reference.name, reference.namespace)
        where = f"Secret {reference.namespace}/{reference.name}"
        if found is None:
            seen.waiting[id] = f"there is no {where}"
        elif not (found.get("data") or {}).get(reference.key):
            seen.waiting[id] = f"{where} has no key '{reference.key}'"
        else:
            version = f"{found['metadata']['uid']}/{found['metadata']['resourceVersion']}"
            seen.live[_secret_id(reference)] = Live({"version": version})

    # Apply

    def apply(self, change: Change) -> None:
        """Carries out one change."""
        if change.action == "delete":
            assert change.live is not None
            self._client.delete(change.live.handle)
            return
        match change.id.kind:
            case "realm":
                self._apply_realm(change)
            case "user profile":
                profile = change.live.handle if change.live else self._client.get("users/profile")
                self._client.put("users/profile", {**profile, **change.resource.fields})
            case "group":
                self._apply_group(change)
            case "identity provider":
                self._apply_provider(change)
            case "identity provider mapper":
                self._apply_mapper(change)
            case "client":
                apply_client(self._client, change)
            case "claim":
                self._apply_claim(change)
            case "client scopes":
                self._apply_scopes(change)

    def _apply_realm(self, change: Change) -> None:
        fields = dict(change.resource.fields)
        if change.live is None:
            self._client.create_realm(fields)
            return
        # What is not sent stays, but attributes are replaced as a whole.
        attributes = dict(change.live.handle.get("attributes") or {}) | fields["attributes"]
        if change.adopts:
            attributes[ADOPTED] = "true"
        self._client.put("", {**fields, "attributes": attributes})

    def _apply_group(self, change: Change) -> None:
        attributes = dict(change.resource.fields["attributes"])
        if change.live is None:
            self._client.post("groups", {"name": change.id.key, "attributes": attributes})
            return
        if change.adopts:
            attributes[ADOPTED] = ["true"]
        before = change.live.handle
        attributes = (before.get("attributes") or {}) | attributes
        body = {"name": change.id.key, "attributes": attributes}
        self._client.put(f"groups/{before['id']}", body)

    def _apply_provider(self, change: Change) -> None:
        fields, reference = change.resource.fields, change.resource.body
        secret = self._read(reference)
        config = {**fields["config"], "clientSecret": secret}
        if change.live is None:
            body = {"alias": change.id.key, **fields, "config": config}
            self._client.post("identity-provider/instances", body)
            return
        before = change.live.handle
        config = {**(before.get("config") or {}), **config}
        if change.adopts:
            config[ADOPTED] = "true"
        path = f"identity-provider/instances/{change.id.key}"
        self._client.put(path, {**before, **fields, "config": config})

    def _read(self, reference: SecretReference) -> str:
        found = self._kubernetes.get("Secret", reference.name, reference.namespace) or {}
        try:
            return base64.b64decode(found["data"][reference.key]).decode().strip()
        except (LookupError, ValueError):
            call = f"GET Secret {reference.namespace}/{reference.name}"
            text = f"its key '{reference.key}' is gone, or is no text"
            raise ChangedMeanwhile("kubernetes", call, text) from None

    def _apply_mapper(self, change: Change) -> None:
        alias, name = change.id.key.split("/", 1)
        path = f"identity-provider/instances/{alias}/mappers"
        body = {"name": name, "identityProviderAlias": alias, **change.resource.fields}
        if change.live is None:
            self._client.post(path, body)
        else:
            id = change.live.handle
            config = {**(change.live.fields.get("config") or {}), **body["config"]}
            self._client.put(f"{path}/{id}", {**body, "id": id, "config": config})

    def _apply_claim(self, change: Change) -> None:
        client_id, claim = change.id.key.split("/", 1)
        if change.live is None:
            path = f"clients/{self._number(client_id)}/protocol-mappers/models"
            self._client.post(path, {"name": f"groups as {claim}", **change.resource.fields})
        else:
            config = change.live.fields["config"] | change.resource.fields["config"]
            body = {**change.live.fields, **change.resource.fields, "config": config}
            self._client.put(change.live.handle, body)

    def _apply_scopes(self, change: Change) -> None:
        number = self._number(change.id.key)
        path = f"clients/{number}"
        found = self._client.get(path)
        ids = {scope["name"]: scope["id"] for scope in self._client.get("client-scopes")}
        lists = {"default": "defaultClientScopes", "optional": "optionalClientScopes"}
        for name, wanted in change.resource.fields.items():
            other = "optional" if wanted == "default" else "default"
            if name in (found.get(lists[other]) or ()):
                self._client.delete(f"{path}/{other}-client-scopes/{ids[name]}")
            if name not in (found.get(lists[wanted]) or ()):
                self._client.put(f"{path}/{wanted}-client-scopes/{ids[name]}")

    def secret(self, client_id: str) -> str:
        """The secret of a client of the realm: for Harbor, and never to be shown."""
        return secret_of(self._client, client_id)

    def _number(self, client_id: str) -> str:
        return _number_of(self._client, client_id)


def secret_of(client: KeycloakClient, client_id: str) -> str:
    """The secret of a client of a realm, never to be shown.

    Raises:
        ChangedMeanwhile: there is no such client, or it has none.
    """
    found = client.get(f"clients/{_number_of(client, client_id)}/client-secret") or {}
    if not found.get("value"):
        raise ChangedMeanwhile("keycloak", "GET …/client-secret", f"'{client_id}' has none")
    return str(found["value"])


def _number_of(client: KeycloakClient, client_id: str) -> str:
    found = named(client.get("clients", clientId=client_id), client_id, key="clientId")
    if found is None:
        call = f"GET /admin/realms/{client.realm}/clients"
        raise ChangedMeanwhile("keycloak", call, f"client '{client_id}' is gone")
    return str(found["id"])


def _in_migration(provider: Live) -> bool:
    return MIGRATION in (provider.fields.get("config") or {})


def _group_id(name: str) -> Id:
    return Id("keycloak", "group", name)


def _provider_id(alias: str) -> Id:
    return Id("keycloak", "identity provider", alias)


def _discovery_id(alias: str) -> Id:
    return Id("keycloak", "discovery document", alias)


def _secret_id(reference: SecretReference) -> Id:
    return Id("keycloak", "provider's secret", f"{reference.namespace}/{reference.name}")


def _mapper_id(alias: str, name: str) -> Id:
    return Id("keycloak", "identity provider mapper", f"{alias}/tenantry {name}")


def _mapper(
    alias: str,
    name: str,
    kind: str,
    config: Mapping[str, str],
    *,
    shares: Id | None,
    inside: tuple[Id, ...] = (),
) -> Resource:
    fields = {"identityProviderMapper": kind, "config": {**config, "syncMode": "INHERIT"}}
    return Resource(_mapper_id(alias, name), "Keycloak", fields, inside=inside, shares=shares)


def _group_config(provider: ExternalProvider, group: str, names: list[str]) -> dict[str, str]:
    claims = [{"key": provider.groups_claim, "value": provider.expression(group, names)}]
    return {
        "claims": json.dumps(claims),
        "are.claim.values.regex": "true",
        "group": f"/{group}",
    }


def _provider_fields(
    connection: ProviderConnection, document: Mapping[str, Any], secret_version: str
) -> dict[str, Any]:
    config = {
        **_MARKS,
        "issuer": connection.issuer,
        "authorizationUrl": document["authorization_endpoint"],
        "tokenUrl": document["token_endpoint"],
        "userInfoUrl": document.get("userinfo_endpoint", ""),
        "logoutUrl": document.get("end_session_endpoint", ""),
        "jwksUrl": document["jwks_uri"],
        "useJwksUrl": "true",
        "validateSignature": "true",
        "clientId": connection.client_id,
        "clientAuthMethod": "client_secret_post",
        "defaultScope": " ".join(connection.scopes),
        "syncMode": connection.sync_mode.upper(),
        "pkceEnabled": "true" if connection.pkce else "false",
        "pkceMethod": "S256" if connection.pkce else "",
        _SECRET_VERSION: secret_version,
    }
    fields: dict[str, Any] = {
        "providerId": "oidc",
        "enabled": True,
        "hideOnLogin": connection.hidden,
        "trustEmail": connection.trust_email,
        "firstBrokerLoginFlowAlias": connection.first_login_flow,
        "config": config,
    }
    if connection.display_name is not None:
        fields["displayName"] = connection.display_name
    return fields
