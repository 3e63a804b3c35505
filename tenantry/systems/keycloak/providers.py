"""The external identity providers of the realm, and the mappers of their claims."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tenantry.declared import ExternalProvider
from tenantry.declared.platform import PlatformKeycloak
from tenantry.declared.single_sign_on import ProviderConnection, SecretReference
from tenantry.errors import ChangedMeanwhile, TenantryError
from tenantry.marks import ADOPTED, Marks
from tenantry.plan import Change
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource
from tenantry.systems.keycloak import kinds
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import mark_of
from tenantry.systems.keycloak.discovery import discover
from tenantry.systems.keycloak.realm import group_id
from tenantry.systems.kubernetes.client import KubernetesClient

SECRET_VERSION = "tenantry.io/secret-version"  # noqa: S105 no secret
"""Attribute: the version of the Kubernetes Secret that the provider's secret was read from."""
MIGRATION = "tenantry.io/migration"
"""Attribute: the migration that controls whether the login page shows a provider."""


class Providers:
    """The declared external providers, and their mappers."""

    KINDS = frozenset({kinds.IDENTITY_PROVIDER, kinds.MAPPER})

    def __init__(
        self,
        client: KeycloakClient,
        kubernetes: KubernetesClient,
        declared: PlatformKeycloak,
        marks: Marks,
    ) -> None:
        """
        Args:
            client: the realm.
            kubernetes: the cluster that holds the secrets of the providers.
            declared: the declared state of Keycloak.
            marks: the platform's marks.
        """
        self._marks = marks
        self._client = client
        self._kubernetes = kubernetes
        self._declared = declared

    @property
    def connections(self) -> dict[str, ProviderConnection]:
        """The declared connections of the providers, by alias."""
        providers = self._declared.external_providers.items()
        return {alias: each.connection for alias, each in providers if each.connection}

    # Desired

    def desired(self, observed: Observed) -> Iterator[Resource]:
        """Yield the providers first, then their mappers."""
        yield from self._providers(observed)
        yield from self._group_mappers()

    def _providers(self, observed: Observed) -> Iterator[Resource]:
        for alias, connection in self.connections.items():
            id = _provider_id(alias)
            document = observed.live.get(_discovery_id(alias))
            secret = observed.live.get(_secret_id(connection.client_secret))
            if document and secret:
                fields = _provider_fields(
                    connection,
                    document.fields,
                    secret.fields["version"],
                    self._marks.attributes(PLATFORM),
                )
                if id in observed.live and _in_migration(observed.live[id]):
                    del fields["hideOnLogin"]
                yield Resource(id, fields, body=connection.client_secret)
            else:  # it has to wait, and `observe` has recorded the reason
                yield Resource(id, {})
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
                yield _mapper(alias, name, kind, config, owner=id)

    def _group_mappers(self) -> Iterator[Resource]:
        for name, group in self._declared.groups.items():
            for alias, names in group.external_groups.items():
                provider = self._declared.external_providers[alias]
                config = _group_config(provider, name, names)
                kind = "oidc-advanced-group-idp-mapper"
                group_of_mapper = (group_id(name),)
                owner = _provider_id(alias) if provider.connection else None
                yield _mapper(
                    alias, f"group {name}", kind, config, owner=owner, depends_on=group_of_mapper
                )

    # Observed

    def observe(self, seen: Observed, *, there: bool) -> None:
        """Add the providers, and their mappers, to what was observed.

        Args:
            seen: what was observed.
            there: whether the realm exists.
        """
        used = {
            alias for group in self._declared.groups.values() for alias in group.external_groups
        }
        for alias in self._declared.external_providers:
            connection = self.connections.get(alias)
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

    def observe_left(self, seen: Observed) -> None:
        """Add the providers that Tenantry created and that are no longer declared."""
        for found in self._client.pages("identity-provider/instances"):
            id = _provider_id(str(dict.get(found, "alias", "*")))
            with seen.capture_errors(id, PLATFORM):
                config = found.get("config") or {}
                mark = mark_of(config)
                is_own = mark is not None and not mark.team and self._marks.is_own(mark)
                if is_own and found["alias"] not in self._declared.external_providers:
                    seen.live[id] = Live(
                        {},
                        marked=ADOPTED not in config,
                        adopted=ADOPTED in config,
                        team=PLATFORM,
                        handle=f"identity-provider/instances/{found['alias']}",
                    )

    def _observe_provider(
        self,
        alias: str,
        found: Representation,
        connection: ProviderConnection | None,
        seen: Observed,
    ) -> None:
        config = found.get("config") or {}
        mark = mark_of(config)
        foreign = self._marks.foreign(mark, PLATFORM)
        ours = mark is not None and not foreign
        locked = self._locked(alias, config, connection)
        seen.live[_provider_id(alias)] = Live(
            found, ours, handle=found, read_only=locked, foreign=foreign
        )
        for mapper in self._client.rows(f"identity-provider/instances/{alias}/mappers") or ():
            own = ours or mapper["name"].startswith("tenantry ")
            id = Id(kinds.MAPPER, f"{alias}/{mapper['name']}")
            seen.live[id] = Live(mapper, own, handle=mapper["id"])

    def _locked(
        self, alias: str, config: Mapping[str, str], connection: ProviderConnection | None
    ) -> dict[str, str]:
        """Return why the issuer of a provider cannot be changed: users are linked to it."""
        before = config.get("issuer")
        if connection is None or before in (None, connection.issuer):
            return {}
        if not self._client.rows("users", idpAlias=alias, max=1):
            return {}
        text = (
            f"users are linked to '{before}' under this alias, and have other ids at "
            f"'{connection.issuer}': all their logins would fail. Declare the new provider under another "
            "alias, and keep this one"
        )
        return {"config": text}

    def _observe_origin(self, alias: str, connection: ProviderConnection, seen: Observed) -> None:
        """Observe the provider's discovery document, and the version of its Secret."""
        id = _provider_id(alias)
        try:
            seen.live[_discovery_id(alias)] = Live(discover(connection.issuer))
        except TenantryError as error:  # the failure of one provider does not affect the others
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
        """Make one change."""
        if change.id.kind == kinds.IDENTITY_PROVIDER:
            self._apply_provider(change)
        else:
            self._apply_mapper(change)

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
        if change.action == "adopt":
            config[ADOPTED] = "true"
        path = f"identity-provider/instances/{change.id.key}"
        self._client.put(path, {**before, **fields, "config": config})

    def _read(self, reference: SecretReference) -> str:
        found = self._kubernetes.get("Secret", reference.name, reference.namespace) or {}
        try:
            data = found.get("data") or {}
            return base64.b64decode(data.get(reference.key) or b"-").decode().strip()
        except (TypeError, ValueError):
            call = f"GET Secret {reference.namespace}/{reference.name}"
            text = f"its key '{reference.key}' is gone, or is not text"
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


def _in_migration(provider: Live) -> bool:
    return MIGRATION in (provider.fields.get("config") or {})


def _provider_id(alias: str) -> Id:
    return Id(kinds.IDENTITY_PROVIDER, alias)


def _discovery_id(alias: str) -> Id:
    return Id(kinds.DISCOVERY_DOCUMENT, alias)


def _secret_id(reference: SecretReference) -> Id:
    return Id(kinds.PROVIDER_SECRET, f"{reference.namespace}/{reference.name}")


def _mapper_id(alias: str, name: str) -> Id:
    return Id(kinds.MAPPER, f"{alias}/tenantry {name}")


def _mapper(
    alias: str,
    name: str,
    kind: str,
    config: Mapping[str, str],
    *,
    owner: Id | None,
    depends_on: tuple[Id, ...] = (),
) -> Resource:
    fields = {"identityProviderMapper": kind, "config": {**config, "syncMode": "INHERIT"}}
    return Resource(_mapper_id(alias, name), fields, depends_on=depends_on, owner=owner)


def _group_config(provider: ExternalProvider, group: str, names: list[str]) -> dict[str, str]:
    claims = [{"key": provider.groups_claim, "value": provider.expression(group, names)}]
    return {
        "claims": json.dumps(claims),
        "are.claim.values.regex": "true",
        "group": f"/{group}",
    }


def _provider_fields(
    connection: ProviderConnection,
    document: Mapping[str, Any],
    secret_version: str,
    marked: Mapping[str, str],
) -> dict[str, Any]:
    config = {
        **marked,
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
        SECRET_VERSION: secret_version,
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
