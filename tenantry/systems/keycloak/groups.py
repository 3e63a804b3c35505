"""The teams' groups in Keycloak, and their members."""

from collections.abc import Collection, Iterator, Sequence

from tenantry.calls import MAX_SINGLE_READS, map_concurrently
from tenantry.declared import Declaration, Team
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import ADOPTED, Marks
from tenantry.plan import Change, Left
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.harbor.kinds import MEMBER
from tenantry.systems.keycloak import kinds
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import mark_of, named
from tenantry.systems.kubernetes.record import recorded, recorded_key
from tenantry.systems.kubernetes.renames import (
    bindings,
    changed_group,
    former_name,
    keep_former,
    may_be_renamed,
    refuse_renamed,
)
from tenantry.wording import count


def group_id(team: Team) -> Id:
    """Return the id of a team's group."""
    return Id(kinds.GROUP, team.oidc_group)


class Groups:
    """The groups of teams, and their members. A group carries Tenantry's mark as an attribute."""

    KINDS = frozenset({kinds.GROUP, kinds.GROUP_MEMBER})

    def __init__(
        self, client: KeycloakClient, state: Declaration, marks: Marks, *, extras: bool
    ) -> None:
        """
        Args:
            client: the realm.
            state: the declared state.
            marks: the platform's marks.
            extras: observe the groups of teams that are no longer declared, too.
        """
        self._client = client
        self._state = state
        self._parent = state.platform.keycloak.parent_group
        self._marks = marks
        self._extras = extras

    # Desired

    def desired(self, team: Team, observed: Observed) -> Iterator[Resource]:
        """Yield the group of a team, and its members.

        If the name of the group was changed, the former one keeps its members and its rights.
        """
        attributes = {key: [value] for key, value in self._marks.attributes(team.name).items()}
        group, former = group_id(team), former_name(group_id(team), observed)
        rights = (*bindings(team), Id(MEMBER, f"{team.project}/{former}"))
        yield keep_former(team, Resource(group, {"attributes": attributes}), observed, *rights)
        for id in dict.fromkeys(_member_id(team, name) for name in team.members or ()):
            yield Resource(id, {"member": True}, depends_on=(group_id(team),))

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed, seen: Observed) -> None:
        """Add the groups of these teams, and their members, to what was observed.

        Args:
            teams: the teams.
            observed: their namespaces, which record the groups and members that Tenantry created.
            seen: receives the groups.
        """
        former = {name for team in teams for name in recorded(team, observed, kinds.GROUP)}
        groups = self._groups(teams, former, seen)
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
                    adopted=ours and ADOPTED in attributes,
                    team=mark.team or None if mark and not foreign else None,
                    handle={**found, "realm": self._client.realm},
                    foreign=foreign,
                )
        self._refuse_changed_names(teams, observed, seen)
        added = {team.name: recorded(team, observed, kinds.GROUP_MEMBER) for team in teams}
        for part in map_concurrently(
            lambda team: self._members(team, groups, added[team.name], seen), teams
        ):
            seen.add(part)

    def _refuse_changed_names(
        self, teams: Sequence[Team], observed: Observed, seen: Observed
    ) -> None:
        """Refuse the groups of onboarded teams that have another group with their mark."""
        some = {
            team.name: team
            for team in teams
            if may_be_renamed(group_id(team), team, observed, seen)
        }
        for name, owner in self.owners().items() if some else ():
            if (team := some.get(owner)) is not None and name != team.oidc_group:
                refuse_renamed(group_id(team), name, changed_group(team, name), seen)

    def _groups(
        self, teams: Sequence[Team], former: Collection[str], seen: Observed
    ) -> dict[str, Representation]:
        """Return the groups of these teams by name, former ones included.

        With `extras`, these are also the groups of teams that are not declared.
        """
        path = self._path()
        if path is None:
            return {}
        names = {team.oidc_group for team in teams} | set(former)
        full = {"briefRepresentation": "false"}
        if len(names) > MAX_SINGLE_READS or self._extras:
            # These lists do not contain the groups below other groups, so a name is unique.
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

    def _path(self) -> str | None:
        """Return the path of the teams' groups; None if their parent group does not exist."""
        if self._parent is None:
            return "groups"
        found = self._find_parent(self._parent)
        return f"groups/{found['id']}/children" if found else None

    def _find_parent(self, name: str) -> Representation | None:
        return named(self._client.rows("groups", search=name, exact="true"), name)

    def _is_left_over(self, found: Representation) -> bool:
        """Return whether a group carries the mark of a team that no longer declares it."""
        mark = mark_of(found.get("attributes"))
        if mark is None or not mark.team or not self._marks.is_own(mark):
            return False
        owner = self._state.teams.get(mark.team)
        if owner is None:  # a team that is left out is declared, and keeps its group
            return mark.team not in self._state.names
        return bool(owner.oidc_group != found["name"])

    def owners(self) -> dict[str, str]:
        """Return the groups that carry the mark of a team, with the name of that team."""
        found: dict[str, str] = {}
        for group in self.all():
            mark = mark_of(group.get("attributes"))
            if mark is not None and mark.team and self._marks.is_own(mark):
                found[group["name"]] = mark.team
        return found

    def all(self) -> Iterator[Representation]:
        """Yield the groups of all teams, and other groups beside them."""
        path = self._path()
        yield from self._client.pages(path, briefRepresentation="false") if path else ()

    def _members(
        self,
        team: Team,
        groups: dict[str, Representation],
        added: Collection[str],
        observed: Observed,
    ) -> Observed:
        """Return the members of a team's group, and the declared ones that are not users yet."""
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
            around = observed.live.get(group_id(team))
            is_ours = around is not None and around.ours
            for username, path in found.items():
                id = _member_id(team, username)
                marked = is_ours and recorded_key(id.key) in added
                seen.live[id] = Live({"member": True}, True, marked, team=team.name, handle=path)
            declared = {name.lower(): name for name in team.members}
            for name in (declared[key] for key in declared.keys() - found.keys()):
                if self._user(name) is None:
                    text = f"user '{name}' is not in realm '{self._client.realm}' yet"
                    seen.waiting[_member_id(team, name)] = text
        return seen

    def forgotten(self, team: Team, observed: Observed) -> Iterator[Left]:
        """Yield the members that Tenantry added, if the team no longer declares `members` at all.

        Its plan removes them from the record, so that they count as added by others from then on.
        """
        added = recorded(team, observed, kinds.GROUP_MEMBER) if team.members is None else ()
        if added:
            users = count(len(added), "user")
            yield Left(
                Id(kinds.GROUP_MEMBER, f"{team.oidc_group}/*"),
                f"the file has no 'members', so Tenantry no longer manages the members of the group: {users} "
                "that it added will stay, and it will not remove them later. To remove them, "
                "declare 'members: []' before this plan is applied",
                "kept",
            )

    def _user(self, name: str) -> Representation | None:
        users = self._client.rows("users", username=name, exact="true", briefRepresentation="true")
        return named(users, name.lower(), key="username")

    # Apply

    def apply(self, change: Change) -> None:
        """Create or update a group, or add a member.

        Raises:
            ChangedMeanwhile: the group or the user was deleted.
        """
        if change.id.kind == kinds.GROUP:
            self._apply_group(change)
        else:
            self._add_member(*change.id.key.split("/", 1))

    def _apply_group(self, change: Change) -> None:
        name = change.id.key
        attributes = dict(change.resource.fields["attributes"])
        if change.live is None:
            self._client.post(self._ensure_path(), {"name": name, "attributes": attributes})
            return
        group = change.live.handle
        if change.action == "adopt":
            attributes[ADOPTED] = ["true"]
        attributes = (group.get("attributes") or {}) | attributes
        self._client.put(f"groups/{group['id']}", {"name": name, "attributes": attributes})

    def _ensure_path(self) -> str:
        """Return the path of the teams' groups, after their parent group was created if needed."""
        if self._parent is None:
            return "groups"
        found = self._find_parent(self._parent)
        id = found["id"] if found else self._create_parent(self._parent)
        return f"groups/{id}/children"

    def _create_parent(self, name: str) -> str:
        try:
            return self._client.post("groups", {"name": name})
        except ChangedMeanwhile:  # the onboarding of another team was faster
            found = self._find_parent(name)
            if found is None:
                raise
            return str(found["id"])

    def _add_member(self, group_name: str, user_name: str) -> None:
        user = self._user(user_name)
        groups = self._client.rows(self._ensure_path(), search=group_name, exact="true")
        group = named(groups, group_name)
        if user is None or group is None:
            call = f"PUT /admin/realms/{self._client.realm}/users/…/groups/…"
            text = f"user '{user_name}' or group '{group_name}' is gone"
            raise ChangedMeanwhile("keycloak", call, text)
        self._client.put(f"users/{user['id']}/groups/{group['id']}")


def _member_id(team: Team, user: str) -> Id:
    # Keycloak stores user names in lower case.
    return Id(kinds.GROUP_MEMBER, f"{team.oidc_group}/{user.lower()}")
