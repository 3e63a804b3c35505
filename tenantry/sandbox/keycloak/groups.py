"""Groups: a tree whose lists come in pages, with children only on request."""

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
from .users import shown as shown_user

routes = Routes()

# What fits into a name and into an attribute's value; the server fails over more.
_MOST = 255

_ACCESS = dict.fromkeys(
    ("view", "viewMembers", "manageMembers", "manage", "manageMembership"), True
)


def shown(
    realm: Realm, group: Group, *, full: bool = True, count: bool = True, access: bool = True
) -> JSON:
    """A group's representation; which parts it has depends on who shows it."""
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


def _found(realm: Realm, group_id: str, message: str = "Could not find group by id") -> Group:
    group = realm.groups.get(group_id)
    if group is None:
        raise not_found(message)
    return group


@routes("GET", "groups")
def list_groups(realm: Realm, call: Call) -> Response:
    """Top-level groups; a search runs over the whole tree and shows matches in their place."""
    full = not call.flag("briefRepresentation", True)
    count = call.flag("subGroupsCount", True)
    if not call.query.get("search", "").strip() and not call.query.get("q", "").strip():
        page = call.page(realm.children(None))
        return answer([shown(realm, each, full=full, count=count) for each in page])
    matches = sorted(_matching(list(realm.groups.values()), call), key=lambda each: each.name)
    if not call.flag("populateHierarchy", True):
        page = call.page(matches)
        return answer([shown(realm, each, full=full, count=count) for each in page])
    found: dict[str, JSON] = {}
    tops: dict[str, JSON] = {}
    for group in call.page(matches):
        below: JSON | None = None
        each: Group | None = group
        while each is not None:
            known = each.id in found
            rep = found.setdefault(each.id, shown(realm, each, full=full, count=count))
            if below is not None and below not in rep["subGroups"]:
                rep["subGroups"].append(below)
            if each.parent is None:
                tops[each.id] = rep
            if known:
                break
            below, each = rep, realm.groups[each.parent] if each.parent else None
    return answer(sorted(tops.values(), key=lambda rep: str(rep["name"])))


def _matching(groups: list[Group], call: Call) -> list[Group]:
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
    """How many groups: the whole tree, unless `top` says otherwise."""
    if call.query.get("search"):
        return answer({"count": len(_matching(list(realm.groups.values()), call))})
    groups = realm.children(None) if call.flag("top") else list(realm.groups)
    return answer({"count": len(groups)})


@routes("POST", "groups")
def create_group(realm: Realm, call: Call) -> Response:
    """Make a top-level group, or move one there when the body names its id."""
    rep = call.body
    name = _named(rep)
    if rep.get("id"):
        moved = _found(realm, rep["id"], "Could not find child by id")
        if moved.parent is not None:
            _refuse_twin(realm, None, name)
            realm.place_group(moved, None, moved.name)
        return done()
    _refuse_twin(realm, None, name)
    group = _make(realm, rep, None)
    return created(f"{call.base}/admin/realms/{realm.name}/groups/{group.id}")


@routes("GET", "groups/{group}")
def get_group(realm: Realm, call: Call, group_id: str) -> Response:
    """One group."""
    return answer(shown(realm, _found(realm, group_id)))


@routes("PUT", "groups/{group}")
def update_group(realm: Realm, call: Call, group_id: str) -> Response:
    """Rename it, set its description, and replace its attributes where they are given."""
    group, rep = _found(realm, group_id), call.body
    name = _named(rep)
    if rep.get("id") not in (None, group.id):
        raise invalid("Invalid group id")
    if name != group.name:
        if realm.child_named(group.parent, name):
            raise exists(f"Sibling group named '{name}' already exists.")
        realm.place_group(group, group.parent, name)
    if rep.get("attributes") is not None:
        group.attributes = _attributes(rep)
    group.description = rep.get("description")
    return done()


@routes("DELETE", "groups/{group}")
def delete_group(realm: Realm, call: Call, group_id: str) -> Response:
    """Remove it and everything below it."""
    realm.remove_group(_found(realm, group_id))
    return done()


@routes("GET", "groups/{group}/children")
def list_children(realm: Realm, call: Call, group_id: str) -> Response:
    """The groups right below: ten of them, unless `max` says otherwise."""
    group = _found(realm, group_id)
    full = not call.flag("briefRepresentation", False)
    page = call.page(_matching(realm.children(group.id), call), 10)
    return answer([shown(realm, child, full=full) for child in page])


@routes("POST", "groups/{group}/children")
def create_child(realm: Realm, call: Call, group_id: str) -> Response:
    """Make a group below, or move one there when the body names its id."""
    parent, rep = _found(realm, group_id), call.body
    name = _named(rep)
    if rep.get("id"):
        child = _found(realm, rep["id"], "Could not find child by id")
        if child.parent != parent.id:
            _refuse_twin(realm, parent.id, name)
            realm.place_group(child, parent.id, child.name)
        return done()
    _refuse_twin(realm, parent.id, name)
    child = _make(realm, rep, parent.id)
    response = answer(shown(realm, child, count=False), 201)
    response.headers["location"] = f"{call.base}/admin/realms/{realm.name}/groups/{child.id}"
    return response


@routes("GET", "groups/{group}/members")
def list_members(realm: Realm, call: Call, group_id: str) -> Response:
    """Direct members by username: a hundred of them, unless `max` says otherwise."""
    group = _found(realm, group_id)
    members = sorted((realm.users[each] for each in group.members), key=lambda u: u.username)
    brief = call.flag("briefRepresentation")
    return answer([shown_user(realm, user, brief=brief) for user in call.page(members, 100)])


def by_path(realm: Realm, path: list[str]) -> Response:
    """The group at a path of names."""
    group = realm.group_at(path)
    if group is None:
        raise not_found("Group path does not exist")
    return answer(shown(realm, group, access=False))


@routes("GET", "users/{user}/groups")
def list_groups_of_user(realm: Realm, call: Call, user_id: str) -> Response:
    """A user's direct memberships, by name."""
    user = realm.users.get(user_id)
    if user is None:
        raise not_found("User not found")
    groups = sorted((realm.groups[each] for each in user.groups), key=lambda group: group.name)
    full = not call.flag("briefRepresentation", True)
    page = call.page(_matching(groups, call))
    return answer([shown(realm, group, full=full, count=False, access=False) for group in page])


@routes("PUT", "users/{user}/groups/{group}")
def join(realm: Realm, call: Call, user_id: str, group_id: str) -> Response:
    """Make the user a member; harmless when repeated."""
    if user_id not in realm.users:
        raise not_found("User not found")
    realm.join(realm.users[user_id], _found(realm, group_id, "Group not found"))
    return done()


@routes("DELETE", "users/{user}/groups/{group}")
def leave(realm: Realm, call: Call, user_id: str, group_id: str) -> Response:
    """End the membership, whether or not there was one."""
    if user_id not in realm.users:
        raise not_found("User not found")
    realm.leave(realm.users[user_id], _found(realm, group_id, "Group not found"))
    return done()


def _named(rep: JSON) -> str:
    name = rep.get("name")
    if not isinstance(name, str) or not name.strip():
        raise invalid("Group name is missing")
    if len(name) > _MOST:
        raise unknown_error()
    return name


def _attributes(rep: JSON) -> dict[str, list[str]]:
    given = {key: list(value) for key, value in (rep.get("attributes") or {}).items() if value}
    if any(len(value) > _MOST for values in given.values() for value in values):
        raise unknown_error()
    return given


def _refuse_twin(realm: Realm, parent: str | None, name: str) -> None:
    if realm.child_named(parent, name):
        what = "Sibling group" if parent else "Top level group"
        raise exists(f"{what} named '{name}' already exists.")


def _make(realm: Realm, rep: JSON, parent: str | None) -> Group:
    group = Group(new_id(), rep["name"], parent, rep.get("description"), _attributes(rep))
    realm.add_group(group)
    return group
