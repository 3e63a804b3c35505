"""Members of Harbor projects: groups of the provider, and users that were added by hand."""

from collections.abc import Collection, Iterator

from tenantry.declared import Team
from tenantry.errors import ChangedMeanwhile, NotEffective, SystemRefused, SystemUnavailable
from tenantry.plan import Change
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.harbor import kinds
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.project import project_id
from tenantry.systems.kubernetes.record import recorded_key

ROLES = {"projectAdmin": 1, "developer": 2, "guest": 3, "maintainer": 4, "limitedGuest": 5}
_ROLE_NAMES = {number: name for name, number in ROLES.items()}
_OIDC_GROUP = 3


def members(team: Team) -> Iterator[Resource]:
    """Yield the desired members of a team's project."""
    declared, project = team.harbor, project_id(team.project)
    for group, role in {team.oidc_group: declared.role, **declared.groups}.items():
        yield Resource(_id(team, group), {"role": role}, owner=project)


def _id(team: Team, group: str) -> Id:
    return Id(kinds.MEMBER, f"{team.project}/{group}")


def observe_members(
    client: HarborClient,
    team: Team,
    project: Row,
    is_ours: bool,
    created: Collection[str],
    seen: Observed,
    *,
    adopted: bool,
) -> None:
    """Add the members of a project to what was observed.

    Args:
        client: Harbor.
        team: the team.
        project: its project, as Harbor lists it.
        is_ours: whether the project is Tenantry's, which its members share.
        created: the recorded keys of the members that Tenantry added.
        seen: what was observed.
        adopted: whether the project, and therefore its members, existed before.
    """
    creators = (project.get("owner_name"), client.account.username)
    for row in client.pages(f"/projects/{project['project_id']}/members"):
        with seen.capture_errors(_id(team, row.get("entity_name", "*")), team.name):
            kind = kinds.MEMBER if row["entity_type"] == "g" else kinds.USER_MEMBER
            if kind == kinds.USER_MEMBER and row["entity_name"] in creators:
                continue  # Harbor adds the creator of a project as its first member
            role = _ROLE_NAMES.get(row["role_id"], row["role_id"])
            id = Id(kind, f"{team.project}/{row['entity_name']}")
            owner = team.name if is_ours else None
            marked = is_ours and kind == kinds.MEMBER and recorded_key(id.key) in created
            seen.live[id] = Live(
                {"role": role}, is_ours, marked, adopted=adopted, team=owner, handle=row
            )


def apply_member(client: HarborClient, change: Change, project: int) -> None:
    """Add a group to a project, or change its role.

    Args:
        client: Harbor.
        change: the change.
        project: the number of the project.

    Raises:
        NotEffective: Harbor accepted the role, and does not show it.
        SystemRefused: a group of this name exists, and is not an OIDC group.
    """
    group = change.id.key.split("/", 1)[1]
    role = ROLES[change.resource.fields["role"]]
    path = f"/projects/{project}/members"
    if change.live is None:
        _ensure_group(client, group)
        member = {"group_name": group, "group_type": _OIDC_GROUP}
        client.create(path, {"role_id": role, "member_group": member})
        return
    path = f"{path}/{change.live.handle['id']}"
    client.put(path, {"role_id": role})
    # Harbor also answers 200 to the PUT of a member that was deleted.
    now = client.find(path)
    if now is None or now["role_id"] != role:
        call = f"PUT /api/v2.0{path}"
        raise NotEffective("harbor", call, f"'{group}' does not have role {role} after it")


def _ensure_group(client: HarborClient, name: str) -> None:
    """Create a group in Harbor unless it exists.

    Measured: of sixteen concurrent memberships of a group that did not exist, some failed with 500
    and wrote nothing. None failed if the group existed.
    """
    for _ in range(2):
        rows = client.pages("/usergroups", group_name=name)
        group = next((row for row in rows if row["group_name"] == name), None)
        if group is not None:
            break
        try:
            client.create("/usergroups", {"group_name": name, "group_type": _OIDC_GROUP})
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
