"""Groups: a tree. Lists are paged, and have children only on request."""

from starlette.responses import Response

from .answers import (
    JSON,
    Call,
    Routes,
    answer,
    created,
    done,
    exists,
    invalid,
    not_found,
    unknown_error,
)
from .state import Group, Realm, new_id
from .users import user_json

routes = Routes()

# The maximum length of names and attribute values. The server fails for longer ones.
_MAX_LENGTH = 255

_ACCESS = dict.fromkeys(
    ("view", "viewMembers", "manageMembers", "manage", "manageMembership"), True
)


def group_json(
    realm: Realm, group: Group, *, full: bool = True, count: bool = True, access: bool = True
) -> JSON:
    """Return the representation of a group. Its parts depend on the endpoint."""
    rep: JSON = {"id": group.id, "name": group.name, "path": realm.path(group)}
    if group.description is not None:
        rep["description"] = group.description
    if group.parent:
        rep["parentId"] = group.parent
    if count:
        rep["subGroupCount"] = realm.child_count(group.id)
    rep["subGroups"] = []
    if full:
        rep |= {"attributes": group.attributes, "realmRoles": [], "clientRoles": {}}
    if access:
        rep["access"] = _ACCESS
    return rep


def _find_group(realm: Realm, group_id: str, message: str = "Could not find group by id") -> Group:
    group = realm.groups.get(group_id)
    if group is None:
        raise not_found(message)
    return group


@routes("GET", "groups")
def list_groups(realm: Realm, call: Call) -> Response:
    """Return the top-level groups, or the parts of the tree that match a search."""
    full = not call.flag("briefRepresentation", True)
    count = call.flag("subGroupsCount", True)
    if not call.query.get("search", "").strip() and not call.query.get("q", "").strip():
        page = call.page(realm.children(None))
        return answer([group_json(realm, group, full=full, count=count) for group in page])
    matches = sorted(_filter(list(realm.groups.values()), call), key=lambda group: group.name)
    if not call.flag("populateHierarchy", True):
        page = call.page(matches)
        return answer([group_json(realm, group, full=full, count=count) for group in page])
    found: dict[str, JSON] = {}
    tops: dict[str, JSON] = {}
    for match in call.page(matches):
        below: JSON | None = None
        group: Group | None = match
        while group is not None:
            known = group.id in found
            rep = found.setdefault(group.id, group_json(realm, group, full=full, count=count))
            if below is not None and below not in rep["subGroups"]:
                rep["subGroups"].append(below)
            if group.parent is None:
                tops[group.id] = rep
            if known:
                break
            below, group = rep, realm.groups[group.parent] if group.parent else None
    return answer(sorted(tops.values(), key=lambda rep: str(rep["name"])))


def _filter(groups: list[Group], call: Call) -> list[Group]:
    for pair in call.query.get("q", "").split():
        name, _, value = pair.partition(":")
        groups = [group for group in groups if value in group.attributes.get(name, ())]
    search = call.query.get("search", "").strip()
    if not search:
        return groups
    if call.flag("exact"):
        return [group for group in groups if group.name == search]
    wanted = search.lower()
    return [group for group in groups if wanted in group.name.lower()]


@routes("GET", "groups/count")
def count_groups(realm: Realm, call: Call) -> Response:
    """Return the number of groups in the whole tree, or with `top` of top-level groups."""
    if call.query.get("search"):
        return answer({"count": len(_filter(list(realm.groups.values()), call))})
    groups = realm.children(None) if call.flag("top") else list(realm.groups)
    return answer({"count": len(groups)})


@routes("POST", "groups")
def create_group(realm: Realm, call: Call) -> Response:
    """Create a top-level group. If the body has the id of a group, move that group instead."""
    rep = call.body
    name = _parse_name(rep)
    if rep.get("id"):
        moved = _find_group(realm, rep["id"], "Could not find child by id")
        if moved.parent is not None:
            _check_name_is_free(realm, None, name)
            realm.place_group(moved, None, moved.name)
        return done()
    _check_name_is_free(realm, None, name)
    group = _add_group(realm, rep, None)
    return created(f"{call.base}/admin/realms/{realm.name}/groups/{group.id}")


@routes("GET", "groups/{group}")
def get_group(realm: Realm, call: Call, group_id: str) -> Response:
    """Return one group."""
    return answer(group_json(realm, _find_group(realm, group_id)))


@routes("PUT", "groups/{group}")
def update_group(realm: Realm, call: Call, group_id: str) -> Response:
    """Set name and description, and replace the attributes if they are given."""
    group, rep = _find_group(realm, group_id), call.body
    name = _parse_name(rep)
    if rep.get("id") not in (None, group.id):
        raise invalid("Invalid group id")
    if name != group.name:
        if realm.child_named(group.parent, name):
            raise exists(f"Sibling group named '{name}' already exists.")
        realm.place_group(group, group.parent, name)
    if rep.get("attributes") is not None:
        group.attributes = _parse_attributes(rep)
    group.description = rep.get("description")
    return done()


@routes("DELETE", "groups/{group}")
def delete_group(realm: Realm, call: Call, group_id: str) -> Response:
    """Delete a group and everything below it."""
    realm.remove_group(_find_group(realm, group_id))
    return done()


@routes("GET", "groups/{group}/children")
def list_children(realm: Realm, call: Call, group_id: str) -> Response:
    """Return the direct children; by default, at most 10."""
    group = _find_group(realm, group_id)
    full = not call.flag("briefRepresentation", False)
    page = call.page(_filter(realm.children(group.id), call), 10)
    return answer([group_json(realm, child, full=full) for child in page])


@routes("POST", "groups/{group}/children")
def create_child(realm: Realm, call: Call, group_id: str) -> Response:
    """Create a child. If the body has the id of a group, move that group instead."""
    parent, rep = _find_group(realm, group_id), call.body
    name = _parse_name(rep)
    if rep.get("id"):
        child = _find_group(realm, rep["id"], "Could not find child by id")
        if child.parent != parent.id:
            _check_name_is_free(realm, parent.id, name)
            realm.place_group(child, parent.id, child.name)
        return done()
    _check_name_is_free(realm, parent.id, name)
    child = _add_group(realm, rep, parent.id)
    response = answer(group_json(realm, child, count=False), 201)
    response.headers["location"] = f"{call.base}/admin/realms/{realm.name}/groups/{child.id}"
    return response


@routes("GET", "groups/{group}/members")
def list_members(realm: Realm, call: Call, group_id: str) -> Response:
    """Return the direct members by username; by default, at most 100."""
    group = _find_group(realm, group_id)
    members = sorted((realm.users[id] for id in group.members), key=lambda user: user.username)
    brief = call.flag("briefRepresentation")
    return answer([user_json(realm, user, brief=brief) for user in call.page(members, 100)])


def group_at_path(realm: Realm, path: list[str]) -> Response:
    """Return the group at a path of names."""
    group = realm.group_at(path)
    if group is None:
        raise not_found("Group path does not exist")
    return answer(group_json(realm, group, access=False))


@routes("GET", "users/{user}/groups")
def list_groups_of_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Return the groups of which a user is a direct member, by name."""
    user = realm.users.get(user_id)
    if user is None:
        raise not_found("User not found")
    groups = sorted((realm.groups[id] for id in user.groups), key=lambda group: group.name)
    full = not call.flag("briefRepresentation", True)
    page = call.page(_filter(groups, call))
    return answer(
        [group_json(realm, group, full=full, count=False, access=False) for group in page]
    )


@routes("PUT", "users/{user}/groups/{group}")
def join(realm: Realm, call: Call, user_id: str, group_id: str) -> Response:
    """Make the user a member. A repetition has no effect."""
    if user_id not in realm.users:
        raise not_found("User not found")
    realm.join(realm.users[user_id], _find_group(realm, group_id, "Group not found"))
    return done()


@routes("DELETE", "users/{user}/groups/{group}")
def leave(realm: Realm, call: Call, user_id: str, group_id: str) -> Response:
    """End the membership. It need not exist."""
    if user_id not in realm.users:
        raise not_found("User not found")
    realm.leave(realm.users[user_id], _find_group(realm, group_id, "Group not found"))
    return done()


def _parse_name(rep: JSON) -> str:
    name = rep.get("name")
    if not isinstance(name, str) or not name.strip():
        raise invalid("Group name is missing")
    if len(name) > _MAX_LENGTH:
        raise unknown_error()
    return name


def _parse_attributes(rep: JSON) -> dict[str, list[str]]:
    given = {key: list(value) for key, value in (rep.get("attributes") or {}).items() if value}
    if any(len(value) > _MAX_LENGTH for values in given.values() for value in values):
        raise unknown_error()
    return given


def _check_name_is_free(realm: Realm, parent: str | None, name: str) -> None:
    if realm.child_named(parent, name):
        what = "Sibling group" if parent else "Top level group"
        raise exists(f"{what} named '{name}' already exists.")


def _add_group(realm: Realm, rep: JSON, parent: str | None) -> Group:
    group = Group(new_id(), rep["name"], parent, rep.get("description"), _parse_attributes(rep))
    realm.add_group(group)
    return group
