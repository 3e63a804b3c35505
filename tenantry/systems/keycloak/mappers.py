"""Mappers of external identity providers: they add users to the groups of teams at login."""

import json
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from tenantry.declared import Declaration, ExternalProvider, Team
from tenantry.plan import Change
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource, differences
from tenantry.systems.keycloak import kinds
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.clients import named
from tenantry.systems.keycloak.groups import group_id
from tenantry.systems.kubernetes.record import recorded

_OURS = "tenantry "
"""The beginning of the name of each mapper of Tenantry."""
_MARK = f"{_OURS}team-"
"""The beginning of the name of a team's mapper; the name of the team follows. It is a mark, and does
not depend on the names of the team's objects."""


class Mappers:
    """The mappers of teams. Their names mark them as Tenantry's."""

    KINDS = frozenset({kinds.MAPPER})

    def __init__(self, client: KeycloakClient, state: Declaration, *, extras: bool) -> None:
        """
        Args:
            client: the realm.
            state: the declared state.
            extras: observe undeclared identity providers, too.
        """
        self._client = client
        self._state = state
        self._settings = state.platform.keycloak
        self._extras = extras

    def desired(self, team: Team) -> Iterator[Resource]:
        """Yield a mapper of a team for each external provider."""
        for alias, provider in self._settings.external_providers.items():
            yield self._mapper(team, alias, provider)

    def _mapper(self, team: Team, alias: str, provider: ExternalProvider) -> Resource:
        """Return the mapper that adds users to the team's group by the groups in their token."""
        names = provider.expression(team.oidc_group, team.external_groups.get(alias))
        claims = [{"key": provider.groups_claim, "value": names}]
        parent = self._settings.parent_group
        path = f"/{parent}/{team.oidc_group}" if parent else f"/{team.oidc_group}"
        config = {
            "claims": json.dumps(claims),
            "are.claim.values.regex": "true",
            "group": path,
            "syncMode": "INHERIT",
        }
        return Resource(
            _id(alias, team),
            {"identityProviderMapper": "oidc-advanced-group-idp-mapper", "config": config},
            body=alias,
            depends_on=(group_id(team),),
        )

    def observe(self, teams: Sequence[Team], observed: Observed, seen: Observed) -> None:
        """Add all mappers of the declared providers, and of former ones, to what was observed.

        Args:
            teams: the teams.
            observed: their namespaces, which record the mappers that Tenantry created.
            seen: receives the mappers.
        """
        declared = self._settings.external_providers
        created = (key for team in teams for key in recorded(team, observed, kinds.MAPPER))
        former = {key.partition("/")[0] for key in created} - {".", ".."}
        for alias in sorted({*declared, *former}):
            mappers = self._client.rows(_path(alias))
            if mappers is None and alias not in declared:
                continue
            if mappers is None:
                for team in teams:
                    text = f"identity provider '{alias}' is not in realm '{self._client.realm}' yet"
                    seen.waiting[_id(alias, team)] = text
                continue
            owners = {team.oidc_group: team.name for team in self._state.teams.values()}
            for mapper in mappers:
                name = str(dict.get(mapper, "name", "*"))
                id = Id(kinds.MAPPER, f"{alias}/{name}")
                ours = name.startswith(_OURS)
                marked_for = name.removeprefix(_MARK) if name.startswith(_MARK) else ""
                with seen.capture_errors(id, marked_for or None):
                    group = str((mapper.get("config") or {}).get("group", "")).rsplit("/", 1)[-1]
                    owner = owners.get(group) or marked_for or None
                    # A mapper of another declared team, even if it leads to this team's group, is
                    # the other team's to correct.
                    marked = ours and (marked_for == owner or marked_for not in self._state.names)
                    seen.live[id] = Live(mapper, ours, marked, team=owner, handle=mapper)
        if self._extras:
            self._observe_providers(seen)

    def _observe_providers(self, seen: Observed) -> None:
        """Observe the undeclared identity providers of the realm."""
        with seen.capture_errors(Id(kinds.IDENTITY_PROVIDER, "*"), None):
            for provider in self._client.rows("identity-provider/instances") or ():
                alias = provider["alias"]
                if alias not in self._settings.external_providers:
                    path = _provider_path(alias)
                    id = Id(kinds.IDENTITY_PROVIDER, alias)
                    seen.live[id] = Live({}, ours=False, team=PLATFORM, handle=path)

    def is_current(self, alias: str, team: Team) -> bool:
        """Return whether a provider has the mapper of a team in its declared form."""
        wanted = self._mapper(team, alias, self._settings.external_providers[alias])
        path = _path(alias)
        mapper = named(self._client.rows(path), wanted.id.key.removeprefix(f"{alias}/"))
        return mapper is not None and not any(differences(wanted.fields, mapper))

    def apply(self, change: Change) -> None:
        """Create or update a mapper."""
        alias: str = change.resource.body
        path = _path(alias)
        name = change.id.key.removeprefix(f"{alias}/")
        body = {"name": name, "identityProviderAlias": alias, **change.resource.fields}
        if change.live is None:
            self._client.post(path, body)
        else:
            id = change.live.handle["id"]
            self._client.put(f"{path}/{id}", {**change.live.handle, **body})


def _path(alias: str) -> str:
    """Return the path of the mappers of a provider. A record that was changed by hand may name it."""
    return f"{_provider_path(alias)}/mappers"


def _provider_path(alias: str) -> str:
    return f"identity-provider/instances/{quote(alias, safe='')}"


def _id(alias: str, team: Team) -> Id:
    return Id(kinds.MAPPER, f"{alias}/{_MARK}{team.name}")
