"""The adapter for the resources of teams in Harbor: projects with their members and rules about
tags.

`tenantry.systems.credentials` creates robots, together with the Secrets that hold their
credentials.
"""

from collections.abc import Mapping, Sequence

from tenantry.calls import MAX_SINGLE_READS, Clock, map_concurrently
from tenantry.declared import Declaration, Team
from tenantry.declared.names import matches
from tenantry.errors import DependencyUnread
from tenantry.marks import Intent, Marks
from tenantry.plan import Change, unknown_kind
from tenantry.resources import Id, Live, Observed, Resource, Unreadable
from tenantry.systems.harbor import kinds, tags
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.images import repository_path
from tenantry.systems.harbor.members import apply_member, members, observe_members
from tenantry.systems.harbor.project import (
    create_project,
    observed_fields,
    project,
    project_id,
    update_project,
)
from tenantry.systems.harbor.robots import (
    only_project,
    robot_fields,
    robot_id,
    short_name,
    works,
)
from tenantry.systems.kubernetes.intents import (
    project_intent,
    recorded_project,
    recorded_projects,
)
from tenantry.systems.kubernetes.kinds import NAMESPACE
from tenantry.systems.kubernetes.record import recorded
from tenantry.systems.kubernetes.renames import changed_project, keeps_rights


class HarborTeams:
    """The adapter for the resources of teams in Harbor, except robots."""

    name = "Harbor"
    system = "harbor"
    kinds = frozenset(
        {
            kinds.PROJECT,
            kinds.MEMBER,
            kinds.USER_MEMBER,
            kinds.RETENTION_POLICY,
            kinds.IMMUTABLE_TAG_RULE,
            kinds.REPOSITORY,
            kinds.SYSTEM_ROBOT,
        }
    )

    def __init__(
        self,
        client: HarborClient,
        state: Declaration,
        clock: Clock,
        marks: Marks,
        *,
        extras: bool = False,
    ) -> None:
        self._client = client
        self._marks = marks
        self._clock = clock
        self._state = state
        self._extras = extras
        self._project_ids: dict[str, int] = {}

    # Desired

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return the team's project first, then the resources in it, except robots."""
        own = members(team)
        if keeps_rights(team, observed):  # its role stays as it is
            own = (each for each in own if each.id.key != f"{team.project}/{team.oidc_group}")
        return [project(team), *own, *tags.rules(team)]

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the projects of these teams, and the resources in them.

        Args:
            teams: the teams.
            observed: their namespaces, which record the ownership of the projects.
        """
        seen = Observed()
        intents = {team.project: project_intent(team, observed) for team in teams}
        projects = self._listed([team.project for team in teams], seen)
        if self._extras:
            self._observe_left_over(projects, observed, seen)
            self.observe_system_robots({team.project: team.name for team in teams}, seen)
        for part in map_concurrently(
            lambda team: self._observe_team(team, projects, intents, observed), teams
        ):
            seen.add(part)
        self._refuse_changed_names(teams, observed, seen)
        for team in teams:
            id = project_id(team.project)
            live = seen.live.get(id)
            is_recorded = observed.is_known(Id(NAMESPACE, team.home_namespace))
            if live is not None and not (live.ours or live.foreign or is_recorded):
                # The namespace may record that the project is ours.
                reason = "its owner is unknown while its namespace cannot be read"
                error = DependencyUnread("harbor", f"project {team.project}", reason)
                seen.unreadable[id] = Unreadable(error, team.name)
        return seen

    def _refuse_changed_names(
        self, teams: Sequence[Team], observed: Observed, seen: Observed
    ) -> None:
        """Refuse the projects of teams whose namespace records another, existing project."""
        for team in teams:
            id, recorded = project_id(team.project), recorded_project(team, observed)
            if recorded in (None, team.project) or not seen.is_known(id):
                continue
            with seen.capture_errors(id, team.name):
                if self._client.find(f"/projects/{recorded}", by_name=True) is not None:
                    why = changed_project(team, str(recorded))
                    seen.live[id] = Live({}, ours=False, foreign=why)

    def projects(self, names: Sequence[str], seen: Observed) -> dict[str, Row]:
        """Return those of these projects that exist, as Harbor lists them.

        Args:
            names: the projects.
            seen: receives the rows that cannot be read.
        """
        listed = self._listed(names, seen)
        return {name: listed[name] for name in dict.fromkeys(names) if name in listed}

    def _listed(self, names: Sequence[str], seen: Observed) -> dict[str, Row]:
        """Return at least these projects as Harbor lists them."""
        listed: dict[str, Row] = {}
        if len(names) <= MAX_SINGLE_READS and not self._extras:
            rows = [
                row for name in names for row in self._client.pages("/projects", q=f"name={name}")
            ]
        else:
            rows = list(self._client.pages("/projects"))
        for row in rows:
            # A row without a number cannot be observed. One without a name may be any team's.
            name = str(dict.get(row, "name", "*"))
            with seen.capture_errors(project_id(name), self._owner(name)):
                self._project_ids[row["name"]] = row["project_id"]
                listed[row["name"]] = row
        return listed

    def _owner(self, project: str) -> str | None:
        """Return the name of the team that declares a project."""
        owner = self._state.project_owners.get(project)
        return owner if owner in self._state.teams else None

    def _observe_left_over(
        self, projects: Mapping[str, Row], observed: Observed, seen: Observed
    ) -> None:
        """Observe the projects of teams that are no longer declared, and undeclared ones of teams.

        Only the marks in a project show its owner. They are read in each project whose name fits
        the platform's pattern, or that the namespace of a team records.
        """
        recorded = set(recorded_projects(observed))
        for name, row in projects.items():
            by_name = next(matches(self._state.patterns.project, name), None)
            is_likely = by_name is not None or name in recorded
            if is_likely and name not in self._state.project_owners:
                with seen.capture_errors(project_id(name), None):
                    robots = self.robots(row["project_id"])
                    team = self._marks.project_team(robots) or (by_name or {}).get("team")
                    if team and (mark := self._marks.project_mark(robots)):
                        marked = mark == "created"
                        seen.live[project_id(name)] = Live({}, marked=marked, team=team)
                        self._observe_left_over_robots(name, team, robots, seen)

    def _observe_left_over_robots(
        self, project: str, team: str, robots: Sequence[Row], seen: Observed
    ) -> None:
        """Observe the robots of a team that is no longer declared.

        None counts as marked: Tenantry does not delete them.
        """
        for row in robots:
            id = robot_id(project, str(dict.get(row, "name", "*")).rpartition("+")[2])
            with seen.capture_errors(id, None):
                fields = robot_fields(row, self._clock())
                seen.live[id] = Live(fields, ours=False, team=team, handle=row)

    def observe_system_robots(self, teams: Mapping[str, str], seen: Observed) -> None:
        """Observe the working robots of the system level that are limited to the project of a team.

        Tenantry has not created them.

        Args:
            teams: the names of the teams by project.
            seen: receives the robots.
        """
        for row in self._client.pages("/robots"):
            id = Id(kinds.SYSTEM_ROBOT, str(dict.get(row, "name", "*")))
            with seen.capture_errors(id, None):
                team, now = teams.get(only_project(row) or ""), self._clock()
                if team is not None and works(row, now):
                    fields = robot_fields(row, now)
                    seen.live[id] = Live(fields, ours=False, team=team, handle=row)

    def robots(self, project: int) -> list[Row]:
        """Return all robots of a project.

        Args:
            project: the number of the project.
        """
        return list(self._client.pages("/robots", q=f"Level=project,ProjectID={project}"))

    def _observe_team(
        self,
        team: Team,
        projects: dict[str, Row],
        intents: Mapping[str, Intent | None],
        observed: Observed,
    ) -> Observed:
        seen = Observed()
        row = projects.get(team.project)
        if row is not None:
            with seen.capture_errors(project_id(team.project), team.name):
                self._observe_project(team, row, intents.get(team.project), observed, seen)
        return seen

    def _observe_project(
        self, team: Team, row: Row, intent: Intent | None, observed: Observed, seen: Observed
    ) -> None:
        name = team.project
        fields = observed_fields(self._client, row)
        robots = self.robots(row["project_id"])
        # A team can write descriptions of robots, but not the annotations of its namespace.
        is_certain = intent is not None and intent.is_certain
        foreign = "" if is_certain else self._marks.foreign_project(robots, team.name)
        mark = intent.mark if intent else self._marks.project_mark(robots)
        is_ours = mark is not None and not foreign
        handle = {"project_id": row["project_id"], "adopted": mark == "adopted"}
        adopted = is_ours and handle["adopted"]
        seen.live[project_id(name)] = Live(
            fields,
            is_ours,
            marked=is_ours and not adopted,
            adopted=adopted,
            handle=handle,
            foreign=foreign,
        )
        members = recorded(team, observed, kinds.MEMBER)
        observe_members(self._client, team, row, is_ours, members, seen, adopted=adopted)
        for robot in robots:
            short = short_name(robot)
            with seen.capture_errors(robot_id(name, short), team.name):
                seen.live[robot_id(name, short)] = Live(
                    robot_fields(robot, self._clock()),
                    is_ours,
                    marked=self._marks.has_issued(robot, team.name),
                    # What is in a project of someone else is not an extra of this team.
                    team=team.name if is_ours else None,
                    handle=robot,
                )
        rules = {kind: recorded(team, observed, kind) for kind in tags.KINDS}
        tags.observe(self._client, team, row, is_ours, rules, seen)

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.action == "delete":
            self._delete(change)
            return
        project = change.id.key.split("/")[0]
        match change.id.kind:
            case kinds.PROJECT:
                self._apply_project(change)
            case kinds.MEMBER:
                apply_member(self._client, change, self.number(project))
            case kinds.RETENTION_POLICY:
                tags.apply_retention(self._client, change, self.number(project))
            case kinds.IMMUTABLE_TAG_RULE:
                tags.apply_immutable(self._client, change, self.number(project))
            case _:
                raise unknown_kind(change)

    def _delete(self, change: Change) -> None:
        assert change.live is not None
        handle = change.live.handle
        match change.id.kind:
            case kinds.PROJECT:
                self._client.delete(f"/projects/{handle['project_id']}")
                self._project_ids.pop(change.id.key, None)
                return
            case kinds.RETENTION_POLICY:
                self._client.delete(f"/retentions/{handle['id']}")
                return
            case kinds.SYSTEM_ROBOT:
                self._client.delete(f"/robots/{handle['id']}")
                return
            case kinds.REPOSITORY:
                path = repository_path(change.id.key.partition("/")[0], handle["name"])
                self._client.delete(path, by_name=True)
                return
            case kinds.MEMBER | kinds.USER_MEMBER:
                part = "members"
            case kinds.IMMUTABLE_TAG_RULE:
                part = "immutabletagrules"
            case _:
                raise unknown_kind(change)
        project = self.number(change.id.key.split("/")[0])
        self._client.delete(f"/projects/{project}/{part}/{handle['id']}")

    def number(self, name: str) -> int:
        """Return the number of a project.

        Args:
            name: the name of the project.
        """
        if name not in self._project_ids:
            found = self._client.get(f"/projects/{name}", by_name=True)
            self._project_ids[name] = found["project_id"]
        return self._project_ids[name]

    def _apply_project(self, change: Change) -> None:
        if change.live is None:
            self._project_ids[change.id.key] = create_project(self._client, change)
        else:
            update_project(self._client, change, change.live.handle["project_id"])
