"""The project members of Harbor 2.15.2, including its behavior for roles that do not exist."""

import asyncio
from typing import Any, Literal

from starlette.responses import Response

from tenantry.sandbox.harbor.grants import ROLE_NAMES
from tenantry.sandbox.harbor.groups import add_group
from tenantry.sandbox.harbor.model import OIDC_GROUP, Member, Project
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, created, done

_SHAPE: Shape = {
    "role_id": int,
    "member_user": {"user_id": int, "username": str},
    "member_group": {"id": int, "group_name": str, "group_type": int, "ldap_group_dn": str},
}
_Entity = tuple[Literal["u", "g"], int]


@routes.api("GET", "/projects/{project}/members")
def list_members(call: Call) -> Response:
    """Return the members whose role exists. The total also counts all other members."""
    listing, project = call.listing, call.project("list", "member")
    found = [
        _member_json(call, project, m) for m in project.members.values() if m.role_id in ROLE_NAMES
    ]
    if name := call.query.get("entityname"):
        found = [member for member in found if member["entity_name"] == name]
    found.sort(key=lambda member: str(member["entity_name"]))
    return listing.answer(found, lambda member: member, total=len(project.members))


@routes.api("POST", "/projects/{project}/members")
async def create_member(call: Call) -> Response:
    """Add a user or group. An existing member is rejected before the role is checked."""
    body = call.body("project member", _SHAPE)
    project, harbor, role = call.project("create", "member"), call.harbor, body.get("role_id")
    entity = _find_entity(call, body)
    if isinstance(entity, tuple) and _is_member(project, entity):
        raise Refusal(409, "The project member specified already exist")
    if role not in ROLE_NAMES:
        raise Refusal(400, "Failed to update project member, role is not in 1,2,3")
    # A member that is added between the check and the write violates a unique index: status 500.
    await asyncio.sleep(harbor.race_window)
    found: _Entity = (
        ("g", add_group(harbor, entity, OIDC_GROUP).id) if isinstance(entity, str) else entity
    )
    member_id = harbor.state.next_id("member")
    if _is_member(project, found):
        raise Refusal(500, "the member has been added meanwhile")
    for hidden in [m.id for m in project.members.values() if _is(m, found)]:
        del project.members[hidden]
    project.members[member_id] = Member(member_id, found[1], found[0], role)
    return created(f"/api/v2.0/projects/{call.path['project']}/members/{member_id}")


def _is_member(project: Project, entity: _Entity) -> bool:
    """Return whether the entity is a member whose role exists. Harbor replaces other members."""
    return any(_is(m, entity) and m.role_id in ROLE_NAMES for m in project.members.values())


def _is(member: Member, entity: _Entity) -> bool:
    return (member.entity_type, member.entity_id) == entity


def _find_entity(call: Call, body: dict[str, Any]) -> _Entity | str:
    """Return the existing entity of the body, or the name of a group to create."""
    harbor = call.harbor
    user, group = body.get("member_user") or {}, body.get("member_group") or {}
    if user_id := user.get("user_id"):
        if user_id not in harbor.users:
            raise Refusal(400, f"Failed to get user {user_id}: user {user_id} not found")
        return ("u", user_id)
    if group_id := group.get("id"):
        if group_id not in harbor.groups:
            raise Refusal(400, f"Group {group_id} not found")
        return ("g", group_id)
    if name := user.get("username"):
        for known in harbor.users.values():
            if known.username == name:
                return ("u", known.id)
        raise Refusal(404, f"{name} not found: not supported")
    if name := group.get("group_name"):
        oidc = harbor.configuration["auth_mode"] == "oidc_auth"
        # With OIDC, Harbor finds and creates groups of type 3, whatever type the body has.
        kinds = (group.get("group_type"), OIDC_GROUP) if oidc else (group.get("group_type"),)
        for known_group in harbor.groups.values():
            if known_group.name == name and known_group.type in kinds:
                return ("g", known_group.id)
        if not oidc:
            raise Refusal(404, f"{name} not found: not supported")
        return str(name)
    raise Refusal(500, "neither a user nor a group")


@routes.api("GET", "/projects/{project}/members/{mid}")
def get_member(call: Call) -> Response:
    """Return one member, if its role exists."""
    member_id = call.number("mid")
    project = call.project("read", "member")
    member = project.members.get(member_id)
    if member is None or member.role_id not in ROLE_NAMES:
        raise Refusal(
            404,
            f"the project member is not found, project id {project.id}, member id {member_id}",
        )
    return answer(_member_json(call, project, member))


@routes.api("PUT", "/projects/{project}/members/{mid}")
def update_member(call: Call) -> Response:
    """Set the role, which need not exist. A missing member is answered with 200, too."""
    member_id = call.number("mid")
    body = call.body("role", {"role_id": int})
    if member := call.project("update", "member").members.get(member_id):
        member.role_id = body.get("role_id") or 0
    return done()


@routes.api("DELETE", "/projects/{project}/members/{mid}")
def delete_member(call: Call) -> Response:
    """Remove a member. It need not exist."""
    member_id = call.number("mid")
    call.project("delete", "member").members.pop(member_id, None)
    return done()


def _member_json(call: Call, project: Project, member: Member) -> dict[str, Any]:
    name: str | None = None
    if member.entity_type == "g" and (group := call.harbor.groups.get(member.entity_id)):
        name = group.name
    if member.entity_type == "u" and (user := call.harbor.users.get(member.entity_id)):
        name = user.username
    return {
        "entity_id": member.entity_id,
        "entity_name": name,
        "entity_type": member.entity_type,
        "id": member.id,
        "project_id": project.id,
        "role_id": member.role_id,
        "role_name": ROLE_NAMES[member.role_id],
    }
