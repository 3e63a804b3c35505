"""The user groups of Harbor 2.15.2. LDAP groups are never found, because the sandbox has no LDAP."""

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.model import Group, Member
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, answer, created, done, invalid

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

LDAP_GROUP = 1
_FIELDS = {
    "id": lambda g: g.id,
    "group_name": lambda g: g.name,
    "group_type": lambda g: g.type,
}


def add_group(harbor: "SimulatedHarbor", name: str, kind: int) -> Group:
    """Add a group to the state and return it.

    Raises:
        Refusal: the name is in use, even if by a group of another type.
    """
    group_id = harbor.state.next_id("group")
    if any(g.name == name for g in harbor.groups.values()):
        raise Refusal(
            500, f"a user group named {name} exists"
        )  # a unique index, whose error Harbor does not map
    group = harbor.groups[group_id] = Group(group_id, name, kind)
    return group


def _group_json(group: Group) -> dict[str, Any]:
    return {"group_name": group.name, "group_type": group.type, "id": group.id}


@routes.api("GET", "/usergroups")
def list_groups(call: Call) -> Response:
    """Return the groups of all types."""
    listing = call.listing
    call.require("list", "user-group")
    found = sorted(call.harbor.groups.values(), key=lambda g: g.name)
    if name := call.query.get("group_name"):
        found = [g for g in found if name in g.name]
    return listing.answer(listing.select(found, _FIELDS), _group_json)


@routes.api("GET", "/usergroups/search")
def search_groups(call: Call) -> Response:
    """Return the groups whose name contains a text, for all authenticated callers."""
    access.require_known(call.caller)
    name = call.query.get("groupname")
    if not name:
        raise invalid("groupname in query is required")
    found = sorted((g for g in call.harbor.groups.values() if name in g.name), key=lambda g: g.name)
    return call.listing.answer(found, _group_json)


@routes.api("POST", "/usergroups")
def create_group(call: Call) -> Response:
    """Create a group."""
    body = call.body("usergroup", {"group_name": str, "group_type": int, "ldap_group_dn": str})
    call.require("create", "user-group")
    name, kind = body.get("group_name") or "", body.get("group_type") or 0
    dn = body.get("ldap_group_dn") or ""
    if not name:
        return Response(status_code=400)
    if kind == LDAP_GROUP:
        raise Refusal(400, f"LDAP Group DN is not found: DN:{dn}")
    if any(g.name == name and g.type == kind for g in call.harbor.groups.values()):
        description = f"group name:{name}, group type: {kind}, ldap group DN: {dn}"
        raise Refusal(409, f"duplicate user group, {description}")
    group = add_group(call.harbor, name, kind)
    return created(f"/api/v2.0/usergroups/{group.id}")


@routes.api("GET", "/usergroups/{id}")
def get_group(call: Call) -> Response:
    """Return one group, without its id."""
    group_id = call.number("id")
    call.require("read", "user-group")
    group = _group_json(_find_group(call, group_id))
    del group["id"]
    return answer(group)


@routes.api("PUT", "/usergroups/{id}")
def rename_group(call: Call) -> Response:
    """Rename a group. Nothing else can be changed."""
    group_id = call.number("id")
    body = call.body("usergroup", {"group_name": str})
    call.require("update", "user-group")
    name = body.get("group_name") or ""
    if not name:
        return Response(status_code=400)
    group = _find_group(call, group_id)
    if any(g.name == name and g.id != group_id for g in call.harbor.groups.values()):
        raise Refusal(500, f"a user group named {name} exists")
    group.name = name
    return done()


@routes.api("DELETE", "/usergroups/{id}")
def delete_group(call: Call) -> Response:
    """Delete a group and its memberships in all projects. It need not exist."""
    group_id = call.number("id")
    call.require("delete", "user-group")
    call.harbor.groups.pop(group_id, None)
    drop_memberships(call.harbor, "g", group_id)
    return done()


def _find_group(call: Call, group_id: int) -> Group:
    if group := call.harbor.groups.get(group_id):
        return group
    raise Refusal(404, f"the user group with id {group_id} is not found")


def drop_memberships(harbor: "SimulatedHarbor", kind: str, entity_id: int) -> None:
    """Remove a user or group from all projects."""

    def matches(member: Member) -> bool:
        return member.entity_type == kind and member.entity_id == entity_id

    for project in harbor.projects.values():
        project.members = {i: m for i, m in project.members.items() if not matches(m)}
