"""Harbor: the team's project, its quota, members, retention and immutable-tag rules.

Robots are in `tenantry.systems.credentials`, with the Secrets that hold what they are for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tenantry.calls import MAX_SINGLE_READS, Clock, map_concurrently
from tenantry.declared import Declaration, Team
from tenantry.declared.team import ImmutableTags
from tenantry.declared.types import UNLIMITED, is_whole, storage_bytes
from tenantry.errors import (
    ChangedMeanwhile,
    DependencyUnread,
    NotEffective,
    SystemRefused,
    SystemUnavailable,
)
from tenantry.marks import Intent, Marks
from tenantry.plan import Change, unknown_kind
from tenantry.resources import Amount, Id, Live, Observed, Resource, Unreadable
from tenantry.systems.harbor import kinds, tags
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.robots import robot_fields, robot_id, short_name
from tenantry.systems.kubernetes.intents import project_intent
from tenantry.systems.kubernetes.kinds import NAMESPACE
from tenantry.transport import conflict_as_change

ROLES = {"projectAdmin": 1, "developer": 2, "guest": 3, "maintainer": 4, "limitedGuest": 5}
_ROLE_NAMES = {number: name for name, number in ROLES.items()}
_OIDC_GROUP = 3

_METADATA = {
    "public": "public",
    "auto_scan": "auto_scan",
    "prevent_vulnerable": "prevent_vul",
    "severity": "severity",
    "require_cosign": "enable_content_trust_cosign",
}
"""Our fields of a project and Harbor's keys for them."""


def project_id(name: str) -> Id:
    """How a project is known in plans."""
    return Id(kinds.PROJECT, name)


class HarborTeams:
    """The resources of teams in Harbor, but for robots."""

    name = "Harbor"
    system = "harbor"
    kinds = frozenset(
        {
            kinds.PROJECT,
            kinds.MEMBER,
            kinds.USER_MEMBER,
            kinds.RETENTION_POLICY,
            kinds.IMMUTABLE_TAG_RULE,
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
        """Return the team's project, and what is in it but the robots. The project is the first."""
        declared, name = team.harbor, team.slug
        project = project_id(name)
        fields: dict[str, Any] = {
            key: value for key in _METADATA if (value := getattr(declared, key)) is not None
        }
        if declared.storage_quota is not None:
            quota = declared.storage_quota
            if not is_whole(quota):
                quota = str(storage_bytes(quota))  # Harbor keeps whole bytes
            fields["storage_quota"] = Amount(quota)
        # Its mark stands on the namespace: without that, nobody would know it for ours.
        namespace = Id(NAMESPACE, name)
        wanted = [Resource(project, fields, depends_on=(namespace,))]
        for group, role in {team.oidc_group: declared.role, **declared.groups}.items():
            id = Id(kinds.MEMBER, f"{name}/{group}")
            wanted.append(Resource(id, {"role": role}, owner=project))
        if declared.retention is not None:
            id = Id(kinds.RETENTION_POLICY, name)
            fields = tags.retention_fields(declared.retention)
            body = declared.retention
            wanted.append(Resource(id, fields, body=body, owner=project))
        for rule in declared.immutable_tags:
            id = _immutable_id(name, rule.repositories, rule.tags)
            wanted.append(Resource(id, {"enabled": True}, body=rule, owner=project))
        return wanted

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the projects of these teams and what is in them.

        Args:
            teams: the teams.
            observed: their namespaces, which record whose the projects are.
        """
        seen = Observed()
        intents = {team.slug: project_intent(team, observed) for team in teams}
        projects = self.projects([team.slug for team in teams], seen)
        for part in map_concurrently(
            lambda team: self._observe_team(team, projects, intents), teams
        ):
            seen.add(part)
        for team in teams:
            project = project_id(team.slug)
            live = seen.live.get(project)
            if (
                live is not None
                and not live.ours
                and not observed.is_known(Id(NAMESPACE, team.slug))
            ):
                # The record that makes the project ours may be on that namespace.
                reason = "nobody can tell whose it is while its namespace can't be read"
                error = DependencyUnread("harbor", f"project {team.slug}", reason)
                seen.unreadable[project] = Unreadable(error, team.name)
        return seen

    def projects(self, names: Sequence[str], seen: Observed) -> dict[str, Row]:
        """Return those of these projects that exist, as Harbor lists them.

        Args:
            names: the projects.
            seen: is given what could not be read of the list.
        """
        listed: dict[str, Row] = {}
        if len(names) <= MAX_SINGLE_READS and not self._extras:
            rows = [
                row for name in names for row in self._client.pages("/projects", q=f"name={name}")
            ]
        else:
            rows = list(self._client.pages("/projects"))
        for row in rows:
            # Without a number it can't be observed; without a name it may be anybody's.
            name = str(dict.get(row, "name", "*"))
            with seen.capture_errors(project_id(name), self._owner(name)):
                self._project_ids[row["name"]] = row["project_id"]
                listed[row["name"]] = row
        if self._extras:
            self._observe_left_over(listed, seen)
        return {name: listed[name] for name in dict.fromkeys(names) if name in listed}

    def _owner(self, project: str) -> str | None:
        """Return the name of the team that a project's name belongs to."""
        team = self._state.teams.get(project.removeprefix("team-"))
        return team.name if team is not None and team.slug == project else None

    def _observe_left_over(self, projects: Mapping[str, Row], seen: Observed) -> None:
        """The projects that were made for teams which nobody declares any more."""
        declared = {f"team-{name}" for name in self._state.names}
        for name, row in projects.items():
            if name.startswith("team-") and name not in declared:
                with seen.capture_errors(project_id(name), None):
                    robots = self.robots(row["project_id"])
                    team = name.removeprefix("team-")
                    if mark := self._marks.project_mark(robots):
                        marked = mark == "created"
                        seen.live[project_id(name)] = Live({}, marked=marked, team=team)
                        self._observe_left_over_robots(name, team, robots, seen)

    def _observe_left_over_robots(
        self, project: str, team: str, robots: Sequence[Row], seen: Observed
    ) -> None:
        """The robots of a team that no file declares. A person decides about them: none is marked."""
        for row in robots:
            id = robot_id(project, str(dict.get(row, "name", "*")).rpartition("+")[2])
            with seen.capture_errors(id, None):
                fields = robot_fields(row, self._clock())
                seen.live[id] = Live(fields, ours=False, team=team, handle=row)

    def robots(self, project: int) -> list[Row]:
        """All robots of a project, by its number."""
        return list(self._client.pages("/robots", q=f"Level=project,ProjectID={project}"))

    def _observe_team(
        self, team: Team, projects: dict[str, Row], intents: Mapping[str, Intent | None]
    ) -> Observed:
        seen = Observed()
        project = projects.get(team.slug)
        if project is not None:
            with seen.capture_errors(project_id(team.slug), team.name):
                self._observe_project(team, project, intents.get(team.slug), seen)
        return seen

    def _observe_project(
        self, team: Team, project: Row, intent: Intent | None, seen: Observed
    ) -> None:
        name, number = team.slug, project["project_id"]
        metadata = project.get("metadata") or {}
        fields = {
            ours: _as_declared(metadata[theirs])
            for ours, theirs in _METADATA.items()
            if theirs in metadata
        }
        summary = self._client.get(f"/projects/{number}/summary")
        if "quota" in summary:
            fields["storage_quota"] = _storage_text(summary["quota"]["hard"]["storage"])
        robots = self.robots(number)
        # A team may write descriptions of robots, and never its namespace's annotations.
        is_certain = intent is not None and intent.is_certain
        foreign = "" if is_certain else self._marks.foreign_project(robots, team.name)
        mark = intent.mark if intent else self._marks.project_mark(robots)
        is_ours = mark is not None and not foreign
        owner = team.name if is_ours else None  # nothing in what is another's is our extra
        handle = {"project_id": number, "adopted": mark == "adopted"}
        seen.live[project_id(name)] = Live(fields, is_ours, handle=handle, foreign=foreign)
        makers = (project.get("owner_name"), self._client.account.username)
        for row in self._client.pages(f"/projects/{number}/members"):
            with seen.capture_errors(
                Id(kinds.MEMBER, f"{name}/{row.get('entity_name', '*')}"), team.name
            ):
                kind = kinds.MEMBER if row["entity_type"] == "g" else kinds.USER_MEMBER
                if kind == kinds.USER_MEMBER and row["entity_name"] in makers:
                    continue  # Harbor makes whoever creates a project its first member.
                role = _ROLE_NAMES.get(row["role_id"], row["role_id"])
                id = Id(kind, f"{name}/{row['entity_name']}")
                seen.live[id] = Live({"role": role}, is_ours, team=owner, handle=row)
        for robot in robots:
            short = short_name(robot)
            with seen.capture_errors(robot_id(name, short), team.name):
                seen.live[robot_id(name, short)] = Live(
                    robot_fields(robot, self._clock()),
                    is_ours,
                    marked=self._marks.has_issued(robot, team.name),
                    team=owner,
                    handle=robot,
                )
        if team.harbor.retention is not None and "retention_id" in metadata:
            with seen.capture_errors(Id(kinds.RETENTION_POLICY, name), team.name):
                self._observe_retention(name, metadata["retention_id"], is_ours, seen)
        if team.harbor.immutable_tags:
            with seen.capture_errors(Id(kinds.IMMUTABLE_TAG_RULE, f"{name}/*"), team.name):
                for row in self._client.pages(f"/projects/{number}/immutabletagrules"):
                    id = _immutable_id(name, *tags.patterns(row))
                    enabled = not row.get("disabled", False)
                    seen.live[id] = Live({"enabled": enabled}, is_ours, team=owner, handle=row)

    def _observe_retention(self, name: str, number: str, is_ours: bool, seen: Observed) -> None:
        policy = self._client.get(f"/retentions/{number}")
        id = Id(kinds.RETENTION_POLICY, name)
        seen.live[id] = Live(tags.observed_retention(policy), is_ours, handle=policy)

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.action == "delete":
            self._delete(change)
            return
        match change.id.kind:
            case kinds.PROJECT:
                self._apply_project(change)
            case kinds.MEMBER:
                self._apply_member(change)
            case kinds.RETENTION_POLICY:
                self._apply_retention(change)
            case kinds.IMMUTABLE_TAG_RULE:
                self._apply_immutable(change)
            case _:
                raise unknown_kind(change)

    def _delete(self, change: Change) -> None:
        assert change.live is not None
        number = change.live.handle["id"]
        match change.id.kind:
            case kinds.MEMBER | kinds.USER_MEMBER:
                part = "members"
            case kinds.IMMUTABLE_TAG_RULE:
                part = "immutabletagrules"
            case _:
                raise unknown_kind(change)
        project = self.number(change.id.key.split("/")[0])
        self._client.delete(f"/projects/{project}/{part}/{number}")

    def number(self, name: str) -> int:
        """A project's id, by its name."""
        if name not in self._project_ids:
            project = self._client.get(f"/projects/{name}", by_name=True)
            self._project_ids[name] = project["project_id"]
        return self._project_ids[name]

    def _apply_project(self, change: Change) -> None:
        name, fields = change.id.key, change.resource.fields
        declared = {key: fields[key] for key in _METADATA if key in fields}
        storage = fields.get("storage_quota")
        if change.live is None:
            body: Row = {"project_name": name, "metadata": _as_metadata(declared)}
            if storage is not None:
                body["storage_limit"] = storage_bytes(storage)
            answer = _create(self._client, "/projects", body)
            self._project_ids[name] = int(answer.headers["Location"].rsplit("/", 1)[-1])
            return
        number = change.live.handle["project_id"]
        differing = {difference.field for difference in change.differences}
        wrong = {key: value for key, value in declared.items() if key in differing}
        if wrong:
            self._client.put(f"/projects/{number}", {"metadata": _as_metadata(wrong)})
        if "storage_quota" in differing and storage is not None:
            # PUT of the project ignores the limit, and a quota's id is its own.
            quotas = self._client.rows("/quotas", reference="project", reference_id=number)
            if not quotas:
                raise ChangedMeanwhile("harbor", "GET /api/v2.0/quotas", "the project is gone")
            body = {"hard": {"storage": storage_bytes(storage)}}
            self._client.put(f"/quotas/{quotas[0]['id']}", body)

    def _apply_member(self, change: Change) -> None:
        name, group = change.id.key.split("/", 1)
        role = ROLES[change.resource.fields["role"]]
        path = f"/projects/{self.number(name)}/members"
        if change.live is None:
            self._ensure_group(group)
            member = {"group_name": group, "group_type": _OIDC_GROUP}
            _create(self._client, path, {"role_id": role, "member_group": member})
            return
        path = f"{path}/{change.live.handle['id']}"
        self._client.put(path, {"role_id": role})
        # Harbor answers 200 to the PUT of a member that is gone, so look.
        now = self._client.find(path)
        if now is None or now["role_id"] != role:
            call = f"PUT /api/v2.0{path}"
            raise NotEffective("harbor", call, f"'{group}' does not have role {role} after it")

    def _ensure_group(self, name: str) -> None:
        """The group must be there before a membership needs it.

        Measured: sixteen parallel memberships of a group that did not exist gave 500 for
        some, and wrote nothing; with the group there beforehand they don't.
        """
        for _ in range(2):
            rows = self._client.pages("/usergroups", group_name=name)
            group = next((row for row in rows if row["group_name"] == name), None)
            if group is not None:
                break
            try:
                _create(
                    self._client, "/usergroups", {"group_name": name, "group_type": _OIDC_GROUP}
                )
                return
            except SystemUnavailable as error:  # of two concurrent calls, one may fail with 500
                if error.status != 500 and not isinstance(error, ChangedMeanwhile):
                    raise
        if group is not None and group["group_type"] != _OIDC_GROUP:
            raise SystemRefused(
                "harbor",
                "GET /api/v2.0/usergroups",
                f"group '{name}' exists with type {group['group_type']}, not as an OIDC group "
                f"(type {_OIDC_GROUP}): logins would silently get nothing from it",
                advice="Delete that group in Harbor (its memberships go with it) and run again.",
            )

    def _apply_retention(self, change: Change) -> None:
        body = tags.retention_body(change.resource.body, self.number(change.id.key))
        if change.live is None:
            _create(self._client, "/retentions", body)
        else:
            policy = change.live.handle["id"]
            self._client.put(f"/retentions/{policy}", {**body, "id": policy})

    def _apply_immutable(self, change: Change) -> None:
        name = change.id.key.split("/", 1)[0]
        rule: ImmutableTags = change.resource.body
        path = f"/projects/{self.number(name)}/immutabletagrules"
        body = {
            "disabled": False,
            "action": "immutable",
            "template": "immutable_template",
            **tags.selectors(rule.repositories, rule.tags),
        }
        if change.live is None:
            _create(self._client, path, body)
        else:
            number = change.live.handle["id"]
            self._client.put(f"{path}/{number}", {**change.live.handle, "disabled": False})


def _create(client: HarborClient, path: str, body: Row) -> Any:
    """POST of something that was not there a moment ago.

    Raises:
        ChangedMeanwhile: Harbor says that it is there (409), or failed as it does when two
            create the same thing at once (500). Neither means that it is as desired.
    """
    with conflict_as_change():
        return client.post(path, body)


# Harbor's forms and ours


def _as_declared(value: str) -> Any:
    return {"true": True, "false": False}.get(value, value)


def _as_metadata(fields: Row) -> dict[str, str]:
    """Harbor keeps all metadata as text."""
    return {
        _METADATA[key]: str(value).lower() if isinstance(value, bool) else value
        for key, value in fields.items()
    }


def _storage_text(size: int) -> str:
    if size < 0:
        return UNLIMITED
    for unit, factor in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20)):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _immutable_id(project: str, repositories: str, pattern: str) -> Id:
    return Id(kinds.IMMUTABLE_TAG_RULE, f"{project}/{repositories}:{pattern}")
