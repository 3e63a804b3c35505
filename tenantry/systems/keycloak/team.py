"""Keycloak: the team's group, its members, the external groups that lead to it, its OIDC clients.

Groups and clients carry our mark as an attribute, mappers as their name.
"""

import json
from collections.abc import Mapping, Sequence

from tenantry.calls import MAX_SINGLE_READS, map_concurrently
from tenantry.declared import Declaration, ExternalProvider, OidcClient, Team
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import ADOPTED, Marks
from tenantry.plan import Change, unknown_kind
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource, differences
from tenantry.systems.keycloak import kinds
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import (
    apply_client,
    client_fields,
    groups_mapper,
    mark_of,
    named,
    observed_fields,
)

_MAPPER = "tenantry "
"""What the names of our mappers begin with; the team's slug follows."""


def client_id(team: Team, name: str) -> str:
    """The OIDC client's id in Keycloak."""
    return f"{team.slug}-{name}"


class KeycloakTeams:
    """The resources of teams in Keycloak."""

    name = "Keycloak"
    system = "keycloak"
    kinds = frozenset({kinds.GROUP, kinds.GROUP_MEMBER, kinds.MAPPER, kinds.CLIENT})

    def __init__(
        self, client: KeycloakClient, state: Declaration, marks: Marks, *, extras: bool = False
    ) -> None:
        self._client = client
        self._marks = marks
        self._state = state
        self._settings = state.platform.keycloak
        self._extras = extras

    # Desired

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return the team's group, members, mappers and clients."""
        group = Id(kinds.GROUP, team.oidc_group)
        attributes = {key: [value] for key, value in self._marks.attributes(team.name).items()}
        wanted = [Resource(group, {"attributes": attributes})]
        for member in {name.lower(): name for name in team.members or ()}.values():
            id = _member_id(team, member)
            wanted.append(Resource(id, {"member": True}, depends_on=(group,)))
        for alias, provider in self._settings.external_providers.items():
            wanted.append(self._mapper(team, alias, provider, group))
        marked = self._marks.attributes(team.name)
        wanted.extend(_client(team, name, own, marked) for name, own in team.oidc_clients.items())
        return wanted

    def _mapper(self, team: Team, alias: str, provider: ExternalProvider, group: Id) -> Resource:
        """Puts people into the group whose token names it, in the provider's words."""
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
            _mapper_id(alias, team),
            {"identityProviderMapper": "oidc-advanced-group-idp-mapper", "config": config},
            body=alias,
            depends_on=(group,),
        )

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return what the realm holds of these teams."""
        seen = Observed()
        groups = self._groups(teams, seen)
        owners = {team.oidc_group: team.name for team in teams}
        for name, found in groups.items():
            id = Id(kinds.GROUP, name)
            with seen.capture_errors(id, owners.get(name)):
                attributes = found.get("attributes") or {}
                mark = mark_of(attributes)
                foreign = self._marks.foreign(mark, owners[name]) if name in owners else ""
                ours = mark is not None and not foreign
                seen.live[id] = Live(
                    {"attributes": attributes},
                    ours,
                    marked=ours and ADOPTED not in attributes,
                    team=mark.team or None if mark and not foreign else None,
                    handle=found,
                    foreign=foreign,
                )
        for part in map_concurrently(lambda team: self._members(team, groups), teams):
            seen.add(part)
        self._observe_mappers(teams, seen)
        self._observe_clients(teams, seen)
        return seen

    def _groups(self, teams: Sequence[Team], seen: Observed) -> dict[str, Representation]:
        """The teams' groups by name."""
        path = self._groups_path()
        if path is None:
            return {}
        names = {team.oidc_group for team in teams}
        full = {"briefRepresentation": "false"}
        if len(names) > MAX_SINGLE_READS or self._extras:
            # Groups under others are not in these lists, so a name is that of one group only.
            listed = self._client.pages(path, **full)
        else:
            lists = (self._client.rows(path, search=name, exact="true", **full) for name in names)
            listed = (group for groups in lists for group in groups or ())
        found: dict[str, Representation] = {}
        owners = {team.oidc_group: team.name for team in teams}
        for group in listed:
            name = str(dict.get(group, "name", "*"))
            with seen.capture_errors(Id(kinds.GROUP, name), owners.get(name)):
                if group["name"] in names or (self._extras and self._is_left_over(group)):
                    found[name] = group
        return found

    def _groups_path(self) -> str | None:
        """Where the teams' groups are; None if what they are kept under does not exist."""
        parent = self._settings.parent_group
        if parent is None:
            return "groups"
        found = named(self._client.rows("groups", search=parent, exact="true"), parent)
        return f"groups/{found['id']}/children" if found else None

    def _is_left_over(self, found: Representation) -> bool:
        """Whether it carries the mark of a team that does not declare it any more."""
        mark = mark_of(found.get("attributes"))
        if mark is None or not mark.team or not self._marks.is_own(mark):
            return False
        owner = self._state.teams.get(mark.team)
        if owner is None:  # a team that is left out is declared, and nothing of it is touched
            return mark.team not in self._state.names
        return bool(owner.oidc_group != found["name"])

    def marked_groups(self) -> dict[str, str]:
        """Return the groups that bear a team's mark, with that team's name."""
        found: dict[str, str] = {}
        path = self._groups_path()
        for group in self._client.pages(path, briefRepresentation="false") if path else ():
            mark = mark_of(group.get("attributes"))
            if mark is not None and mark.team and self._marks.is_own(mark):
                found[group["name"]] = mark.team
        return found

    def marked_clients(self) -> dict[str, str]:
        """Return the clients that bear a team's mark, with that team's name."""
        found: dict[str, str] = {}
        for client in self._client.pages("clients"):
            mark = mark_of(client.get("attributes"))
            if mark is not None and mark.team and self._marks.is_own(mark):
                found[client["clientId"]] = mark.team
        return found

    def has_mapper(self, alias: str, team: Team) -> bool:
        """Whether a provider's names lead to a team's group as the team declares it now."""
        provider = self._settings.external_providers[alias]
        wanted = self._mapper(team, alias, provider, Id(kinds.GROUP, team.oidc_group))
        path = f"identity-provider/instances/{alias}/mappers"
        mapper = named(self._client.rows(path), wanted.id.key.removeprefix(f"{alias}/"))
        return mapper is not None and not any(differences(wanted.fields, mapper))

    def _members(self, team: Team, groups: dict[str, Representation]) -> Observed:
        """The group's members, and which declared ones are not in the realm yet."""
        seen = Observed()
        if team.members is None:
            return seen
        group = groups.get(team.oidc_group)
        found: dict[str, str] = {}
        with seen.capture_errors(_member_id(team, "*"), team.name):
            if group is not None:
                path = f"groups/{group['id']}/members"
                pages = self._client.pages(path, briefRepresentation="true")
                found = {
                    user["username"]: f"users/{user['id']}/groups/{group['id']}" for user in pages
                }
            # Keycloak keeps user names in lower case.
            declared = {name.lower(): name for name in team.members}
            for username, path in found.items():
                id = _member_id(team, declared.get(username, username))
                seen.live[id] = Live({"member": True}, team=team.name, handle=path)
            for name in (declared[key] for key in declared.keys() - found.keys()):
                if self._user(name) is None:
                    text = f"user '{name}' is not in realm '{self._client.realm}' yet"
                    seen.waiting[_member_id(team, name)] = text
        return seen

    def _user(self, name: str) -> Representation | None:
        users = self._client.rows("users", username=name, exact="true", briefRepresentation="true")
        return named(users, name.lower(), key="username")

    def _observe_mappers(self, teams: Sequence[Team], seen: Observed) -> None:
        for alias in self._settings.external_providers:
            mappers = self._client.rows(f"identity-provider/instances/{alias}/mappers")
            if mappers is None:
                for team in teams:
                    id = _mapper_id(alias, team)
                    text = f"identity provider '{alias}' is not in realm '{self._client.realm}' yet"
                    seen.waiting[id] = text
                continue
            owners = {team.oidc_group: team.name for team in self._state.teams.values()}
            for mapper in mappers:
                name = str(dict.get(mapper, "name", "*"))
                id = Id(kinds.MAPPER, f"{alias}/{name}")
                ours = name.startswith(_MAPPER)
                whose = name.partition(f"{_MAPPER}team-")[2] if ours else ""
                with seen.capture_errors(id, whose or None):
                    leads_to = str((mapper.get("config") or {}).get("group", "")).rsplit("/", 1)[-1]
                    owner = owners.get(leads_to) or whose or None
                    seen.live[id] = Live(mapper, ours, marked=ours, team=owner, handle=mapper)
        if self._extras:
            self._observe_providers(seen)

    def _observe_providers(self, seen: Observed) -> None:
        """The identity providers of the realm that nobody declares."""
        with seen.capture_errors(Id(kinds.IDENTITY_PROVIDER, "*"), None):
            for provider in self._client.rows("identity-provider/instances") or ():
                alias = provider["alias"]
                if alias not in self._settings.external_providers:
                    path = f"identity-provider/instances/{alias}"
                    id = Id(kinds.IDENTITY_PROVIDER, alias)
                    seen.live[id] = Live({}, ours=False, team=PLATFORM, handle=path)

    def _observe_clients(self, teams: Sequence[Team], seen: Observed) -> None:
        wanted = {client_id(team, name): team.name for team in teams for name in team.oidc_clients}
        if self._extras or len(wanted) > MAX_SINGLE_READS:
            found = list(self._client.pages("clients"))
        else:
            lists = (self._client.rows("clients", clientId=name) for name in sorted(wanted))
            found = [client for clients in lists for client in clients or ()]
        for client in found:
            name = str(dict.get(client, "clientId", "*"))
            id = Id(kinds.CLIENT, name)
            with seen.capture_errors(id, self._team_of_name(name)):
                team = self._team_of_client(client)
                if name not in wanted and not (self._extras and team):
                    continue
                fields = observed_fields(client)
                mark = mark_of(fields["attributes"])
                foreign = self._marks.foreign(mark, wanted.get(name, team or ""))
                ours = mark is not None and not foreign
                seen.live[id] = Live(
                    fields,
                    ours,
                    marked=ours and ADOPTED not in fields["attributes"],
                    team=team,
                    handle=client,
                    foreign=foreign,
                )

    def _team_of_client(self, client: Representation) -> str | None:
        """The team whose mark a client bears, or else the one whose name its id begins with."""
        mark = mark_of(client.get("attributes"))
        if mark is not None:
            return mark.team or None if self._marks.is_own(mark) else None
        return self._team_of_name(client["clientId"])

    def _team_of_name(self, client: str) -> str | None:
        """Return the team whose name a client's id begins with."""
        name = client.removeprefix("team-")
        while name != client and "-" in name:
            name = name.rsplit("-", 1)[0]
            if name in self._state.names:
                return name
        return None

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.action == "delete":
            assert change.live is not None
            self._client.delete(_address(change.id, change.live))
            return
        match change.id.kind:
            case kinds.GROUP:
                self._apply_group(change)
            case kinds.GROUP_MEMBER:
                self._add_member(*change.id.key.split("/", 1))
            case kinds.MAPPER:
                self._apply_mapper(change)
            case kinds.CLIENT:
                apply_client(self._client, change)
            case _:
                raise unknown_kind(change)

    def _apply_group(self, change: Change) -> None:
        name = change.id.key
        attributes = dict(change.resource.fields["attributes"])
        if change.live is None:
            body = {"name": name, "attributes": attributes}
            self._client.post(self._parent_path(), body)
            return
        group = change.live.handle
        if change.adopts:
            attributes[ADOPTED] = ["true"]
        attributes = (group.get("attributes") or {}) | attributes
        self._client.put(f"groups/{group['id']}", {"name": name, "attributes": attributes})

    def _parent_path(self) -> str:
        parent = self._settings.parent_group
        if parent is None:
            return "groups"
        found = named(self._client.rows("groups", search=parent, exact="true"), parent)
        id = found["id"] if found else self._create_parent(parent)
        return f"groups/{id}/children"

    def _create_parent(self, parent: str) -> str:
        try:
            return self._client.post("groups", {"name": parent})
        except ChangedMeanwhile:  # another team's onboarding was faster
            found = named(self._client.rows("groups", search=parent, exact="true"), parent)
            if found is None:
                raise
            return str(found["id"])

    def _add_member(self, group_name: str, user_name: str) -> None:
        user = self._user(user_name)
        path = self._parent_path()
        groups = self._client.rows(path, search=group_name, exact="true")
        group = named(groups, group_name)
        if user is None or group is None:
            call = f"PUT /admin/realms/{self._client.realm}/users/…/groups/…"
            text = f"user '{user_name}' or group '{group_name}' is gone"
            raise ChangedMeanwhile("keycloak", call, text)
        self._client.put(f"users/{user['id']}/groups/{group['id']}")

    def _apply_mapper(self, change: Change) -> None:
        alias: str = change.resource.body
        path = f"identity-provider/instances/{alias}/mappers"
        name = change.id.key.removeprefix(f"{alias}/")
        body = {"name": name, "identityProviderAlias": alias, **change.resource.fields}
        if change.live is None:
            self._client.post(path, body)
        else:
            id = change.live.handle["id"]
            self._client.put(f"{path}/{id}", {**change.live.handle, **body})


def _mapper_id(alias: str, team: Team) -> Id:
    return Id(kinds.MAPPER, f"{alias}/{_MAPPER}{team.slug}")


def _member_id(team: Team, user: str) -> Id:
    return Id(kinds.GROUP_MEMBER, f"{team.oidc_group}/{user}")


def _address(id: Id, live: Live) -> str:
    """Where something lies that is to be deleted."""
    if id.kind == kinds.GROUP_MEMBER:
        return str(live.handle)
    number = live.handle["id"]
    if id.kind == kinds.CLIENT:
        return f"clients/{number}"
    return f"identity-provider/instances/{id.key.split('/')[0]}/mappers/{number}"


def _client(team: Team, name: str, own: OidcClient, marked: Mapping[str, str]) -> Resource:
    fields = client_fields(
        marked,
        redirect_uris=own.redirect_uris,
        post_logout_redirect_uris=own.post_logout_redirect_uris,
        web_origins=own.web_origins,
        public=own.public,
        pkce=own.public,
    )
    fields["groups mapper"] = groups_mapper()
    return Resource(Id(kinds.CLIENT, client_id(team, name)), fields)
