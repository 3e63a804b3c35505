"""The adapter for the resources of teams in Keycloak: groups, members, mappers and OIDC clients."""

from collections.abc import Mapping, Sequence

from tenantry.calls import MAX_SINGLE_READS
from tenantry.declared import Declaration, OidcClient, Team
from tenantry.declared.names import is_distinctive, matches
from tenantry.marks import ADOPTED, KEY, Marks
from tenantry.plan import Change, unknown_kind
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.keycloak import kinds
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import (
    apply_client,
    client_fields,
    groups_mapper,
    mark_of,
    observed_fields,
)
from tenantry.systems.keycloak.groups import Groups
from tenantry.systems.keycloak.mappers import Mappers
from tenantry.systems.kubernetes.record import recorded
from tenantry.systems.kubernetes.renames import (
    changed_client,
    keep_former,
    may_be_renamed,
    refuse_renamed,
)


class KeycloakTeams:
    """The adapter for the resources of teams in Keycloak.

    Attributes:
        groups: the teams' groups, and their members.
        mappers: the teams' mappers of external identity providers.
    """

    name = "Keycloak"
    system = "keycloak"
    kinds = Groups.KINDS | Mappers.KINDS | {kinds.CLIENT}

    def __init__(
        self, client: KeycloakClient, state: Declaration, marks: Marks, *, extras: bool = False
    ) -> None:
        """
        Args:
            client: the realm.
            state: the declared state.
            marks: the platform's marks.
            extras: observe undeclared resources, too.
        """
        self._client = client
        self._marks = marks
        self._state = state
        self._extras = extras
        self.groups = Groups(client, state, marks, extras=extras)
        self.mappers = Mappers(client, state, extras=extras)

    # Desired

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return the team's group, members, mappers and clients."""
        marked = self._marks.attributes(team.name)
        return [
            *self.groups.desired(team, observed),
            *self.mappers.desired(team),
            *(
                keep_former(team, _client(team, name, declared, marked), observed)
                for name, declared in team.oidc_clients.items()
            ),
        ]

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the resources of these teams in the realm."""
        seen = Observed()
        self.groups.observe(teams, observed, seen)
        self.mappers.observe(teams, observed, seen)
        self._observe_clients(teams, observed, seen)
        return seen

    def _observe_clients(self, teams: Sequence[Team], observed: Observed, seen: Observed) -> None:
        created = {
            name: team.name for team in teams for name in recorded(team, observed, kinds.CLIENT)
        }
        declared = {team.client_id(name): team.name for team in teams for name in team.oidc_clients}
        wanted = created | declared
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
                    adopted=ours and ADOPTED in fields["attributes"],
                    team=team,
                    handle=client,
                    foreign=foreign,
                )
        self._refuse_changed_ids(teams, observed, seen)

    def _refuse_changed_ids(
        self, teams: Sequence[Team], observed: Observed, seen: Observed
    ) -> None:
        """Refuse the clients of onboarded teams that exist under another id, by their marks."""
        some = {
            (team.name, key): team
            for team in teams
            for key in team.oidc_clients
            if may_be_renamed(Id(kinds.CLIENT, team.client_id(key)), team, observed, seen)
        }
        for client in self._client.pages("clients") if some else ():
            attributes, name = client.get("attributes") or {}, client["clientId"]
            mark, key = mark_of(attributes), str(attributes.get(KEY, ""))
            team = some.get((mark.team, key)) if mark and self._marks.is_own(mark) else None
            if team is not None and team.client_of(name) is None:
                id = Id(kinds.CLIENT, team.client_id(key))
                refuse_renamed(id, name, changed_client(team, key, name), seen)

    def client_owners(self) -> dict[str, str]:
        """Return the clients that carry the mark of a team, with the name of that team."""
        found: dict[str, str] = {}
        for client in self._client.pages("clients"):
            mark = mark_of(client.get("attributes"))
            if mark is not None and mark.team and self._marks.is_own(mark):
                found[client["clientId"]] = mark.team
        return found

    def _team_of_client(self, client: Representation) -> str | None:
        """Return the team whose mark a client carries, or else the one that its id names."""
        mark = mark_of(client.get("attributes"))
        if mark is not None:
            return mark.team or None if self._marks.is_own(mark) else None
        return self._team_of_name(client["clientId"])

    def _team_of_name(self, client: str) -> str | None:
        """Return the team that a client's id names by the platform's pattern."""
        pattern = self._state.patterns.client
        if not is_distinctive(pattern):
            return None
        names = (found["team"] for found in matches(pattern, client))
        return next((name for name in names if name in self._state.names), None)

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.action == "delete":
            assert change.live is not None
            self._client.delete(_path(change.id, change.live))
        elif change.id.kind in Groups.KINDS:
            self.groups.apply(change)
        elif change.id.kind in Mappers.KINDS:
            self.mappers.apply(change)
        elif change.id.kind == kinds.CLIENT:
            apply_client(self._client, change)
        else:
            raise unknown_kind(change)


def _path(id: Id, live: Live) -> str:
    """Return the path of a resource that is to be deleted."""
    if id.kind == kinds.GROUP_MEMBER:
        return str(live.handle)
    number = live.handle["id"]
    if id.kind == kinds.CLIENT:
        return f"clients/{number}"
    if id.kind == kinds.GROUP:
        return f"groups/{number}"
    return f"identity-provider/instances/{id.key.split('/')[0]}/mappers/{number}"


def _client(team: Team, name: str, declared: OidcClient, marked: Mapping[str, str]) -> Resource:
    fields = client_fields(
        {**marked, KEY: name},
        redirect_uris=declared.redirect_uris,
        post_logout_redirect_uris=declared.post_logout_redirect_uris,
        web_origins=declared.web_origins,
        public=declared.public,
        pkce=declared.public,
    )
    fields["groups mapper"] = groups_mapper()
    return Resource(Id(kinds.CLIENT, team.client_id(name)), fields)
